"""Every technique that compresses on four kinds of network: its file runs and agrees, or it says why not."""

import pytest

from kdbench import registry, testing
from kdbench.protocols.part import PartSpec

NETWORKS = ("cnn", "resnet20", "MobileNetV2", "mlp")
"""A small CNN, residual connections, depthwise convolutions, and no convolution at all."""
FIELDS: dict[str, dict[str, object]] = {
    "structured_pruning": {"channel_fraction": 0.5},
    "unstructured_pruning": {"weight_fraction": 0.5},
    "low_rank": {"rank_fraction": 0.5},
    "weight_sharing": {"bits": 4},
    "weight_only_quantization": {"smallest_layer": 256},
}
REFUSED = {
    ("batchnorm_reestimation", "mlp"): (
        "the model has no BatchNorm with running statistics, so there is nothing to re-estimate."
    )
}
COMPRESSING = [
    name
    for name in registry.TABLE["technique"]
    if (cls := registry.resolve("technique", name)).start == "trained"
    and cls.family != "distillation"
    and cls.works_on == "anything"
    and cls.form != "artefact"
]


STRUCTURAL = {"structured_pruning", "low_rank", "quantization_aware_training", "static_quantization"}
"""Each rewrites networks or files in a way of its own; what the others do depends less on the network."""
RESIDUAL = {"structured_pruning", "quantization_aware_training"}
"""What two layers that are added have in common, their channels or their scale, is decided by these."""


def often(technique: str, network: str) -> bool:
    """Whether a pair is in the default run; the others are `slow`, among them all on depthwise convolutions: the tests
    of each technique compress, export and run those in a network of a few layers."""
    if network == "resnet20":
        return technique in RESIDUAL
    return network == "cnn" or (network == "mlp" and technique in STRUCTURAL) or (technique, network) in REFUSED


OFTEN = [(technique, network) for technique in COMPRESSING for network in NETWORKS if often(technique, network)]
SELDOM = [
    (technique, network) for technique in COMPRESSING for network in NETWORKS if (technique, network) not in OFTEN
]


@pytest.mark.parametrize(
    ("technique", "network"), [*OFTEN, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in SELDOM)]
)
def test_a_network_is_compressed_or_refused_with_a_true_sentence(technique: str, network: str) -> None:
    compressing = PartSpec("technique", technique, 1, FIELDS.get(technique, {}))
    said = testing.check_network(compressing, PartSpec("model", network, 1, {}))
    assert said == REFUSED.get((technique, network))

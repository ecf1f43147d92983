"""Which channels go together: proven by networks that compute the same with them zero and without them."""

import copy
from typing import get_args

import pytest
import torch
from torch import nn
from torch_pruning.pruner.importance import BNScaleImportance, GroupMagnitudeImportance

from kdbench import registry
from kdbench.models.torchvision import Architecture
from kdbench.protocols import TaskDescription
from kdbench.techniques.pruning._channels import check_cut, cut
from kdbench.techniques.pruning._coupling import Coupled, Traced, obstacle, trace
from kdbench.techniques.pruning._criteria import score
from kdbench.techniques.pruning._widths import Widths, macs, ranked
from kdbench.techniques.surgery import fit_shapes

CLASSES = 10
NAMES = ["plain", "residual", "depthwise", "grouped", "mlp"]
ATTENTIVE = ("swin_", "vit_", "maxvit_")
SHUFFLING = ("ShuffleNet", "shufflenet_")
"""Where channels that are shuffled stay: of ShuffleNetV1, nearly all."""
NORMED_OVER_CHANNELS = ("convnext_",)
"""Where even channels of zeros matter: LayerNorm takes its mean over all channels."""
HUGE = {"regnet_y_128gf", "vit_h_14"}
"""Above 600 million parameters; their families stand in the list with smaller ones."""
CIFAR = ["cnn", "mlp", "resnet20", "resnet8x4", "wrn_16_2", "vgg8", "MobileNetV2", "ShuffleNetV1", "ShuffleNetV2"]
CIFAR_SLOW = [
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet32x4",
    "wrn_40_1",
    "wrn_40_2",
    "vgg13",
    "ResNet50",
]


def awake(model: nn.Module) -> nn.Module:
    """With biases and BatchNorm statistics that are not those of a new network."""
    generator = torch.Generator().manual_seed(1)
    for layer in model.modules():
        for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
            if tensor.dim() == 1 and tensor.is_floating_point():
                low = 0.5 if name in ("weight", "running_var") else -0.5
                tensor.data = torch.rand(tensor.shape, generator=generator) + low
    return model.eval()


def chosen(traced: Traced, criterion: str, share: float) -> list[tuple[Coupled, torch.Tensor]]:
    measure = score(criterion, traced, [], TASK, seed=0)
    sets = [ranked(one, measure(one), one.width) for one in traced.sets]
    counts = Widths("uniform", round_to=8).going(sets, share)
    return [(one.channels, one.gone(count)) for one, count in zip(sets, counts, strict=True) if count]


def silenced(model: nn.Module, gone: list[tuple[Coupled, torch.Tensor]]) -> nn.Module:
    """A copy in which everything that writes those channels writes zeros."""
    silent = copy.deepcopy(model)
    state = silent.state_dict()
    for channels, indices in gone:
        for member in channels.members:
            if member.side in ("out", "norm"):
                places = member.places[torch.isin(member.channels, indices)]
                for tensor in ("weight", "bias"):
                    if f"{member.name}.{tensor}" in state:
                        state[f"{member.name}.{tensor}"][places] = 0
    return silent


@torch.no_grad()
def proven(model: nn.Module, rebuilt: nn.Module, images: torch.Tensor, exact: bool = True, left: float = 0.6) -> None:
    """What stays computes what it computed; the MACs are as foretold; the state dict is all one needs to keep."""
    traced = trace(model, (images[:2],), (CLASSES,))
    gone = chosen(traced, "l2", 0.5)
    smaller = copy.deepcopy(model)
    cut(smaller, gone)
    check_cut(smaller, traced, gone, (images,))
    if exact:
        expected = silenced(model, gone)(images)
        assert torch.allclose(smaller(images), expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))
        assert not torch.allclose(expected, model(images), rtol=1e-3)

    assert sum(p.numel() for p in smaller.parameters()) < left * sum(p.numel() for p in model.parameters())
    sets = [ranked(one, torch.zeros(one.width), one.width) for one in traced.sets]
    lost = {one.name: len(indices) for one, indices in gone}
    foretold = macs(traced, sets, [lost.get(one.name, 0) for one in traced.sets])
    assert foretold == macs(trace(smaller, (images[:2],), (CLASSES,)))

    fit_shapes(rebuilt, smaller.state_dict())
    rebuilt.load_state_dict(smaller.state_dict())
    assert torch.equal(rebuilt(images), smaller(images))


@pytest.mark.parametrize("name", NAMES)
def test_channels_that_stay_compute_what_they_computed_beside_zeros(name, build, context):
    proven(awake(build(name)), build(name, seed=3).eval(), context().images[:4])


TASK = TaskDescription.classification(
    input_names=("image",), input_shapes=((4,),), class_names=tuple(map(str, range(CLASSES))), example_counts={}
)


def of_registry(name: str) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """A registered model twice, with inputs: of 32x32, or what a torchvision model can take."""
    size = {"inception_v3": 96, "maxvit_t": 224}.get(name, 64) if name in get_args(Architecture) else 32
    task = TaskDescription.classification(
        input_names=("image",),
        input_shapes=((3, size, size),),
        class_names=tuple(map(str, range(CLASSES))),
        example_counts={},
    )
    registered, fields = ("torchvision", {"architecture": name}) if size != 32 else (name, {})
    model = registry.resolve("model", registered).from_fields(fields)
    return awake(model.build(task)), model.build(task).eval(), torch.rand(2, 3, size, size)


def of_registry_holds(name: str) -> None:
    torch.manual_seed(0)
    model, rebuilt, images = of_registry(name)
    problem = obstacle(model, (images,), (CLASSES,))
    if name.startswith(ATTENTIVE):
        assert problem.startswith("the model computes attention")
    else:
        assert problem is None
        left = 1.0 if name.startswith(SHUFFLING) else 0.6
        proven(model, rebuilt, images, exact=not name.startswith(NORMED_OVER_CHANNELS), left=left)


@pytest.mark.parametrize("name", CIFAR)
def test_every_cifar_model_is_pruned_right_or_refused_with_a_reason(name):
    of_registry_holds(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", CIFAR_SLOW)
def test_every_large_cifar_model_is_pruned_right(name):
    of_registry_holds(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(get_args(Architecture)) - HUGE))
def test_every_torchvision_model_is_pruned_right_or_refused_with_a_reason(name):
    of_registry_holds(name)


def test_the_lists_above_name_every_network_of_the_registry():
    networks = {name for name in registry.TABLE["model"] if registry.resolve("model", name).form == "torch"}

    of_other_inputs = {"audio_cnn", "audio_lstm", "audio_tcn", "bag_of_tokens", "encoder", "table_mlp"}
    others = {*of_other_inputs, "unet", "timm", "transformers"}
    assert networks - others == {*CIFAR, *CIFAR_SLOW, "torchvision"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("criterion", "reference"),
    [
        ("l1", GroupMagnitudeImportance(p=1)),
        ("l2", GroupMagnitudeImportance(p=2)),
        ("batchnorm_scale", BNScaleImportance(normalizer=None)),
    ],
)
def test_scores_are_those_of_torch_pruning(name, criterion, reference, build, context):
    from torch_pruning.dependency import DependencyGraph

    model, example = awake(build(name)), context().example
    traced = trace(model, example, (CLASSES,))
    graph = DependencyGraph().build_dependency(model, example)
    theirs = {}
    for group in graph.get_all_groups():
        theirs[graph._module2name[group[0].dep.target.module]] = reference(group)
    measure = score(criterion, traced, [], TASK, seed=0)

    for one in traced.sets:
        mine, their = measure(one), theirs[one.name]
        assert (mine is None and their is None) or torch.allclose(mine, their)


def test_taylor_estimates_what_the_loss_does_without_a_channels_weights():
    """For one small step along a weight slice g * w is the change of the loss; the score is its square."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, CLASSES, bias=False)).double()
    inputs, targets = torch.rand(8, 4, dtype=torch.float64), torch.arange(8)
    traced = trace(model, (inputs,), (CLASSES,))
    (channels,) = traced.sets

    class Batch:
        def __init__(self, rows: slice) -> None:
            self.inputs, self.targets = (inputs[rows],), (targets[rows],)

    batches = [Batch(slice(0, 4)), Batch(slice(4, 8))]
    found = score("taylor", traced, batches, TASK, seed=0)(channels)

    def change(layer: int, index: tuple, batch: Batch) -> float:
        """Central difference of the loss along the slice."""
        values = []
        for factor in (1 + 1e-5, 1 - 1e-5):
            moved = copy.deepcopy(model)
            moved[layer].weight.data[index] *= factor
            values.append(float(nn.functional.cross_entropy(moved(*batch.inputs), batch.targets[0]).detach()))
        return (values[0] - values[1]) / 2e-5

    for channel in range(3):
        slices = [(0, (channel, slice(None))), (2, (slice(None), channel))]
        squares = [change(layer, index, batch) ** 2 for layer, index in slices for batch in batches]
        assert float(found[channel]) == pytest.approx(sum(squares) / 4, rel=1e-4)


def test_a_loose_parameter_shrinks_with_its_channels(context):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 32, 3)
            self.scale = nn.Parameter(torch.rand(32, 1, 1))
            self.last = nn.Linear(32, CLASSES)

        def forward(self, x):
            return self.last((self.scale * self.first(x)).mean((2, 3)))

    proven(Scaled().eval(), Scaled().eval(), context().images[:2])


def test_layers_that_hold_channels_in_another_way_are_refused_by_name(context):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 32, 3)
            self.act = nn.PReLU(32)
            self.last = nn.Linear(32, CLASSES)

        def forward(self, x):
            return self.last(self.act(self.first(x)).mean((2, 3)))

    assert "channels go through 'act' (PReLU)" in obstacle(Odd(), context().example, (CLASSES,))

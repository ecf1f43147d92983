"""The networks of the field's common table: their counts, their shapes, and other people's implementations of them."""

import warnings
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdbench import registry, testing
from kdbench.errors import ModelError
from kdbench.models._shufflenet import UnitV2, shuffled
from kdbench.protocols import TaskDescription

# Parameters: RepDistiller's networks (Tian et al. 2020), counted there at 100 classes and 3x32x32.
# MACs: of convolutions and the classifier, by half of torch.utils.flop_counter's FLOPs.
PUBLISHED = {
    "resnet20": (278_324, 40_818_944),
    "resnet32": (472_756, 69_130_496),
    "resnet44": (667_188, 97_442_048),
    "resnet56": (861_620, 125_753_600),
    "resnet110": (1_736_564, 253_155_584),
    "resnet8x4": (1_233_540, 177_071_104),
    "resnet32x4": (7_433_860, 1_083_040_768),
    "ResNet50": (23_705_252, 1_298_014_208),
    "wrn_16_2": (703_284, 101_118_464),
    "wrn_40_1": (569_780, 83_286_272),
    "wrn_40_2": (2_255_156, 327_610_880),
    "vgg8": (3_965_028, 96_192_512),
    "vgg13": (9_462_180, 284_936_192),
    "MobileNetV2": (812_836, 6_523_648),
    "ShuffleNetV1": (949_258, 38_691_456),
    "ShuffleNetV2": (1_355_528, 44_504_448),
}
EXPORTED = ("resnet8x4", "ShuffleNetV2")
"""Sums, and channels that are split and shuffled; the other networks are exported by `slow` tests."""
ONE_OF_EACH = ("resnet8x4", "wrn_16_2", "vgg8", "MobileNetV2", "ShuffleNetV1", "ShuffleNetV2", "ResNet50")


def _task(class_count: int, *shape: int) -> TaskDescription:
    classes = tuple(str(number) for number in range(class_count))
    return TaskDescription.classification(
        input_names=("image",), input_shapes=(shape,), class_names=classes, example_counts={}
    )


def _built(name: str, class_count: int = 100, shape: tuple[int, ...] = (3, 32, 32)) -> nn.Module:
    network: nn.Module = registry.resolve("model", name)().build(_task(class_count, *shape))
    return network


def _shapes_only(name: str, class_count: int = 100, shape: tuple[int, ...] = (3, 32, 32)) -> nn.Module:
    """A network without values: a pass through it computes shapes."""
    with torch.device("meta"):
        return _built(name, class_count, shape)


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _macs(network: nn.Module, size: int = 32) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, size, size, device=next(network.parameters()).device))
    return counter.get_total_flops() // 2


def test_the_table_below_has_every_registered_network_of_the_literature() -> None:
    sound_and_text = ("audio_cnn", "audio_lstm", "audio_tcn", "bag_of_tokens", "encoder")
    others = (*sound_and_text, "cnn", "mlp", "table_mlp", "unet", "torchvision", "libraries", "estimators")
    ours = {name for name, place in registry.TABLE["model"].items() if place.split(":")[0].split(".")[-1] not in others}
    assert ours == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_macs_at_100_classes_are_those_of_the_published_network(name: str) -> None:
    network = _shapes_only(name)
    assert (_parameters(network), _macs(network)) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_its_docstring_begins_with_that_parameter_count_and_it_names_its_paper(name: str) -> None:
    declared = registry.resolve("model", name)
    assert f"{PUBLISHED[name][0]:,} parameters" in (declared.__doc__ or "").split("\n")[0]
    assert declared.paper


def _torchdistill(name: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resnet = pytest.importorskip("torchdistill.models.classification.resnet")
        wide_resnet = pytest.importorskip("torchdistill.models.classification.wide_resnet")
    if name.startswith("wrn"):
        _, depth, widening = name.split("_")
        found = wide_resnet.wide_resnet(int(depth), int(widening), 0.0, 100, False, False)
    else:
        found = getattr(resnet, name)(100)
    assert isinstance(found, nn.Module)
    return found


@pytest.mark.parametrize("name", ["wrn_16_2", "wrn_40_1", "wrn_40_2"])
def test_wide_resnets_cost_what_torchdistills_do(name: str) -> None:
    """Theirs are other functions (the shortcut sees what comes before BatchNorm), of the same layers."""
    other = _torchdistill(name)
    assert (_parameters(other), _macs(other)) == PUBLISHED[name]


def test_mobilenet_is_torchvisions_but_for_a_convolution_in_the_first_block() -> None:
    setting = [
        [1, 16, 1, 1],
        [6, 24, 2, 1],
        [6, 32, 3, 2],
        [6, 64, 4, 2],
        [6, 96, 3, 1],
        [6, 160, 3, 2],
        [6, 320, 1, 1],
    ]
    other = torchvision.models.MobileNetV2(100, 0.5, setting, round_nearest=1)
    convolution, norm, image = 16 * 16, 2 * 16, 16 * 16
    added = (_parameters(other) + convolution + norm, _macs(other) + convolution * image)
    assert added == PUBLISHED["MobileNetV2"]


def _resnet50() -> nn.Module:
    other = torchvision.models.resnet50(num_classes=100)
    other.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    other.maxpool = nn.Identity()  # type: ignore[assignment]
    return other


def _shufflenet_v2() -> nn.Module:
    other = torchvision.models.shufflenet_v2_x1_0(num_classes=100)
    other.conv1[0] = nn.Conv2d(3, 24, 1, bias=False)
    other.maxpool = nn.Identity()  # type: ignore[assignment]
    return other


def _vgg13() -> nn.Module:
    features = torchvision.models.vgg13_bn().features[:-1]
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 100))


@pytest.mark.parametrize(
    ("name", "make", "size"),
    [
        ("resnet20", lambda: _torchdistill("resnet20"), 32),
        ("resnet110", lambda: _torchdistill("resnet110"), 32),
        ("ResNet50", _resnet50, 32),
        ("ShuffleNetV2", _shufflenet_v2, 32),
        ("vgg13", _vgg13, 64),
    ],
)
def test_with_the_weights_of_another_implementation_it_gives_the_same_logits(
    name: str, make: Callable[[], nn.Module], size: int
) -> None:
    torch.manual_seed(0)
    other, ours = make().double(), _built(name, shape=(3, size, size)).double()
    ours.load_state_dict(dict(zip(ours.state_dict(), other.state_dict().values(), strict=True)))
    images = torch.randn(4, 3, size, size, dtype=torch.float64)
    torch.testing.assert_close(ours(images), other(images), rtol=1e-9, atol=1e-9)
    assert ours(images).std() > 0.01


SHAPES = {
    "resnet8x4": [(32, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (256, 1, 1)],
    "wrn_40_2": [(16, 32, 32), (32, 32, 32), (64, 16, 16), (128, 8, 8), (128, 1, 1)],
    "vgg8": [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 4, 4), (512, 1, 1)],
    "ResNet50": [(64, 32, 32), (256, 32, 32), (512, 16, 16), (1024, 8, 8), (2048, 4, 4), (2048, 1, 1)],
    "MobileNetV2": [(16, 16, 16), (12, 16, 16), (16, 8, 8), (48, 4, 4), (160, 2, 2), (1280, 1, 1)],
    "ShuffleNetV1": [(24, 32, 32), (240, 16, 16), (480, 8, 8), (960, 4, 4), (960, 1, 1)],
    "ShuffleNetV2": [(24, 32, 32), (116, 16, 16), (232, 8, 8), (464, 4, 4), (1024, 1, 1)],
}
"""What RepDistiller's networks return as features for 32x32 images: stem, stages, embedding."""


@pytest.mark.parametrize("name", SHAPES)
def test_features_have_the_published_shapes(name: str) -> None:
    declared, network = registry.resolve("model", name)(), _shapes_only(name)
    layers, shapes = declared.layers(), []
    for path in (layers.stem, *layers.stages, layers.embedding):
        network.get_submodule(path).register_forward_hook(lambda _, inputs, output: shapes.append(output.shape[1:]))
    network(torch.zeros(2, 3, 32, 32, device="meta"))
    assert [tuple(shape) for shape in shapes] == SHAPES[name]


def test_vggs_halve_images_of_64_once_more() -> None:
    """At 32x32 the last two groups both see 4x4; at 64x64 a pooling stands between them."""
    last_map = 512 * 512 * 9 * 4 * 4
    early = _macs(_shapes_only("vgg8"), 32) - 512 * 100 - last_map
    assert _macs(_shapes_only("vgg8", shape=(3, 64, 64)), 64) == 4 * early + last_map + 512 * 100


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 64, 64), (3, 33, 47)], ids=str)
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_images_of_other_sizes_grey_or_coloured_fit(name: str, shape: tuple[int, ...]) -> None:
    assert _shapes_only(name, 10, shape)(torch.zeros(2, *shape, device="meta")).shape == (2, 10)


@pytest.mark.parametrize(
    "name", [name if name in EXPORTED else pytest.param(name, marks=pytest.mark.slow) for name in PUBLISHED]
)
def test_the_contract_of_a_model_holds(name: str) -> None:
    testing.check_model(registry.resolve("model", name)(), _task(100, 3, 32, 32))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64)], ids=str)
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_contract_of_a_model_holds_at_other_sizes(name: str, shape: tuple[int, ...]) -> None:
    testing.check_model(registry.resolve("model", name)(), _task(10, *shape))


def _convolution(network: nn.Module) -> torch.Tensor:
    """The weights of the largest convolution."""
    return max((m.weight for m in network.modules() if isinstance(m, nn.Conv2d)), key=torch.Tensor.numel)


@pytest.mark.parametrize("name", ["resnet8x4", "ResNet50", "wrn_40_2", "vgg8", "MobileNetV2"])
def test_convolutions_start_with_the_fan_out_variance_of_he_et_al(name: str) -> None:
    torch.manual_seed(0)
    weight = _convolution(_built(name))
    fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
    assert weight.var().item() == pytest.approx(2 / fan_out, rel=0.02)


@pytest.mark.parametrize("name", ["ShuffleNetV1", "ShuffleNetV2"])
def test_convolutions_of_the_shufflenets_start_as_torch_draws_them(name: str) -> None:
    torch.manual_seed(0)
    weight = _convolution(_built(name))
    assert weight.var().item() == pytest.approx(1 / (3 * weight[0].numel()), rel=0.02)


@pytest.mark.parametrize(
    ("name", "deviation"), [("vgg8", 0.01), ("MobileNetV2", 0.01), ("wrn_40_2", 1 / (3 * 128) ** 0.5)]
)
def test_classifiers_start_as_in_the_published_code(name: str, deviation: float) -> None:
    torch.manual_seed(0)
    classifier = _built(name).get_submodule("fc")
    assert classifier.weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert not classifier.bias.any()


def test_a_shuffle_deals_the_channels_of_the_groups_out_in_turn() -> None:
    channels = torch.arange(6.0).view(1, 6, 1, 1).expand(2, 6, 4, 5)
    assert shuffled(channels, 2)[1, :, 3, 4].tolist() == [0, 3, 1, 4, 2, 5]
    assert shuffled(channels, 3)[0, :, 0, 0].tolist() == [0, 2, 4, 1, 3, 5]
    assert torch.equal(shuffled(channels, 1), channels)


@pytest.mark.parametrize("ends_stage", [False, True])
def test_half_the_channels_pass_a_unit_of_shufflenet_v2_unchanged(ends_stage: bool) -> None:
    x = torch.rand(2, 8, 4, 4)
    assert torch.equal(UnitV2(8, ends_stage)(x)[:, ::2], x[:, :4])


def test_a_units_last_relu_gives_the_same_before_and_after_the_shuffle() -> None:
    x = torch.rand(2, 8, 4, 4)
    within, after = UnitV2(8, ends_stage=False), UnitV2(8, ends_stage=True)
    after.load_state_dict(within.state_dict())
    assert torch.equal(within(x), after(x))


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_input_that_is_no_image_is_refused_with_the_models_own_name(name: str) -> None:
    with pytest.raises(ModelError, match=rf"^{name} takes images \(channels, height, width\)"):
        _built(name, shape=(64,))


@pytest.mark.parametrize("name", ["vgg8", "vgg13"])
def test_images_that_poolings_would_make_vanish_are_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(ModelError, match=rf"^{name} takes images of 8x8 or more, got 12x6; use cnn\.$"):
        _built(name, shape=(1, 12, 6))

"""Where every registered network says it is to be tapped: the layers are there, and are what `Layers` says of them."""

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from kdbench import registry
from kdbench.models.cnn import CNN
from kdbench.models.mlp import MLP
from kdbench.models.torchvision import Architecture, Torchvision
from kdbench.protocols import Layers, Model, TaskDescription

NETWORKS = [
    name
    for name, place in registry.TABLE["model"].items()
    if "estimators" not in place
    and not name.startswith("audio_")
    and name not in ("torchvision", "timm", "transformers", "encoder", "bag_of_tokens", "table_mlp", "unet")
]
WITHOUT_RELU_AT_THE_END = ("wrn_16_2", "wrn_40_1", "wrn_40_2")
"""A stage's sum reaches its ReLU through a BatchNorm of what follows."""
TORCHVISION = [
    *("resnet18", "resnext50_32x4d", "wide_resnet50_2", "regnet_x_400mf", "regnet_y_400mf", "densenet121", "vgg11"),
    *("vgg13_bn", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5"),
    *("efficientnet_b0", "efficientnet_v2_s", "convnext_tiny"),
]
"""One of each family that has default layers."""
COMPUTED = ("resnet18", "densenet121", "mobilenet_v3_small", "shufflenet_v2_x0_5", "regnet_y_400mf")
"""Sums, concatenations, sums without a ReLU behind them, shuffled halves, whatever could be written over in place; and
a regnet, which has no form without values."""


class Seen:
    """What hooks saw of one pass: inputs and outputs of modules by path, and copies of the outputs at that moment."""

    def __init__(self, network: nn.Module, paths: tuple[str, ...], images: Tensor) -> None:
        self.inputs: dict[str, list[Tensor]] = {path: [] for path in paths}
        self.outputs: dict[str, list[Tensor]] = {path: [] for path in paths}
        self.copies: dict[str, Tensor] = {}
        hooks = [network.get_submodule(path).register_forward_hook(self._hook(path)) for path in paths]
        network(images)
        for hook in hooks:
            hook.remove()

    def _hook(self, path: str):  # type: ignore[no-untyped-def]
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self.inputs[path].append(inputs[0])
            self.outputs[path].append(output)
            self.copies[path] = output.clone()

        return hook

    def output(self, path: str) -> Tensor:
        (only,) = self.outputs[path]
        return only

    def input(self, path: str) -> Tensor:
        (only,) = self.inputs[path]
        return only


def _task(*shape: int) -> TaskDescription:
    classes = tuple(str(number) for number in range(10))
    return TaskDescription.classification(
        input_names=("image",), input_shapes=(shape,), class_names=classes, example_counts={}
    )


def _paths(layers: Layers) -> tuple[str, ...]:
    return tuple(filter(None, (layers.stem, *layers.stages, *layers.preactivations, layers.embedding)))


def _classifier(network: nn.Module) -> str:
    return [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]


def _pass(declared: Model, shape: tuple[int, ...] = (3, 32, 32)) -> tuple[nn.Module, Seen]:
    torch.manual_seed(0)
    network = declared.build(_task(*shape))
    paths = (*_paths(declared.layers()), _classifier(network))
    return network, Seen(network, paths, torch.randn(4, *shape))


def _check_maps(layers: Layers, seen: Seen) -> None:
    sizes = [seen.output(path).shape for path in (layers.stem, *layers.stages) if path]
    assert all(len(size) == 4 and size[0] == 4 for size in sizes)
    heights = [size[2] for size in sizes]
    assert heights == sorted(heights, reverse=True)


def _check_nothing_is_written_over(seen: Seen) -> None:
    assert all(torch.equal(seen.output(path), copy) for path, copy in seen.copies.items())


def _check_embedding(layers: Layers, network: nn.Module, seen: Seen) -> None:
    assert torch.equal(seen.output(layers.embedding).flatten(1), seen.input(_classifier(network)))


@pytest.mark.parametrize("name", NETWORKS)
def test_stages_are_maps_that_shrink_and_the_embedding_is_what_the_classifier_sees(name: str) -> None:
    declared = registry.resolve("model", name)()
    network, seen = _pass(declared)
    _check_maps(declared.layers(), seen)
    _check_nothing_is_written_over(seen)
    _check_embedding(declared.layers(), network, seen)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("mlp", *WITHOUT_RELU_AT_THE_END)])
def test_the_module_of_a_pre_activation_makes_the_stages_output_of_it(name: str) -> None:
    declared = registry.resolve("model", name)()
    layers = declared.layers()
    network, seen = _pass(declared)
    for stage, path in zip(layers.stages, layers.preactivations, strict=True):
        module = network.get_submodule(path)
        assert isinstance(module, nn.Identity if name == "MobileNetV2" else nn.ReLU)
        assert torch.equal(module(seen.input(path)), seen.output(stage))
        assert seen.input(path).min() < 0


@pytest.mark.parametrize("name", WITHOUT_RELU_AT_THE_END)
def test_the_pre_activation_of_a_wide_resnets_stage_is_its_sum_after_the_next_batch_norm(name: str) -> None:
    declared = registry.resolve("model", name)()
    layers = declared.layers()
    network, seen = _pass(declared)
    for stage, path in zip(layers.stages, layers.preactivations, strict=True):
        assert isinstance(network.get_submodule(path), nn.ReLU)
        norm = network.get_submodule(path.replace("relu", "bn"))
        assert torch.equal(norm(seen.output(stage)), seen.input(path))
        assert seen.output(stage).min() < 0


@pytest.mark.parametrize(
    "name", [name if name in COMPUTED else pytest.param(name, marks=pytest.mark.slow) for name in TORCHVISION]
)
def test_torchvisions_stages_are_maps_that_shrink_and_embeddings_what_the_classifier_sees(name: str) -> None:
    layers = Torchvision(architecture=name).layers()
    network, seen = _pass(Torchvision(architecture=name), (3, 64, 64))
    _check_maps(layers, seen)
    _check_nothing_is_written_over(seen)
    widths = [seen.output(stage).shape[2] for stage in layers.stages]
    assert len(set(widths)) == len(widths), "two stages of one image size"
    assert layers.preactivations == ()
    if layers.embedding:
        _check_embedding(layers, network, seen)


@pytest.mark.parametrize(
    "name",
    [
        name if name in TORCHVISION else pytest.param(name, marks=pytest.mark.slow)
        for name in get_args(Architecture)
        if not name.startswith("regnet")
    ],
)
def test_every_network_of_those_families_has_the_layers_of_its_family(name: str) -> None:
    declared = Torchvision(architecture=name)
    layers = declared.layers()
    if not layers.stages:
        pytest.skip("names no default layers")
    with torch.device("meta"):
        network = declared.build(_task(3, 64, 64))
        seen = Seen(network, (*_paths(layers), _classifier(network)), torch.empty(4, 3, 64, 64))
    _check_maps(layers, seen)
    assert len({seen.output(stage).shape[2] for stage in layers.stages}) == len(layers.stages)
    if layers.embedding:
        assert seen.output(layers.embedding).flatten(1).shape == seen.input(_classifier(network)).shape


@pytest.mark.parametrize(
    "name", ["vit_b_16", "swin_t", "maxvit_t", "inception_v3", "googlenet", "alexnet", "squeezenet1_0"]
)
def test_an_architecture_without_clear_stages_names_no_layers(name: str) -> None:
    assert Torchvision(architecture=name).layers() == Layers()


@pytest.mark.parametrize("convs", [1, 3])
def test_a_cnn_of_any_depth_names_its_own_stages(convs: int) -> None:
    declared = CNN(channels=(4, 8), convs_per_stage=convs)
    layers = declared.layers()
    network, seen = _pass(declared)
    _check_maps(layers, seen)
    _check_embedding(layers, network, seen)
    assert torch.equal(seen.input(layers.preactivations[-1]).relu(), seen.output("layer2"))


@pytest.mark.parametrize("depth", [1, 4])
def test_an_mlp_has_no_stages_and_its_last_hidden_activation_as_embedding(depth: int) -> None:
    declared = MLP(depth=depth, width=8)
    network, seen = _pass(declared, (1, 4, 4))
    assert declared.layers() == Layers(embedding=f"layer{depth}")
    assert seen.output(f"layer{depth}").shape == (4, 8)
    _check_embedding(declared.layers(), network, seen)

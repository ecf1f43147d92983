"""Every image network gives what a task asks of an example: classes, labels, values, and several of them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kdbench import registry
from kdbench.errors import ModelError
from kdbench.models.torchvision import Torchvision
from kdbench.protocols import Input, Output, TaskDescription

DIGIT = Output(name="digit", kind="classes", axes=(10,), class_names=tuple("0123456789"))
SLANT = Output(name="slant", kind="values", axes=(2,), mean=(20.0, -3.0), scale=(5.0, 0.5))
TAGS = Output(name="tags", kind="multilabel", axes=(3,), class_names=("thin", "bold", "torn"))
PLACES = Output(name="places", kind="dense_classes", axes=(2, 32, 32), class_names=("paper", "ink"))
OWN = ("resnet8x4", "wrn_16_2", "vgg8", "MobileNetV2", "ShuffleNetV1", "ShuffleNetV2", "ResNet50")
OTHERS = ("shufflenet_v2_x0_5", "mobilenet_v3_small", "vit_b_32")


def task(*outputs: Output) -> TaskDescription:
    return TaskDescription(inputs=(Input(name="image", axes=(3, 32, 32)),), outputs=outputs, example_counts={})


def network(name: str, *outputs: Output) -> nn.Module:
    declared = registry.resolve("model", name)() if name in OWN else Torchvision(architecture=name)
    built: nn.Module = declared.build(task(*outputs)).eval()
    return built


@pytest.mark.parametrize("name", OWN + OTHERS)
def test_one_answer_an_output_with_values_in_their_own_unit(name: str) -> None:
    built = network(name, DIGIT, SLANT, TAGS)
    with torch.no_grad():
        for path, parameter in built.named_parameters():
            if path.endswith("1.0.weight") and parameter.shape[0] == 2:
                parameter.zero_()  # then a value is its bias, and after scale and mean the training split's mean
            if path.endswith("1.0.bias") and parameter.shape == (2,):
                parameter.zero_()
        digit, slant, tags = built(torch.rand(2, 3, 32, 32))
    assert (digit.shape, tags.shape) == ((2, 10), (2, 3))
    torch.testing.assert_close(slant, torch.tensor([[20.0, -3.0]] * 2))


@pytest.mark.parametrize("name", ["resnet8x4", "shufflenet_v2_x0_5"])
def test_a_class_at_each_place_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="'places' is of kind dense_classes, and one answer an example is all"):
        network(name, PLACES)


def test_a_network_that_ends_in_a_convolution_gives_classes_only() -> None:
    assert network("squeezenet1_1", TAGS)(torch.rand(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(ModelError, match=r"squeezenet1_1 does not end in a linear layer, so it cannot give 'slant'"):
        network("squeezenet1_1", SLANT)


def test_weights_of_a_classifier_start_a_network_of_values(tmp_path: Path) -> None:
    classifier, path = network("shufflenet_v2_x0_5", DIGIT), tmp_path / "digits.safetensors"
    save_file(classifier.state_dict(), path)
    model = Torchvision(architecture="shufflenet_v2_x0_5", weights_file=str(path))
    values = model.build(task(SLANT))
    head = {name: weights.clone() for name, weights in values.state_dict().items() if name.startswith("fc.")}
    model.load_pretrained(values)
    body = {name: weights for name, weights in classifier.state_dict().items() if not name.startswith("fc.")}
    assert all(torch.equal(values.state_dict()[name], weights) for name, weights in body.items())
    assert head.keys() == {"fc.0.weight", "fc.0.bias", "fc.1.scale", "fc.1.mean"}
    assert all(torch.equal(values.state_dict()[name], weights) for name, weights in head.items())

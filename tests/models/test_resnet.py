import pytest
import torch

from kdbench.errors import ModelError
from kdbench.protocols import TaskDescription
from kdbench.registry import resolve

# Tian et al. 2020 (CRD), models of RepDistiller at 100 classes and 3x32x32
PARAMETERS = {"resnet8x4": 1_233_540, "resnet20": 278_324, "resnet32x4": 7_433_860, "resnet56": 861_620}


def _task(class_count: int, *shape: int) -> TaskDescription:
    classes = tuple(str(number) for number in range(class_count))
    return TaskDescription(input_names=("image",), input_shapes=(shape,), class_names=classes, example_counts={})


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_parameter_count_at_100_classes_is_that_of_the_published_tables(name: str) -> None:
    model = resolve("model", name)().build(_task(100, 3, 32, 32))
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_its_docstring_says_that_parameter_count(name: str) -> None:
    assert f"{PARAMETERS[name]:,} parameters" in (resolve("model", name).__doc__ or "")


def test_features_of_the_x4_networks_have_the_published_shapes() -> None:
    model = resolve("model", "resnet8x4")().build(_task(100, 3, 32, 32))
    x = model.bn1(model.conv1(torch.zeros(2, 3, 32, 32)))
    shapes = [tuple(x.shape[1:])]
    for layer in (model.layer1, model.layer2, model.layer3):
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(32, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8)]


def test_convolutions_start_with_the_fan_out_variance_of_he_et_al() -> None:
    torch.manual_seed(0)
    weight = resolve("model", "resnet32x4")().build(_task(100, 3, 32, 32)).layer3[1].conv1.weight
    assert weight.var().item() == pytest.approx(2 / (256 * 9), rel=0.02)


def test_grey_images_of_another_size_and_class_count_fit() -> None:
    model = resolve("model", "resnet20")().build(_task(10, 1, 8, 8))
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_an_input_that_is_no_image_is_refused_with_the_models_own_name() -> None:
    with pytest.raises(ModelError, match=r"^resnet8x4 takes images"):
        resolve("model", "resnet8x4")().build(_task(10, 64))

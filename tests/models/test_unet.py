import pytest
import torch

from kdbench import testing
from kdbench.errors import ModelError
from kdbench.models.unet import UNet
from kdbench.protocols import Input, Output, TaskDescription


def _task(size: int = 16, kind: str = "dense_classes") -> TaskDescription:
    output = {
        "kind": kind,
        "axes": (3, size, size) if kind == "dense_classes" else (3,),
        "class_names": ("a", "b", "c"),
    }
    image = Input(name="image", axes=(1, size, size))
    return TaskDescription(inputs=(image,), outputs=(Output.model_validate(output),), example_counts={"train": 4})


def test_every_place_has_a_score_for_each_class_and_the_file_agrees() -> None:
    testing.check_model(UNet(channels=(4, 8)), _task())


def test_parameters_are_those_of_its_convolutions() -> None:
    network = UNet(channels=(4, 8)).build(_task())
    down = 9 * (1 * 4 + 4 * 4 + 4 * 8 + 8 * 8)
    up = 9 * ((8 + 4) * 4 + 4 * 4)
    norms = 2 * (4 + 4 + 8 + 8 + 4 + 4)
    assert sum(parameter.numel() for parameter in network.parameters()) == down + up + norms + 4 * 3 + 3


def test_a_place_sees_its_surroundings_but_not_the_far_end() -> None:
    torch.manual_seed(0)
    network = UNet(channels=(4, 8)).build(_task(64)).eval()
    image = torch.randn(1, 1, 64, 64, requires_grad=True)
    torch.autograd.backward(network(image)[0, :, 32, 32].sum())
    assert image.grad is not None
    seen = image.grad[0, 0].abs() > 0
    assert seen[32, 32]
    assert not seen[0].any()
    assert not seen[:, 63].any()


def test_tasks_that_do_not_suit_it_are_refused() -> None:
    with pytest.raises(ModelError, match=r"halves 18x18 images 2 times, which leaves a rest"):
        UNet(channels=(4, 8, 16)).build(_task(18))
    with pytest.raises(ModelError, match="the task needs one output, of kind dense_classes"):
        UNet().build(_task(kind="classes"))

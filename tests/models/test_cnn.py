import pytest
import torch
from pydantic import ValidationError

from kdbench.errors import ModelError
from kdbench.models.cnn import CNN
from kdbench.protocols import TaskDescription


def _task(*shape: int) -> TaskDescription:
    return TaskDescription.classification(
        input_names=("image",), input_shapes=(shape,), class_names=tuple("0123456789"), example_counts={}
    )


def test_the_parameters_are_those_counted_by_hand() -> None:
    model = CNN(channels=(16, 32, 64)).build(_task(1, 8, 8))
    convolutions = 9 * (1 * 16 + 16 * 32 + 32 * 64)
    assert sum(p.numel() for p in model.parameters()) == convolutions + 2 * (16 + 32 + 64) + (64 + 1) * 10


def test_every_stage_after_the_first_halves_the_image_unless_strides_say_otherwise() -> None:
    assert _sizes(CNN(channels=(4, 8, 8))) == [8, 4, 2]
    assert _sizes(CNN(channels=(4, 8, 8), strides=(1, 1, 2))) == [8, 8, 4]
    assert _sizes(CNN(channels=(4, 8, 8), convs_per_stage=2)) == [8, 4, 2]


def _sizes(declared: CNN) -> list[int]:
    model, x, sizes = declared.build(_task(3, 8, 8)), torch.zeros(2, 3, 8, 8), []
    for name, module in model.named_children():
        if name.startswith("layer"):
            x = module(x)
            sizes.append(x.shape[-1])
    return sizes


def test_the_same_random_state_gives_the_same_weights_and_another_others() -> None:
    first, second, third = (_weights(seed) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def _weights(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.cat([p.flatten() for p in CNN().build(_task(1, 8, 8)).parameters()])


def test_an_input_that_is_no_image_is_refused_in_a_sentence() -> None:
    sentence = r"cnn takes images \(channels, height, width\), got inputs of shape 64; use mlp\."
    with pytest.raises(ModelError, match=sentence):
        CNN().build(_task(64))


def test_strides_need_one_number_a_stage() -> None:
    with pytest.raises(ValidationError, match=r"strides needs one number a stage \(3\), got 2"):
        CNN(channels=(4, 8, 8), strides=(1, 2))


def test_a_stage_without_channels_is_refused() -> None:
    with pytest.raises(ValidationError):
        CNN(channels=())
    with pytest.raises(ValidationError):
        CNN(channels=(16, 0))

"""Networks that take or tell a part of a task: the same network behind it, and refusals by name."""

import copy

import pytest
import torch

from kdbench.errors import ModelError, TrainingError
from kdbench.protocols import Batch, Input, Output, TaskDescription
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe
from kdbench.stages._partial import labels_loss, part_of
from kdbench.stages.torch_models import fresh

PICTURE, WAVE = Input(name="picture", axes=(1, 6, 6)), Input(name="wave", axes=(12,))
DIGIT = Output(name="digit", axes=(3,), class_names=("a", "b", "c"))
PERSON = Output(name="person", axes=(2,), class_names=("ann", "ben"))
BOTH = TaskDescription(inputs=(WAVE, PICTURE), outputs=(DIGIT, PERSON), example_counts={})
CNN = PartSpec("model", "cnn", 1, {"channels": [4]})


def part(**some: tuple[str, ...]) -> PartSpec:
    return PartSpec("model", "cnn", 1, {"channels": [4]}, **some)


def test_a_part_of_the_inputs_is_handed_to_the_network_that_would_stand_alone() -> None:
    alone = fresh(CNN, BOTH.model_copy(update={"inputs": (PICTURE,)}), seed=3).eval()
    some = fresh(part(inputs=("picture",)), BOTH, seed=3).eval()
    assert type(some).__name__ == type(alone).__name__
    assert some.state_dict().keys() == alone.state_dict().keys()
    wave, picture = torch.randn(5, 12), torch.randn(5, 1, 6, 6)
    for one, other in zip(copy.deepcopy(some)(wave, picture), alone(picture), strict=True):
        assert torch.equal(one, other)


def test_zeros_stand_for_what_a_teacher_does_not_tell() -> None:
    teacher = fresh(part(inputs=("picture",), outputs=("person",)), BOTH, seed=0).eval()
    digit, person = teacher(torch.randn(5, 12), torch.randn(5, 1, 6, 6))
    assert digit.shape == (5, 3)
    assert digit.eq(0).all()
    assert person.shape == (5, 2)
    assert not person.eq(0).all()


def test_it_learns_what_it_tells() -> None:
    loss = labels_loss(part(outputs=("person",)), BOTH)
    assert loss is not None
    index = torch.arange(2)
    batch = Batch((), (torch.tensor([0, 1]), torch.tensor([1, 0])), index, index)
    outputs = (torch.zeros(2, 3), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    (name, term), *_ = loss(batch, outputs).items()
    expected = torch.nn.functional.cross_entropy(outputs[1], batch.targets[1])
    assert name == "ce"
    torch.testing.assert_close(term, expected)
    assert labels_loss(CNN, BOTH) is None
    with pytest.raises(TrainingError, match="goes by 'digit', and the network does not tell that"):
        labels_loss(part(outputs=("person",)), BOTH, Recipe(epochs=1, select="validation"))


def test_the_key_knows_the_part_and_is_as_before_without_one() -> None:
    assert CNN.identity() == {"name": "cnn", "version": 1, "fields": {"channels": [4]}}
    keys = [str(one.identity()) for one in (CNN, part(inputs=("wave",)), part(outputs=("digit",)))]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (part(inputs=("pictures",)), "no input 'pictures' for cnn. Did you mean 'picture'?"),
        (part(outputs=("digits",)), "no output 'digits' for cnn. Did you mean 'digit'?"),
    ],
)
def test_names_that_the_task_does_not_have_are_refused(wanted: PartSpec, said: str) -> None:
    with pytest.raises(ModelError) as error:
        part_of(BOTH, wanted)
    assert said in str(error.value)


def test_what_varies_in_length_cannot_be_left_out() -> None:
    words = Output(name="words", kind="sequence", axes=("steps", 3), class_names=("-", "a", "b"), frames="frames")
    task = BOTH.model_copy(update={"outputs": (DIGIT, words)})
    with pytest.raises(ModelError, match="'words' varies in length"):
        part_of(task, part(outputs=("digit",)))

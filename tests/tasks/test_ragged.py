"""Examples of unequal length: stored end to end, padded in batches of like lengths, masked where they end."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kdbench.errors import DataError
from kdbench.functional import label_term
from kdbench.protocols import Input, Output, Preprocessing, SymbolicAxis, Task, TaskDescription
from kdbench.ragged import Ragged
from kdbench.tasks.arrays import ArrayData, gathered, model_inputs, write_split
from kdbench.tasks.batches import POOL, plain_batches, train_batches

CPU = torch.device("cpu")
LENGTHS = [3, 1, 4, 1, 5]
WORDS = [np.arange(1, length + 1, dtype=np.int32) for length in LENGTHS]
SOUND = [np.full((length, 2), length, np.float32) for length in LENGTHS]
"""Two bands over time; what varies lies first."""
DIGITS = tuple("0123456789")


def _description(count: int, multiple: int = 1) -> TaskDescription:
    axis = SymbolicAxis(name="length", most=8, multiple=multiple, lengths={"median": 3, "p95": 5, "longest": 5})
    return TaskDescription(
        inputs=(
            Input(name="ids", axes=("length",), dtype="int64", padding=9, values=10),
            Input(name="sound", axes=(2, "length"), preprocessing=Preprocessing(mean=(1.0,), std=(2.0,))),
            Input(name="mask", axes=("length",), dtype="int64", role="mask", covers="length"),
            Input(name="count", axes=(), dtype="int64", role="lengths", covers="length"),
        ),
        outputs=(
            Output(name="what", axes=(2,), class_names=("no", "yes")),
            Output(
                name="tags", kind="token_classes", axes=("length", 10), class_names=tuple("0123456789"), ignore=-100
            ),
        ),
        axes=(axis,),
        example_counts={"train": count},
    )


@pytest.fixture
def data(tmp_path: Path) -> ArrayData:
    write_split(tmp_path, "train", (WORDS, SOUND), (np.array([0, 1, 0, 1, 0]), WORDS))
    return ArrayData.open(tmp_path, _description(5))


def test_examples_come_back_as_they_were_stored(data: ArrayData) -> None:
    ids, sound = data.inputs("train")
    assert isinstance(ids, Ragged)
    assert isinstance(sound, Ragged)
    assert [ids[place].tolist() for place in range(5)] == [word.tolist() for word in WORDS]
    assert ids.values.dtype == np.int32
    assert data.lengths("train")["length"].tolist() == LENGTHS
    assert [sound.taken(np.array([4, 1]))[place].shape for place in (0, 1)] == [(5, 2), (1, 2)]


def test_a_batch_is_padded_to_its_own_longest_and_says_where_examples_end(data: ArrayData) -> None:
    (batch,) = plain_batches(data, "train", 5, CPU)
    ids, sound, mask, count = batch.inputs
    assert ids.tolist()[0] == [1, 2, 3, 9, 9]
    assert ids.dtype == torch.int64
    assert sound.shape == (5, 2, 5)
    assert sound[0, :, :3].eq((3 - 1) / 2).all()
    assert sound[0, :, 3:].eq((0 - 1) / 2).all(), "padding lies before preprocessing"
    assert mask.sum(1).tolist() == count.tolist() == LENGTHS
    assert torch.equal(batch.mask("length", 5), mask.bool())
    tags = batch.targets[1]
    assert tags.tolist()[1] == [1, -100, -100, -100, -100]
    short = next(plain_batches(data, "train", 2, CPU))
    assert short.inputs[0].shape == (2, 3)
    assert batch.part(slice(1, 3)).lengths["length"].tolist() == [1, 4]


def test_a_padded_size_is_a_multiple_where_the_axis_says_so(tmp_path: Path) -> None:
    write_split(tmp_path, "train", (WORDS, SOUND), (np.array([0, 1, 0, 1, 0]), WORDS))
    data = ArrayData.open(tmp_path, _description(5, multiple=4))
    (batch,) = plain_batches(data, "train", 5, CPU)
    assert [tensor.shape[-1] for tensor in batch.inputs[:3]] == [8, 8, 8]


def test_files_are_fed_what_networks_are_fed(data: ArrayData) -> None:
    (batch,) = plain_batches(data, "train", 5, CPU)
    fed = model_inputs(data.description, *gathered(data, "train", np.arange(5)))
    assert list(fed) == ["ids", "sound", "mask", "count"]
    for tensor, array in zip(batch.inputs, fed.values(), strict=True):
        np.testing.assert_array_equal(tensor, array)
        assert str(array.dtype) == str(tensor.dtype).removeprefix("torch.")


def test_an_epoch_has_every_example_once_in_batches_of_like_lengths(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    words = [np.ones(length, np.int32) for length in draw.integers(1, 60, 500)]
    sound = [np.ones((len(word), 2), np.float32) for word in words]
    write_split(tmp_path, "train", (words, sound), (np.zeros(500, np.int64), words))
    data = ArrayData.open(tmp_path, _description(500))

    def epoch(number: int, size: int = 8) -> list[torch.Tensor]:
        return [batch.index for batch in train_batches(data, Task(), size, 0, number, CPU)]

    first, again, other = epoch(0), epoch(0), epoch(1)
    assert sorted(torch.cat(first).tolist()) == list(range(500))
    assert all(map(torch.equal, first, again))
    assert torch.cat(first).tolist() != torch.cat(other).tolist()
    lengths = data.lengths("train")["length"]

    def padding(batches: list[torch.Tensor]) -> float:
        places = sum(len(index) * lengths[index].max() for index in batches)
        return float(1 - lengths.sum() / places)

    assert padding(first) < 0.1 < padding(list(torch.randperm(500).split(8)))
    assert all(len(index) > 1 for index in epoch(0, size=3)), "BatchNorm refuses an example alone"
    assert POOL * 8 < 500, "more than one pool"


def test_examples_that_differ_elsewhere_are_refused() -> None:
    with pytest.raises(DataError, match="along their first axis only"):
        Ragged.of([np.zeros((2, 3)), np.zeros((2, 4))])


def test_an_axis_that_nobody_describes_is_refused() -> None:
    with pytest.raises(ValueError, match="ids has an axis 'time' that `axes` does not describe"):
        TaskDescription(
            inputs=(Input(name="ids", axes=("time",)),), outputs=(Output(axes=(2,)),), example_counts={"train": 1}
        )


def test_padding_behind_tokens_counts_nowhere_whatever_the_labels_are_stored_as(tmp_path: Path) -> None:
    """Without an `ignore` of the task, and with labels as bytes, which have no room for -100."""
    description = _description(5)
    tags = description.outputs[1].model_copy(update={"ignore": None})
    description = description.model_copy(update={"outputs": (description.outputs[0], tags)})
    labels = [word.astype(np.uint8) for word in WORDS]
    write_split(tmp_path, "train", (WORDS, SOUND), (np.array([0, 1, 0, 1, 0]), labels))
    (batch,) = plain_batches(ArrayData.open(tmp_path, description), "train", 5, CPU)
    given = torch.randn(5, 5, 10, generator=torch.Generator().manual_seed(0)).requires_grad_()
    term = label_term(tags, given, batch.targets[1], batch)
    own = [(given[row, place], int(label)) for row, word in enumerate(labels) for place, label in enumerate(word)]
    expected = torch.stack([-scores.log_softmax(0)[label] for scores, label in own]).mean()
    torch.testing.assert_close(term, expected)
    (gradient,) = torch.autograd.grad(term, given)
    assert gradient[1, 1:].eq(0).all()

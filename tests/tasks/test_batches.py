from pathlib import Path

import numpy as np
import pytest
import torch

from kdbench.errors import DataError
from kdbench.protocols import Batch, Preprocessing, Task, TaskDescription
from kdbench.tasks._labelled import Labelled, write_images
from kdbench.tasks.arrays import ArrayData, epoch_order, epoch_views, preprocess_array
from kdbench.tasks.batches import chosen_batch, plain_batches, preprocess, train_batches
from kdbench.tasks.torchvision import CIFAR10

CPU = torch.device("cpu")
PLAIN = Task()
CROPPED = CIFAR10(root="", augment="crop_flip", padding=1)


@pytest.fixture
def decoded(tmp_path: Path) -> tuple[ArrayData, TaskDescription]:
    rng = np.random.default_rng(0)
    images, targets = rng.integers(1, 256, (10, 3, 4, 4), np.uint8), np.arange(10) % 2
    splits = {"train": Labelled(images, targets), "test": Labelled(images[:5], targets[:5])}
    statistics = Preprocessing(scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    description = write_images(tmp_path, splits, ("even", "odd"), statistics)
    return ArrayData.open(tmp_path, description), description


def _epoch(decoded: tuple[ArrayData, TaskDescription], task: Task, batch_size: int) -> list[Batch]:
    return list(train_batches(decoded[0], task, batch_size, 7, 3, CPU))


def test_tensors_and_arrays_are_preprocessed_alike(decoded: tuple[ArrayData, TaskDescription]) -> None:
    data, description = decoded
    array = data.inputs("train")[0]
    (image,) = description.inputs
    tensor = preprocess(torch.from_numpy(np.array(array)), image)
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor, preprocess_array(np.asarray(array), image), atol=1e-6)


def test_an_epoch_visits_each_example_once_with_its_own_target(decoded: tuple[ArrayData, TaskDescription]) -> None:
    batches = _epoch(decoded, PLAIN, 4)
    index = torch.cat([batch.index for batch in batches])
    assert index.tolist() == epoch_order(10, 7, 3).tolist()
    assert torch.equal(torch.cat([batch.targets[0] for batch in batches]), index % 2)
    inputs = torch.cat([batch.inputs[0] for batch in batches])
    plain = next(plain_batches(decoded[0], "train", 10, CPU)).inputs[0]
    assert torch.equal(inputs, plain[index])


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(4, [4, 4, 2]), (5, [5, 5]), (3, [3, 3, 4]), (9, [10]), (10, [10]), (64, [10]), (1, [1] * 10)],
)
def test_a_left_over_example_joins_the_batch_before(
    decoded: tuple[ArrayData, TaskDescription], batch_size: int, sizes: list[int]
) -> None:
    assert [len(batch.targets[0]) for batch in _epoch(decoded, PLAIN, batch_size)] == sizes


def test_an_examples_view_does_not_depend_on_the_batch_size(decoded: tuple[ArrayData, TaskDescription]) -> None:
    for batch_size in (3, 10):
        for batch in _epoch(decoded, CROPPED, batch_size):
            assert batch.view.tolist() == epoch_views(10, 18, 7, 3)[batch.index].tolist()


def test_a_chosen_view_is_what_training_saw(decoded: tuple[ArrayData, TaskDescription]) -> None:
    for batch in _epoch(decoded, CROPPED, 4):
        again = chosen_batch(decoded[0], CROPPED, batch.index.numpy(), batch.view.numpy(), CPU)
        assert torch.equal(again.inputs[0], batch.inputs[0])
        assert torch.equal(again.targets[0], batch.targets[0])


def test_view_0_is_what_a_plain_pass_gives(decoded: tuple[ArrayData, TaskDescription]) -> None:
    (plain,) = plain_batches(decoded[0], "train", 64, CPU)
    chosen = chosen_batch(decoded[0], CROPPED, plain.index.numpy(), plain.view.numpy(), CPU)
    assert torch.equal(chosen.inputs[0], plain.inputs[0])


def test_zeros_that_a_crop_brings_in_are_black_before_normalisation(decoded: tuple[ArrayData, TaskDescription]) -> None:
    # view 2 is one pixel to the right of the centre, so the last column is new
    batch = chosen_batch(decoded[0], CROPPED, np.array([0]), np.array([2]), CPU)
    torch.testing.assert_close(batch.inputs[0][0, :, 0, -1], torch.tensor([-0.1 / 0.4, -0.2 / 0.5, -0.3 / 0.6]))


def test_a_plain_pass_is_in_order_and_keeps_the_last_examples(decoded: tuple[ArrayData, TaskDescription]) -> None:
    batches = list(plain_batches(decoded[0], "train", 4, CPU))
    assert [batch.index.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert not any(batch.view.any() for batch in batches)


def test_test_examples_never_carry_the_place_of_a_training_example(decoded: tuple[ArrayData, TaskDescription]) -> None:
    (batch,) = plain_batches(decoded[0], "test", 64, CPU)
    assert batch.index.tolist() == [-1, -2, -3, -4, -5]
    assert batch.targets[0].tolist() == [0, 1, 0, 1, 0]


def test_a_split_that_is_not_there_is_refused_in_a_sentence(decoded: tuple[ArrayData, TaskDescription]) -> None:
    with pytest.raises(DataError, match="the task has no validation split"):
        next(plain_batches(decoded[0], "validation", 2, CPU))

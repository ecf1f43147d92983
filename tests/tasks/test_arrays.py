from pathlib import Path

import numpy as np
import pytest

from kdbench.errors import DataError
from kdbench.protocols import Input, Preprocessing, TaskDescription
from kdbench.tasks.arrays import (
    ArrayData,
    epoch_order,
    epoch_views,
    per_class_subset,
    preprocess_array,
    stratified_split,
    write_split,
)
from kdbench.tasks.checks import check_targets


def _description(**counts: int) -> TaskDescription:
    return TaskDescription.classification(
        input_names=("image",), input_shapes=((1, 2, 2),), class_names=("a", "b"), example_counts=counts
    )


def test_what_is_written_is_mapped_back_with_its_dtype_and_its_targets(tmp_path: Path) -> None:
    images = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2)
    write_split(tmp_path, "train", (images,), np.array([0, 1, 1], np.int8))
    data = ArrayData.open(tmp_path, _description(train=3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train_inputs0.npy", "train_targets0.npy"]
    assert isinstance(data.inputs("train")[0], np.memmap)
    assert data.inputs("train")[0].dtype == np.uint8
    assert np.asarray(data.targets("train")).tolist() == [0, 1, 1]
    np.testing.assert_array_equal(data.inputs("train")[0], images)


def test_a_split_that_does_not_exist_has_no_examples_and_is_refused_in_a_sentence(tmp_path: Path) -> None:
    write_split(tmp_path, "train", (np.zeros((2, 1, 2, 2), np.uint8),), np.array([0, 1]))
    data = ArrayData.open(tmp_path, _description(train=2))
    assert (data.count("train"), data.count("validation")) == (2, 0)
    with pytest.raises(DataError, match=r"the task has no validation split \(it has train\); give it a fraction\."):
        data.inputs("validation")


def test_inputs_and_targets_of_different_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test has 3 targets, but its input 0 has 2 examples\."):
        write_split(tmp_path, "test", (np.zeros((2, 4)),), np.zeros(3))


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (np.array([0.0, 1.5]), "one is 1.5"),
        (np.array([0.0, np.nan]), "one is nan"),
        (np.array(["cat", "dog"]), "one is 'cat'"),
        (np.array([[0, 1], [1, 0]]), "shape"),
    ],
)
def test_targets_that_are_no_classes_are_refused_instead_of_cut_off(
    tmp_path: Path, targets: np.ndarray, said: str
) -> None:
    write_split(tmp_path, "train", (np.zeros((2, 1, 2, 2), np.float32),), targets)
    with pytest.raises(DataError, match=said):
        _checked(tmp_path, _description(train=2))


def _checked(folder: Path, description: TaskDescription) -> None:
    """As the decode stage checks what a task wrote."""
    data = ArrayData.open(folder, description)
    check_targets(data.split("train"), "train", description)


def test_whole_numbers_are_classes_whatever_their_type(tmp_path: Path) -> None:
    write_split(tmp_path, "train", (np.zeros((2, 1, 2, 2), np.float32),), np.array([0.0, 1.0]))
    _checked(tmp_path, _description(train=2))


def test_arrays_that_are_not_as_described_are_refused(tmp_path: Path) -> None:
    write_split(tmp_path, "train", (np.zeros((2, 1, 2, 2), np.uint8),), np.array([0, 2]))
    with pytest.raises(DataError, match=r"the train arrays have shapes \[\(2, 1, 2, 2\)\], the task described \[\(3, "):
        ArrayData.open(tmp_path, _description(train=3))
    with pytest.raises(DataError, match=r"the train targets must be 0 to 1; mend the task's decode\(\)\."):
        _checked(tmp_path, _description(train=2))


def test_a_split_shares_every_class_out_by_largest_remainder() -> None:
    targets = np.repeat([0, 1, 2], [178, 10, 3])
    parts = stratified_split(targets, (0.6, 0.2, 0.2), seed=0)
    # 178: 106.8 35.6 35.6 -> the first takes one more, then the earlier of the two equals; 3: 1.8 0.6 0.6 likewise
    assert [np.bincount(targets[part], minlength=3).tolist() for part in parts] == [[107, 6, 2], [36, 2, 1], [35, 2, 0]]


def test_a_splits_parts_are_sorted_and_hold_each_example_once() -> None:
    parts = stratified_split(np.arange(100) % 7, (0.5, 0.5), seed=3)
    assert all((np.diff(part) > 0).all() for part in parts)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(100))


def test_a_split_depends_on_its_seed_and_on_nothing_else() -> None:
    targets = np.arange(100) % 7
    first, second, third = (stratified_split(targets, (0.5, 0.5), seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


def test_exact_shares_are_exact_in_spite_of_binary_fractions() -> None:
    parts = stratified_split(np.zeros(10), (0.7, 0.3), seed=0)
    assert [len(part) for part in parts] == [7, 3]
    assert len(stratified_split(np.zeros(10), (1 - 0.1, 0.1), seed=0)[1]) == 1


def test_a_subset_takes_so_many_of_each_class_or_all_there_are() -> None:
    targets = np.repeat([0, 1], [50, 3])
    chosen = per_class_subset(targets, 5, seed=0)
    assert np.bincount(targets[chosen]).tolist() == [5, 3]
    assert (np.diff(chosen) > 0).all()


def test_an_epochs_order_is_a_permutation_of_its_own() -> None:
    order = epoch_order(50, seed=0, epoch=1)
    np.testing.assert_array_equal(np.sort(order), np.arange(50))
    np.testing.assert_array_equal(order, epoch_order(50, seed=0, epoch=1))
    assert (order != epoch_order(50, seed=0, epoch=2)).any()
    assert (order != epoch_order(50, seed=1, epoch=1)).any()


def test_an_epochs_views_are_spread_evenly_and_differ_by_epoch_and_seed() -> None:
    views = epoch_views(16_200, 162, seed=0, epoch=0)
    counts = np.bincount(views, minlength=162)
    # 161 degrees of freedom: the statistic is below 240 with probability 0.99994
    assert (((counts - 100) ** 2) / 100).sum() < 240
    assert (views != epoch_views(16_200, 162, seed=0, epoch=1)).any()
    assert (views != epoch_views(16_200, 162, seed=1, epoch=0)).any()


def test_orders_and_views_do_not_change_unnoticed() -> None:
    """Stored teacher outputs and every reference run rest on these numbers; raise versions when they change."""
    assert epoch_order(6, seed=0, epoch=0).tolist() == [5, 3, 0, 4, 1, 2]
    assert epoch_views(6, 162, seed=0, epoch=0).tolist() == [117, 50, 20, 130, 64, 126]


def _input(preprocessing: Preprocessing) -> Input:
    return Input(name="image", axes=(1,), preprocessing=preprocessing)


def test_preprocessing_scales_and_normalises_each_channel() -> None:
    array = np.array([[[[0, 255]], [[51, 102]]]], np.uint8)
    out = preprocess_array(array, _input(Preprocessing(scale=1 / 255, mean=(0.5, 0.2), std=(0.5, 0.1))))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [[[[-1, 1]], [[0, 2]]]], atol=1e-6)


def test_one_mean_serves_every_channel_and_plain_features_too() -> None:
    out = preprocess_array(np.array([[1.0, 3.0]]), _input(Preprocessing(mean=(1.0,), std=(2.0,))))
    np.testing.assert_allclose(out, [[0, 1]])

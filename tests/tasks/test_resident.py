"""Data that lies on the device of training: the same batches, to the bit. The processor stands for a device here."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kdbench.protocols import Batch, Preprocessing
from kdbench.tasks import resident
from kdbench.tasks._labelled import Labelled, write_images
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.batches import chosen_batch, plain_batches, train_batches
from kdbench.tasks.resident import resident_splits, room_bytes
from kdbench.tasks.torchvision import CIFAR10

CPU = torch.device("cpu")
CROPPED = CIFAR10(root="", augment="crop_flip", padding=1)
COUNT, VALIDATION = 10, 4
BYTES = (COUNT + VALIDATION) * (3 * 4 * 4 + 8)
"""Pixels of one byte and labels of eight."""


@pytest.fixture
def data(tmp_path: Path) -> ArrayData:
    rng = np.random.default_rng(0)
    images, targets = rng.integers(0, 256, (COUNT, 3, 4, 4), np.uint8), np.arange(COUNT) % 2
    some = Labelled(images[:VALIDATION], targets[:VALIDATION])
    splits = {"train": Labelled(images, targets), "validation": some, "test": some}
    statistics = Preprocessing(scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    return ArrayData.open(tmp_path, write_images(tmp_path, splits, ("even", "odd"), statistics))


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [*batch.inputs, *batch.targets, batch.index, batch.view]


def test_batches_of_resident_data_are_those_of_mapped_data(data: ArrayData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "room_bytes", lambda device: BYTES)
    found = resident_splits(data, CPU)
    assert sorted(found) == ["train", "validation"]
    index, views = np.array([3, 3, 8]), np.array([0, 1, 17])
    both = (
        (
            *train_batches(data, CROPPED, 4, 7, 3, CPU, given.get("train")),
            chosen_batch(data, CROPPED, index, views, CPU, given.get("train")),
            *plain_batches(data, "validation", 3, CPU, resident=given.get("validation")),
        )
        for given in (found, {})
    )
    for one, other in zip(*both, strict=True):
        assert all(map(torch.equal, tensors(one), tensors(other)))


def test_data_that_has_no_room_stays_where_it_is(data: ArrayData, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resident_splits(data, CPU) == {}, "a processor has the mapped arrays at hand"
    monkeypatch.setattr(resident, "room_bytes", lambda device: BYTES - 1)
    assert resident_splits(data, CPU) == {}


def test_a_quarter_of_a_devices_free_memory_is_for_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 4000))
    assert (room_bytes(torch.device("cuda")), room_bytes(CPU)) == (250, 0)

"""Tasks that need no data, and the mistakes that `check_task` is there to find."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdbench import testing
from kdbench.protocols import Input, Output, SymbolicAxis, Task, TaskDescription
from kdbench.tasks.arrays import write_split
from kdbench.tasks.digits import Digits
from kdbench.tasks.sentences import Sentences
from kdbench.tasks.shapes import Shapes
from kdbench.tasks.sklearn_table import Friedman1, SklearnTable


@pytest.mark.parametrize(
    "task",
    [
        Digits(),
        SklearnTable(name="wine"),
        Friedman1(train_count=50, test_count=20, validation_count=10),
        Shapes(train_count=8, test_count=4, validation_count=4),
        Sentences(train_count=8, test_count=4, validation_count=4),
    ],
    ids=lambda task: type(task).__name__,
)
def test_tasks_without_files_keep_the_contract(task: Task) -> None:
    testing.check_task(task)


class Sentences(Task):
    """Four sentences of 2 to 5 tokens among 9, with a tag each, a class, and a mask."""

    def kinds(self) -> tuple[str, ...]:
        return ("token_classes", "classes")

    def decode(self, out: Path) -> TaskDescription:
        examples = [np.arange(1, length, dtype=np.int32) for length in (3, 4, 5, 6)]
        for split in ("train", "test"):
            write_split(out, split, (examples,), ([each % 3 for each in examples], np.arange(4) % 2))
        return self.described()

    def described(self) -> TaskDescription:
        ids = Input(name="ids", axes=("length",), dtype="int64", values=9)
        mask = Input(name="mask", axes=("length",), role="mask", covers="length", dtype="int64")
        return TaskDescription(
            inputs=(ids, mask),
            outputs=(
                Output(name="tags", kind="token_classes", axes=("length", 3), class_names=("a", "b", "c"), ignore=-100),
                Output(name="side", axes=(2,), class_names=("left", "right")),
            ),
            axes=(SymbolicAxis(name="length", lengths={"median": 3, "p95": 4, "longest": 5}),),
            example_counts={"train": 4, "test": 4},
        )


def test_sentences_with_two_outputs_keep_it() -> None:
    testing.check_task(Sentences())


def _with(**changes: Any) -> Callable[[TaskDescription], TaskDescription]:
    def changed(description: TaskDescription) -> TaskDescription:
        first, *rest = description.inputs
        update: dict[str, Any] = {}
        if "values" in changes:
            update["inputs"] = (first.model_copy(update={"values": changes["values"]}), *rest)
        if "lengths" in changes:
            update["axes"] = (description.axes[0].model_copy(update={"lengths": changes["lengths"]}),)
        if "most" in changes:
            update["axes"] = (description.axes[0].model_copy(update={"most": changes["most"]}),)
        if "class_names" in changes:
            tags, side = description.outputs
            update["outputs"] = (tags, side.model_copy(update={"class_names": changes["class_names"]}))
        return description.model_copy(update=update)

    return changed


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"values": 4}, "ids of train reaches 5, and ids are 0 to 3"),
        ({"lengths": {}}, r"says lengths \{\} of 'length'; train has \{'median': 3"),
        ({"most": 4}, "train has lengths 2 to 5, outside what 'length' takes"),
        ({"class_names": ("left",)}, "the train targets of 'side' must be 0 to 0"),
    ],
)
def test_a_description_that_the_arrays_belie_is_found(
    changes: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = Sentences().described()
    monkeypatch.setattr(Sentences, "described", lambda self: _with(**changes)(true))
    with pytest.raises(AssertionError, match=text):
        testing.check_task(Sentences())


class Turned(Shapes):
    """Shapes with a second view of each, upside down."""

    def views(self) -> int:
        return 2

    def augmented(self, inputs: tuple[torch.Tensor, ...], views: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.where(views.bool()[:, None, None, None], each.flip(2), each) for each in inputs)


class TurnedWithMasks(Turned):
    """The same, masks too."""

    def augmented_targets(self, targets: tuple[torch.Tensor, ...], views: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.where(views.bool()[:, None, None], each.flip(1), each) for each in targets)


class Random(Turned):
    """The same, at random."""

    def augmented(self, inputs: tuple[torch.Tensor, ...], views: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(each + views[:, None, None, None] * torch.rand(each.shape) for each in inputs)


def test_a_mask_that_stays_where_its_image_goes_is_found() -> None:
    testing.check_task(TurnedWithMasks(train_count=8, test_count=4))
    with pytest.raises(AssertionError, match="moves an image and leaves its mask"):
        testing.check_task(Turned(train_count=8, test_count=4))
    with pytest.raises(AssertionError, match="a view of Random is another one the second time"):
        testing.check_task(Random(train_count=8, test_count=4))


class Loose(Sentences):
    """Decodes otherwise each time."""

    def decode(self, out: Path) -> TaskDescription:
        description = super().decode(out)
        tags = [np.random.default_rng().integers(0, 3, length) for length in range(2, 6)]
        write_split(out, "test", ([np.ones(len(each), np.int32) for each in tags],), (tags, np.arange(4) % 2))
        return description


def test_arrays_that_differ_each_time_are_found() -> None:
    with pytest.raises(AssertionError, match=r"Loose decodes test_targets0.npy differently the second time"):
        testing.check_task(Loose())

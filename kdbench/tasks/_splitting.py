"""Fields of tasks whose examples lie in files: one file a split, or one file that is shared out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from kdbench.contents import content_digest
from kdbench.errors import DataError
from kdbench.protocols import Task
from kdbench.protocols.data import ValidationOrigin


class Shared(Task):
    """Examples that are shared out into splits at random, each class in the same proportions."""

    validation_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of the examples that is set apart for validation, where they have no validation part of their own; 0 for
    none."""
    test_fraction: float = Field(0.2, gt=0, lt=1)
    """Share of the examples that is set apart as the test split, where they have none of their own."""
    validation_unseen: bool = False
    """Say true where the weights that a suite brings (of a student or a teacher) were not trained on the examples that
    validation is made of: nothing is chosen on examples that such weights may have learnt by heart."""
    split_seed: int = Field(0, ge=0)
    """Decides which examples go into which split."""

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError("validation_fraction and test_fraction leave nothing to train on; lower them")
        return self


class Filed(Shared):
    """Examples in files: `train`, `test` and perhaps `validation`, or one `file` that is shared out."""

    file: str | None = None
    """All examples, to be shared out; instead of `train` and `test`."""
    train: str | None = None
    """The training split."""
    validation: str | None = None
    """The validation split; without it, `validation_fraction` of the training examples are set apart."""
    test: str | None = None
    """The test split."""
    split_by: str | None = None
    """In `file`: what says of each example which split it belongs to: train, validation or test."""
    group_by: str | None = None
    """What says of each example whose it is (a patient, a speaker): those of one group stay in one split."""
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Which examples are kept, of every split: what says something of each -> what it says, `{site: [north]}`. Classes,
    vocabularies and what numbers are scaled by stay those of all examples."""
    origin: str = ""
    """Where the data comes from and on what terms; it goes with every model that `kdbench get` hands over."""

    @model_validator(mode="after")
    def _files_make_splits(self) -> Self:
        own = {"train": self.train, "validation": self.validation, "test": self.test}
        given = [name for name, place in own.items() if place is not None]
        if self.file is not None and given:
            raise ValueError(f"`file` is all examples, and `{given[0]}` some of them; give `file`, or train and test")
        if self.file is None and (self.train is None or self.test is None):
            raise ValueError("the data is one `file` that is shared out, or a file each for `train` and `test`")
        if self.split_by is not None and self.file is None:
            raise ValueError("`split_by` shares out one `file`; train and test are apart already")
        if self.split_by is not None and self.group_by is not None:
            raise ValueError("`split_by` says it all; leave out `group_by`")
        return self

    def data_origin(self) -> str:
        """The field `origin`."""
        return self.origin

    def identity(self) -> dict[str, Any]:
        """Every field that decides numbers; files by their content. Raises DataError where one is missing."""
        places = {name: _digest(name, place) for name, place in self.places().items()}
        nothing = () if self.only else ("only",)
        return {**self.model_dump(mode="json", exclude={*places, *nothing, "origin"}), "files": places}

    def places(self) -> dict[str, Path]:
        """The files by the field that names them."""
        given = {name: getattr(self, name) for name in ("file", "train", "validation", "test")}
        return {name: Path(place).expanduser() for name, place in given.items() if place is not None}

    def validation_origin(self) -> ValidationOrigin:
        """Whether weights from outside may have seen the validation examples."""
        return "own" if self.validation is not None or self.validation_unseen else "train"


def _digest(name: str, place: Path) -> str:
    digest = content_digest(place)
    if digest is None:
        raise DataError(f"{name}: there is no '{place}' to read; relative paths start in the current folder.")
    return digest

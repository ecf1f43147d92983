"""Your own texts, in TSV, CSV or JSON lines files: sentences or pairs of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.contents import content_digest
from kdbench.errors import DataError
from kdbench.protocols import TaskDescription
from kdbench.protocols.data import Kind
from kdbench.tasks._splitting import Filed


class TextFile(Filed):
    """Texts as ids of tokens with a mask, of varying length; classes, several labels, or values to be predicted.

    The tokenizer is a `tokenizer.json` (the file of Hugging Face's tokenizers), that of a model's folder, or a
    byte-level BPE trained on the training split's texts alone. It is kept beside the arrays and handed over with every
    model. What is longer than `max_length` tokens is cut; the report says how many texts were, and how many of the test
    split's tokens the tokenizer does not know.
    """

    version: ClassVar[int] = 2
    paper: ClassVar[str] = "Sennrich et al. 2016, BPE; Radford et al. 2019, section 2.2, byte-level"

    text: str = "text"
    """The column of the text; in JSON lines the field."""
    pair: str | None = None
    """The column of a second text, for tasks about pairs."""
    label: str | Annotated[tuple[str, ...], Field(min_length=1)] = "label"
    """The column of the target: a class name, labels parted by `|`, or a number. Several columns: as many numbers (kind
    values), or of each label a column of 0 and 1 (kind multilabel)."""
    kind: Literal["classes", "multilabel", "values"] = "classes"
    """What is predicted."""
    columns: tuple[str, ...] = ()
    """The columns' names, of files without a header."""
    tokenizer: str | None = None
    """A `tokenizer.json`, or a model's folder that holds one; without it a byte-level BPE is trained."""
    vocabulary: int = Field(8000, ge=300)
    """How many tokens the trained BPE has at most: 256 bytes, 3 special ones, and merges."""
    max_length: int = Field(128, ge=4)
    """Most tokens of an example, special ones included."""
    unit: str = ""
    """The unit of values."""
    metrics: tuple[str, ...] = ()
    """What good means here: the first decides. By default the kind's own."""

    @model_validator(mode="after")
    def _columns_are_named(self) -> Self:
        for field, name in self.named_columns():
            if self.columns and name not in self.columns:
                raise ValueError(f"{field} names the column '{name}', and columns has {', '.join(self.columns)}")
        if self.kind == "classes" and len(self.labels) > 1:
            raise ValueError("label names several columns, and one class an example stands in one; say the kind")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of the target."""
        return (self.label,) if isinstance(self.label, str) else self.label

    def named_columns(self) -> Iterator[tuple[str, str]]:
        """(field, column) of every column that every file has."""
        yield "text", self.text
        if self.pair is not None:
            yield "pair", self.pair
        yield from (("label", name) for name in self.labels)

    def identity(self) -> dict[str, Any]:
        """Files by their content, the tokenizer's included. Raises DataError where one is missing."""
        if self.tokenizer is None:
            return super().identity()
        from kdbench.tasks._tokens import tokenizer_file

        place = tokenizer_file(self.tokenizer)
        digest = content_digest(place) if place.is_file() else None
        if digest is None:
            raise DataError(f"tokenizer: there is no '{place}'; name a tokenizer.json, a folder with one, or nothing.")
        return {**super().identity(), "tokenizer": digest}

    def read_columns(self) -> set[str]:
        """Every column that is read."""
        sharing = (self.split_by, self.group_by)
        return {name for _, name in self.named_columns()} | {name for name in sharing if name} | set(self.only)

    def kinds(self) -> tuple[Kind, ...]:
        """The field `kind`."""
        return (self.kind,)

    def decode(self, out: Path) -> TaskDescription:
        """Raises DataError, with the file and the line, where a file is not what the fields say."""
        from kdbench.tasks._text_task import decode

        return decode(self, out)

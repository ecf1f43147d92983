"""Your own texts, in TSV, CSV or JSON lines files: sentences or pairs of them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.protocols import TaskDescription
from kdbench.protocols.data import Kind
from kdbench.tasks._splitting import Filed


class TextFile(Filed):
    """Texts as ids of tokens with a mask, of varying length; classes, several labels, or values to be predicted.

    The tokenizer is a `tokenizer.json` (the file of Hugging Face's tokenizers), or a byte-level BPE trained on the
    training split's texts alone. It is kept beside the arrays and handed over with every model. What is longer than
    `max_length` tokens is cut, and the report says how many were.
    """

    paper: ClassVar[str] = "Sennrich et al. 2016, BPE; Radford et al. 2019, section 2.2, byte-level"

    text: str = "text"
    """The column of the text; in JSON lines the field."""
    pair: str | None = None
    """The column of a second text, for tasks about pairs."""
    label: str = "label"
    """The column of the target: a class name, labels parted by `|`, or a number."""
    kind: Literal["classes", "multilabel", "values"] = "classes"
    """What is predicted."""
    columns: tuple[str, ...] = ()
    """The columns' names, of files without a header."""
    tokenizer: str | None = None
    """A `tokenizer.json`; without one a byte-level BPE is trained."""
    vocabulary: int = Field(8000, ge=300)
    """How many tokens the trained BPE has at most: 256 bytes, 3 special ones, and merges."""
    max_length: int = Field(128, ge=4)
    """Most tokens of an example, special ones included."""
    unit: str = ""
    """Of values: their unit."""
    metrics: tuple[str, ...] = ()
    """What good means here: the first decides. By default the kind's own."""

    @model_validator(mode="after")
    def _columns_are_named(self) -> Self:
        for field in ("text", "pair", "label"):
            name = getattr(self, field)
            if self.columns and name is not None and name not in self.columns:
                raise ValueError(f"{field} names the column '{name}', and columns has {', '.join(self.columns)}")
        return self

    def kinds(self) -> tuple[Kind, ...]:
        """The field `kind`."""
        return (self.kind,)

    def decode(self, out: Path) -> TaskDescription:
        """Raises DataError, with the file and the line, where a file is not what the fields say."""
        from kdbench.tasks._text_task import decode

        return decode(self, out)

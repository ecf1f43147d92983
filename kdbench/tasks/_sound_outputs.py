"""What is told about recordings: classes, or what was said as a sequence of symbols; from texts to numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from kdbench.errors import DataError, nearest
from kdbench.protocols import Output
from kdbench.ragged import Array, Index

BLANK = "<blank>"
"""The name of the symbol that stands for nothing."""


class SoundOutput(BaseModel):
    """One thing that is told about a recording."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Literal["classes", "sequence"] = "classes"
    """`classes`: one of several; `sequence`: what was said, learnt by CTC."""
    symbols: Literal["words", "characters"] = "words"
    """What a sequence is made of. Words are what stands between blanks; characters include the blank."""
    subsampling: int = Field(4, ge=1)
    """How much shorter a sequence is: a network gives ceil(n / subsampling) frames for n frames of features. Networks
    for it keep to that rate, so that teacher and student can be compared frame by frame."""
    loss_weight: float = Field(1.0, ge=0)
    """The weight of its loss, and of what is taught about it, beside the other outputs'."""
    metrics: tuple[str, ...] = ()
    """What good means, by names of metrics; by default accuracy, and the word error rate of a sequence."""


def described(name: str, one: SoundOutput, train: Sequence[str], axis: str | None) -> Output:
    """The output as all training texts have it. axis: what varies with the recordings' length.

    Raises DataError where they name fewer than two classes, or recordings of one length are to be a sequence.
    """
    same = {"name": name, "kind": one.kind, "loss_weight": one.loss_weight, "metrics": one.metrics}
    if one.kind == "classes":
        names = tuple(sorted(set(train)))
        if len(names) < 2:
            raise DataError(f"the training recordings have {len(names)} classes of '{name}', at least 2 are needed.")
        return Output(**same, axes=(len(names),), class_names=names)
    if axis is None:
        raise DataError(f"'{name}' is a sequence, for which recordings keep their own length; say `seconds: own`.")
    symbols = sorted({symbol for text in train for symbol in _symbols(one, text)})
    return Output(
        **same,
        axes=("steps", 1 + len(symbols)),
        class_names=(BLANK, *symbols),
        frames=axis,
        subsampling=one.subsampling,
    )


def numbers(output: Output, one: SoundOutput, texts: Iterable[str]) -> Array | list[Array]:
    """Classes (N,), or N rows of symbols. Raises DataError for what no training recording has."""
    known = {name: number for number, name in enumerate(output.class_names)}
    if one.kind == "classes":
        return np.array([_number(known, text, output, "class") for text in texts])
    rows = ([_number(known, symbol, output, "symbol") for symbol in _symbols(one, text)] for text in texts)
    return [np.array(row, np.int32) for row in rows]


def too_short(output: Output, targets: Array | Sequence[Array], lengths: Index) -> int:
    """How many examples have fewer frames than their symbols need: one each, and one between two that are equal."""
    needed = np.array([len(row) + int((np.diff(row) == 0).sum()) for row in targets])
    return int((-(-lengths // output.subsampling) < needed).sum())


def _symbols(one: SoundOutput, text: str) -> list[str]:
    return text.split() if one.symbols == "words" else list(" ".join(text.split()))


def _number(known: Mapping[str, int], text: str, output: Output, what: str) -> int:
    if text not in known:
        raise DataError(
            f"'{text}' is a {what} of '{output.name}' that has no training recording; add some. "
            f"{nearest(text, output.class_names)}"
        )
    return known[text]

"""Error rates of sequences: edits between what is answered and what is true, over how long the truth is.

Source
Levenshtein 1966: insertions, deletions and substitutions, one each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.metrics.bases import OfSums

if TYPE_CHECKING:
    from numpy.typing import NDArray

BETWEEN_WORDS = (" ", "|", "\N{LOWER ONE EIGHTH BLOCK}")
"""What stands between two words among a sequence's symbols: a blank, wav2vec 2.0's bar, SentencePiece's mark."""


class TokenErrorRate(OfSums):
    """Symbols to be inserted, deleted or replaced, over the symbols of the truth."""

    label = "token error rate"
    direction = "lower"
    range = (0.0, None)
    kinds = frozenset({"sequence"})
    tolerance, relative = 0.03, True

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Without a symbol."""
        return None if any(map(len, self._rows(targets))) else "no target has a word in it"

    def support(self, targets: Any) -> str:
        """With the symbols."""
        return f"{len(targets):,} examples with {sum(map(len, self._rows(targets))):,} tokens"

    def parts(self, outputs: Any, targets: Any) -> NDArray[Any]:
        """Edits, symbols of the truth."""
        pairs = zip(self._rows(outputs), self._rows(targets), strict=True)
        return np.array([[edits(answered, true), len(true)] for answered, true in pairs], np.float64)

    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        return sums[..., 0] / np.maximum(sums[..., 1], 1.0)

    def _rows(self, rows: Any) -> list[Sequence[Any]]:
        return [np.asarray(row).tolist() for row in rows]


class WordErrorRate(TokenErrorRate):
    """Words to be inserted, deleted or replaced, over the words of the truth.

    Symbols are joined to text and cut at blanks; where none of them has a blank in it, each is a word.
    """

    label = "word error rate"

    def support(self, targets: Any) -> str:
        """With the words."""
        return f"{len(targets):,} examples with {sum(map(len, self._rows(targets))):,} words"

    def _rows(self, rows: Any) -> list[Sequence[Any]]:
        names = list(self.output.class_names)
        if not any(sign in name for name in names for sign in BETWEEN_WORDS):
            return super()._rows(rows)
        for sign in BETWEEN_WORDS[1:]:
            names = [name.replace(sign, " ") for name in names]
        return ["".join(names[symbol] for symbol in row).split() for row in rows]


def edits(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The least number of insertions, deletions and substitutions that make one sequence of the other."""
    numbers: dict[Any, int] = {}
    a, b = (np.array([numbers.setdefault(item, len(numbers)) for item in row], np.int64) for row in (one, other))
    places = np.arange(len(b) + 1)
    row = places
    for item in a:
        least = np.minimum(row + 1, np.append(len(a) + len(b) + 1, row[:-1] + (b != item)))
        row = np.minimum.accumulate(least - places) + places
    return int(row[-1])

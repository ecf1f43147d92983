"""F1 of entities: spans of tokens with a type, as tags B-TYPE, I-TYPE and O mark them (CoNLL 2003)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.metrics.bases import OfSums

if TYPE_CHECKING:
    from numpy.typing import NDArray

OUTSIDE = "O"
FEWEST_WITH = 10


class EntityF1(OfSums):
    """2 x entities found / (answered + true); an entity is found where first token, last token and type are right.

    As CoNLL's own script has it, I-TYPE after another type or after O begins an entity.
    """

    label = "entity F1"
    paper = "Tjong Kim Sang, De Meulder 2003, section 2"
    kinds = frozenset({"token_classes"})

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Without a single true entity."""
        return None if any(self._entities(row, row) for row in targets) else "no example has an entity"

    def few(self, targets: Any) -> str | None:
        """Below 20 examples, or 10 that have an entity."""
        having = sum(bool(self._entities(row, row)) for row in targets)
        few = f"only {having} of {len(targets):,} examples have an entity" if having < FEWEST_WITH else None
        return super().few(targets) or few

    def support(self, targets: Any) -> str:
        """With the entities."""
        return f"{len(targets):,} examples with {sum(len(self._entities(row, row)) for row in targets):,} entities"

    def parts(self, outputs: Any, targets: Any) -> NDArray[Any]:
        """Twice the entities found, entities answered plus true."""
        found = []
        for answered, true in zip(outputs, targets, strict=True):
            ours, theirs = self._entities(answered, true), self._entities(true, true)
            found.append([2 * len(ours & theirs), len(ours) + len(theirs)])
        return np.array(found, np.float64)

    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        return sums[..., 0] / np.maximum(sums[..., 1], 1.0)

    def _entities(self, row: Any, true: Any) -> frozenset[tuple[str, int, int]]:
        """(type, first token, behind the last), among the tokens that count."""
        names, ignored = self.output.class_names, self.output.ignore
        kept = [tag for tag, real in zip(row, true, strict=True) if real != ignored]
        return frozenset(_spans([names[tag] if tag < len(names) else OUTSIDE for tag in kept]))


def _spans(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    begun, kind = 0, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        mark, _, its = tag.partition("-")
        goes_on = mark == "I" and its == kind
        if kind and not goes_on:
            yield kind, begun, place
        if not goes_on:
            begun, kind = place, "" if tag == OUTSIDE else its or tag

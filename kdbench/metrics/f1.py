"""F1: the harmonic mean of precision and recall, of one class, over all labels, or averaged over classes.

F1 of a class is the sum of a over that of b, where an example adds to a twice the times that the class is answered
rightly, and to b the times it is answered plus the times it is true. An example's influence on such a quotient V is
(a - V b) / (mean b).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.metrics.bases import Influenced, OfSums
from kdbench.metrics.by_class import counts_of, rare

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MacroF1(Influenced):
    """The mean over classes of each one's F1, 2 x right / (answered + true); classes without a target are left out."""

    label = "macro F1"
    kinds = frozenset({"classes", "multilabel", "token_classes"})

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Without a single true class."""
        return None if counts_of(self.output, targets).any() else "no example has a class"

    def few(self, targets: Any) -> str | None:
        """Below 20 examples, or 10 of the rarest class."""
        return super().few(targets) or rare(self.output, counts_of(self.output, targets), len(targets))

    def value(self, outputs: Any, targets: Any) -> float:
        """0 to 1."""
        from sklearn.metrics import f1_score

        if self.output.kind == "token_classes":
            outputs, targets = _real(outputs, targets, self.output.ignore)
        present = np.flatnonzero(targets.any(0)) if self.output.kind == "multilabel" else np.unique(targets)
        return float(f1_score(targets, outputs, labels=present, average="macro", zero_division=0))

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """The mean over classes of (a - V b) / (mean b)."""
        example, true, answered, both = _terms(outputs, targets, self.output.kind, self.output.ignore)
        size = 1 + max(int(true[1].max(initial=0)), int(answered[1].max(initial=0)))
        sums = [np.bincount(classes, minlength=size).astype(float) for _, classes in (true, answered, both)]
        present = sums[0] > 0
        below = np.where(present, sums[0] + sums[1], 1.0)
        value = 2 * sums[2] / below
        scale = np.where(present, example / below / present.sum(), 0.0)
        found = np.zeros(example)
        np.add.at(found, both[0], 2 * scale[both[1]])
        for places, classes in (true, answered):
            np.subtract.at(found, places, (value * scale)[classes])
        return found


class F1(OfSums):
    """F1 of the second of two classes, the positive one: 2 x right / (answered + true)."""

    label = "F1"

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """With other than two classes, and without a positive example."""
        if self.output.class_count > 2:
            return f"F1 is for two classes and there are {self.output.class_count}; macro_f1 is for more"
        return None if (targets == 1).any() else "no example is positive"

    def few(self, targets: Any) -> str | None:
        """Below 20 examples, or 10 of either class."""
        return super().few(targets) or rare(self.output, counts_of(self.output, targets), len(targets))

    def support(self, targets: Any) -> str:
        """With the positive ones."""
        return f"{len(targets):,} examples, {int((targets == 1).sum()):,} of them positive"

    def parts(self, outputs: Any, targets: Any) -> NDArray[Any]:
        """Right and positive, answered plus true."""
        answered, true = outputs == 1, targets == 1
        return np.stack([2.0 * (answered & true), answered.astype(float) + true], axis=1)

    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        return sums[..., 0] / np.maximum(sums[..., 1], 1.0)


class MicroF1(F1):
    """F1 over all labels of all examples together."""

    label = "micro F1"
    kinds = frozenset({"multilabel"})

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Without a single true label."""
        return None if np.any(targets) else "no example has a label"

    def support(self, targets: Any) -> str:
        """With the labels."""
        return f"{len(targets):,} examples with {int(np.sum(targets)):,} labels"

    def few(self, targets: Any) -> str | None:
        """Below 20 examples, or 10 that have any label."""
        having = int(np.any(targets, axis=1).sum())
        few = f"only {having} of {len(targets):,} examples have a label" if having < 10 else None
        return super(F1, self).few(targets) or few

    def parts(self, outputs: Any, targets: Any) -> NDArray[Any]:
        """Right labels, answered plus true ones."""
        answered, true = np.asarray(outputs) == 1, np.asarray(targets) == 1
        return np.stack([2.0 * (answered & true).sum(1), answered.sum(1) + true.sum(1)], axis=1)


def _real(outputs: Any, targets: Any, ignore: int | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Answers and targets of all tokens that count, end to end."""
    answered, true = (np.concatenate([np.asarray(row) for row in rows]) for rows in (outputs, targets))
    kept = true != ignore if ignore is not None else np.ones(len(true), np.bool_)
    return answered[kept], true[kept]


def _terms(outputs: Any, targets: Any, kind: str, ignore: int | None) -> tuple[int, Any, Any, Any]:
    """How many examples there are; (places of examples, classes) where a class is true, answered, and both."""
    count = len(targets)
    if kind == "multilabel":
        answered, true = np.asarray(outputs) == 1, np.asarray(targets) == 1
        return count, np.nonzero(true), np.nonzero(answered), np.nonzero(answered & true)
    if kind == "classes":
        places, answered, true = np.arange(count), np.asarray(outputs), np.asarray(targets)
    else:
        places = np.repeat(np.arange(count), [len(row) for row in targets])
        answered, true = (np.concatenate([np.asarray(row) for row in rows]) for rows in (outputs, targets))
        kept = true != ignore if ignore is not None else np.ones(len(true), np.bool_)
        places, answered, true = places[kept], answered[kept], true[kept]
    right = answered == true
    return count, (places, true), (places, answered), (places[right], true[right])

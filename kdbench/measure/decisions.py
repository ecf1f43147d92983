"""What outputs decide, by their kind, and how often two sets of decisions agree. Knows numpy only.

The kinds are those of `kdbench.protocols.data.Kind`. The file keeps to the syntax of Python 3.9: devices run it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

KINDS = ("classes", "multilabel", "values", "dense_classes", "token_classes", "sequence", "embedding")
Decisions = Union[Any, Sequence[Any]]
"""An array (n, ...), or n arrays where examples differ in length."""


def decide(kind: str, outputs: Any, blank: int = 0) -> Decisions:
    """Decisions of outputs (n, ...), or of n outputs of unequal length without their padding.

    classes: int32 (n,), the highest of K. multilabel: uint8 (n, K), 1 where the logit is above 0. dense_classes: int32
    (n, H, W); token_classes: int32 (L,) an example; sequence: int32 (length,) an example, the highest symbol of each
    frame without repetitions and blanks (greedy decoding, Graves et al. 2006, section 3.2). values and embedding: the
    float32 outputs themselves.
    """
    import numpy as np

    if kind in ("values", "embedding"):
        return np.asarray(outputs, np.float32)
    if kind == "multilabel":
        return (np.asarray(outputs) > 0).astype(np.uint8)
    if kind in ("classes", "dense_classes"):
        return np.asarray(outputs).argmax(1).astype(np.int32)
    each = [np.asarray(one).argmax(-1).astype(np.int32) for one in outputs]
    return [_collapsed(one, blank) for one in each] if kind == "sequence" else each


def _collapsed(symbols: Any, blank: int) -> Any:
    """Frames' symbols (T,) without repetitions, then without blanks."""
    import numpy as np

    kept = np.concatenate([symbols[:1], symbols[1:][symbols[1:] != symbols[:-1]]])
    return kept[kept != blank]


def agreement(kind: str, one: Decisions, other: Decisions) -> float:
    """How far two models' decisions on the same examples agree: a fraction.

    classes and dense_classes: the share of examples, of places, with the same class. multilabel: the share of labels.
    token_classes: the share of tokens; sequence: the share of examples with the same symbols. values: the mean over
    the D numbers of Pearson's correlation; embedding: the mean cosine.
    """
    import numpy as np

    if kind == "values":
        columns = zip(np.asarray(one, np.float64).T, np.asarray(other, np.float64).T)
        return float(np.mean([_correlation(a, b) for a, b in columns]))
    if kind == "embedding":
        a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        return float(np.mean((a * b).sum(1) / np.maximum(lengths, 1e-12)))
    if kind == "sequence":
        return float(np.mean([np.array_equal(a, b) for a, b in zip(one, other)]))
    if kind == "token_classes":
        return float(np.mean(np.concatenate([np.asarray(a) == np.asarray(b) for a, b in zip(one, other)])))
    return float((np.asarray(one) == np.asarray(other)).mean())


def alike(kind: str, fraction: float) -> bool:
    """Whether an agreement says that two models' decisions are the same; numbers are, but for rounding."""
    return fraction >= (0.9999 if kind in ("values", "embedding") else 1)


def differing(kind: str, fraction: float) -> str:
    """An agreement below 1 in words that follow a model's name: "gives 2.0% of the examples another class"."""
    if kind == "values":
        return f"gives other values (correlation {fraction:.4f})"
    if kind == "embedding":
        return f"gives other embeddings (cosine {fraction:.4f})"
    share = f"{1 - fraction:.1%}"
    if kind == "multilabel":
        return f"decides {share} of the labels otherwise"
    if kind == "sequence":
        return f"gives {share} of the examples other symbols"
    places = {"dense_classes": "places", "token_classes": "tokens"}
    return f"gives {share} of the {places.get(kind, 'examples')} another class"


def _correlation(one: Any, other: Any) -> float:
    """Pearson's r; of answers that never vary 1 where they are the same, else 0."""
    import numpy as np

    if np.allclose(one, other, rtol=1e-6, atol=1e-12):
        return 1.0
    spread = one.std() * other.std()
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread) if spread > 0 else 0.0

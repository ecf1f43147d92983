"""The contract of a metric: how good a model's answers are, as one value and as one number an example.

Everything that compares cases (paired differences, groups, the gate, the resamples of `choose`) works on a metric's
pseudo-values: n numbers, one an example, whose mean is the metric's value, exactly or to first order. A mean over
examples, such as accuracy, is its own pseudo-values. For any other metric they say how much the value owes to each
example, and the same statistics hold (Efron & Stein 1981; Busing, Meijer & van der Leeden 1999 for blocks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from kdbench import registry
from kdbench.errors import UnknownName, nearest
from kdbench.protocols.part import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCKS, FEWER_BLOCKS, MANY_EXAMPLES = 50, 20, 1000
"""How many blocks of examples the jackknife leaves out, one at a time; the fewer below so many examples. One example
at a time would call two equal medians different in 14 of 100 tables, blocks in 4 to 6."""


class Metric(Part):
    """How good answers are. A metric needs `value`; everything else has a default.

    outputs: int32 (n,), the class that a model gives each example (the one with the highest output);
    targets: int32 (n,), the true classes.
    """

    label: ClassVar[str] = ""
    """What tables and sentences call it; empty for its registered name."""
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    """Which values are better."""
    unit: ClassVar[Literal["fraction", "value"]] = "fraction"
    """`fraction`: shown in per cent, differences in points; `value`: as it is, in the targets' own unit."""
    range: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    """The lowest and the highest value there can be; None where there is no bound."""
    kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    """The kinds of output it makes sense for."""
    counted: ClassVar[bool] = False
    """Whether the value is a share of the examples: each pseudo-value is 0 or 1, so that exact tests hold."""

    def value(self, outputs: NDArray[np.int32], targets: NDArray[np.int32]) -> float:
        """The metric over all examples. Does not depend on their order."""
        raise TypeError(f"{type(self).__name__} has no value()")

    def pseudo_values(self, outputs: NDArray[np.int32], targets: NDArray[np.int32]) -> NDArray[np.float64]:
        """(n,), one number an example, whose mean is the value.

        A metric that knows better overrides this. By default it is the jackknife over random blocks of examples, the
        same blocks for every case: `value` is asked once for each block, without that block's examples.
        """
        return jackknife(self, outputs, targets)

    def loss(self, reference: float, new: float) -> float:
        """How much worse `new` is than `reference`: positive where it is worse, whichever way is better."""
        return reference - new if self.direction == "higher" else new - reference


def jackknife(metric: Metric, outputs: NDArray[np.int32], targets: NDArray[np.int32]) -> NDArray[np.float64]:
    """Pseudo-values (n,) of a metric that gives its value alone.

    A block's pseudo-value is h V - (h - 1) V_, where V_ is the value without the block, and h the number of examples
    over that of the block. Its distance from their mean is given to each of the block's examples, times the square root
    of a block's usual size: so the spread over examples is that of single examples, and the mean is the value.
    """
    import numpy as np

    count = len(targets)
    whole = metric.value(outputs, targets)
    order = np.random.default_rng([0, count]).permutation(count)
    blocks = np.array_split(order, min(count, BLOCKS if count >= MANY_EXAMPLES else FEWER_BLOCKS))
    if len(blocks) < 2:
        return np.full(count, whole)
    found = np.empty(count)
    for block in blocks:
        rest, times = np.delete(np.arange(count), block), count / len(block)
        found[block] = times * whole - (times - 1) * metric.value(outputs[rest], targets[rest])
    return np.asarray(whole + np.sqrt(count / len(blocks)) * (found - found.mean()), np.float64)


def metric_named(name: str) -> Metric:
    """The registered metric of that name, kdbench's own or an installed package's.

    Raises UnknownName. A record or a task says which metric it is about, and neither may name a file to be run.
    """
    known = registry.names("metric")
    if name not in known:
        raise UnknownName(
            f"there is no metric '{name}'. {nearest(name, known)} A package of your own adds one by an entry point "
            "kdbench.metrics."
        )
    metric: Metric = registry.resolve("metric", name)()
    return metric

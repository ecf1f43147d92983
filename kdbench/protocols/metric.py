"""The contract of a metric: how good a model's answers are, as one value and as one number an example.

Everything that compares cases (paired differences, groups, the gate, the resamples of `choose`) works on a metric's
pseudo-values: n numbers, one an example, whose mean is the metric's value. A mean over examples, such as accuracy, is
its own pseudo-values. For any other metric they say how much the value owes to each example, and the same statistics
hold (Dorfman, Berbaum, Metz 1992; Efron & Stein 1981; Busing, Meijer & van der Leeden 1999 for blocks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import PrivateAttr

from kdbench import registry
from kdbench.errors import DataError, UnknownName, nearest
from kdbench.protocols.data import Output
from kdbench.protocols.part import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Answers = Any
"""An array (n, ...); where examples differ in length a list of n arrays, or a `kdbench.ragged.Ragged`."""
BLOCKS, FEWER_BLOCKS, MANY_EXAMPLES = 50, 20, 1000
"""How many blocks of examples the jackknife leaves out, one at a time; the fewer below so many examples. One example
at a time would call two equal medians different in 14 of 100 tables, blocks in 4 to 6."""
FEWEST_EXAMPLES = 20
"""With fewer examples a value has no interval."""
DRAWN_OUTPUT = Output(axes=(2,))
"""The output of a metric that nobody has given one."""


class Metric(Part):
    """How good answers are. A metric needs `value`; everything else has a default.

    outputs: what a model gives the n examples. Where `needs` is "decisions": what `kdbench.measure.decisions.decide`
    makes of it. classes: int32 (n,), the class with the highest output; multilabel: 0 or 1, uint8 (n, K); values:
    float32 (n, D); dense_classes: int32 (n, H, W); token_classes and sequence: n rows of int32. Where it is "outputs":
    the numbers themselves, (n, K) logits of classes and labels.
    targets: as the kind stores them (`kdbench.protocols.data.Kind`); n rows where examples differ in length.
    A metric that has to know more (the target that does not count, a sequence's symbols) reads `self.output`.
    """

    label: ClassVar[str] = ""
    """What tables and sentences call it; empty for its registered name, or its class's."""
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    """Which values are better."""
    unit: ClassVar[Literal["fraction", "value"]] = "fraction"
    """`fraction`: shown in per cent, differences in points; `value`: as it is, in the unit that `unit_name` says."""
    range: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    """The lowest and the highest value there can be; None where there is no bound."""
    kinds: ClassVar[frozenset[str]] = frozenset({"classes"})
    """The kinds of output it makes sense for."""
    needs: ClassVar[Literal["decisions", "outputs"]] = "decisions"
    """What `outputs` are."""
    counted: ClassVar[bool] = False
    """Whether the value is a share of the examples: each pseudo-value is 0 or 1, so that exact tests hold."""
    tested: ClassVar[bool] = True
    """Whether differences may be tested. A value that chance alone moves one way, as it moves a maximum, may not."""
    tolerance: ClassVar[float] = 0.005
    """How much worse a file may be than a reference where nobody says it: the value's own unit (points as a rate)."""
    relative: ClassVar[bool] = False
    """Whether `tolerance` is a share of the reference's value."""
    test_scale: ClassVar[Literal["identity", "fisher", "log_lost"]] = "identity"
    """Where differences are tested: the value itself, atanh of a correlation, -log(1 - value)."""
    lone_scale: ClassVar[Literal["identity", "logit"]] = "identity"
    """Where one file's own interval is made: `logit` keeps that of a rate within 0 and 1."""

    _output: Output = PrivateAttr(DRAWN_OUTPUT)

    @property
    def output(self) -> Output:
        """The output that is judged."""
        return self._output

    def judging(self, output: Output) -> Self:
        """A copy that judges an output. Raises DataError where it makes no sense for outputs of that kind."""
        if output.kind not in self.kinds:
            kinds = ", ".join(sorted(self.kinds))
            raise DataError(
                f"the output '{output.name}' is of kind {output.kind}, and the metric {self.name} judges {kinds}; "
                "name another metric."
            )
        bound = self.model_copy()
        bound._output = output
        return bound

    @property
    def name(self) -> str:
        """Its label, else its class's name."""
        return self.label or type(self).__name__

    @property
    def unit_name(self) -> str:
        """The unit of a value that is no fraction; "" for a plain number."""
        return ""

    def undefined(self, outputs: Answers, targets: Answers) -> str | None:
        """Why these answers have no value, as words that follow "no value: "; None where they have one."""
        return None

    def few(self, targets: Answers) -> str | None:
        """Why these targets are too few to say how far chance moves the value; None where they are enough."""
        count = len(targets)
        return f"only {count} examples" if count < FEWEST_EXAMPLES and not self.counted else None

    def units(self, targets: Answers) -> NDArray[np.int64] | None:
        """(n,) numbers: examples with the same one are one observation, as the two of a pair are; None: each is one."""
        return None

    def support(self, targets: Answers) -> str:
        """How much the value rests on, in words: "357 examples, 18 of them positive"."""
        return f"{len(targets):,} examples"

    def value(self, outputs: Answers, targets: Answers) -> float:
        """The metric over all examples. Does not depend on their order."""
        raise TypeError(f"{type(self).__name__} has no value()")

    def pseudo_values(self, outputs: Answers, targets: Answers) -> NDArray[np.float64]:
        """(n,), one number an example, whose mean is the value.

        A metric that knows better overrides this. By default it is the jackknife over random blocks of examples, the
        same blocks for every case: `value` is asked once for each block, without that block's examples.
        """
        return jackknife(self, outputs, targets)

    def loss(self, reference: float, new: float) -> float:
        """How much worse `new` is than `reference`: positive where it is worse, whichever way is better."""
        return reference - new if self.direction == "higher" else new - reference


def jackknife(metric: Metric, outputs: Answers, targets: Answers) -> NDArray[np.float64]:
    """Pseudo-values (n,) of a metric that gives its value alone.

    A block's pseudo-value is h V - (h - 1) V_, where V_ is the value without the block, and h the number of examples
    over that of the block. Its distance from their mean is given to each of the block's examples, times the square root
    of a block's usual size: so the spread over examples is that of single examples, and the mean is the value.
    """
    import numpy as np

    count, units = len(targets), metric.units(targets)
    whole = metric.value(outputs, targets)
    own = np.arange(count) if units is None else np.unique(units, return_inverse=True)[1]
    order = np.random.default_rng([0, count]).permutation(int(own.max()) + 1)
    shared = np.array_split(order, min(len(order), BLOCKS if count >= MANY_EXAMPLES else FEWER_BLOCKS))
    blocks = shared if units is None else [np.flatnonzero(np.isin(own, some)) for some in shared]
    if len(blocks) < 2:
        return np.full(count, whole)
    found = np.empty(count)
    for block in blocks:
        times = count / len(block)
        rest = np.delete(np.arange(count), block)
        found[block] = times * whole - (times - 1) * metric.value(taken(outputs, rest), taken(targets, rest))
    return np.asarray(whole + np.sqrt(count / len(blocks)) * (found - found.mean()), np.float64)


def taken(answers: Answers, places: NDArray[np.intp]) -> Answers:
    """The answers to some of the examples, in that order."""
    from kdbench.ragged import Ragged

    if isinstance(answers, Ragged):
        return answers.taken(places)
    return [answers[place] for place in places] if isinstance(answers, list) else answers[places]


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

"""One output of a file under two interpreters: how far its answers are apart, and what judges them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench import registry
from kdbench.check.answers import TIE
from kdbench.check.sides import Side
from kdbench.measure.decisions import agreement, decide
from kdbench.protocols import Output
from kdbench.protocols.metric import Metric
from kdbench.ragged import Stored
from kdbench.results.predictions import judge_of
from kdbench.results.records import Score
from kdbench.results.sample import Sample
from kdbench.results.task_json import read_task
from kdbench.scale import Scale


@dataclass(frozen=True)
class Judge:
    """What judges one output of the task on the kept sample."""

    output: Output
    number: int
    """The output's place; the first one's metric is what the suite holds files to."""
    name: str
    """The metric's, as a suite names it."""
    metric: Metric
    """As it judges this output."""
    targets: Stored | None
    """None where the folder is of a kdbench that kept those of the first output alone."""

    def titled(self, scale: Scale) -> Scale:
        """The metric's scale, under the output's name too where it is not the first."""
        return replace(scale, name=f"{self.output.name}: {scale.name}") if self.number else scale

    def given(self, outputs: Stored) -> Any:
        """What the metric is given: decisions, or the outputs themselves."""
        return outputs if self.metric.needs == "outputs" else decide(self.output.kind, outputs, self.output.blank)

    def unjudged(self, given: Sequence[Any]) -> str | None:
        """Why the answers have no values that could be compared, in words; None where they have."""
        if registry.is_file(self.name):
            return f"{self.name} is a metric of the suite's own, whose file is not run here"
        if self.targets is None:
            return f"the folder keeps no targets of '{self.output.name}'; run the suite again"
        return next((why for one in given if (why := self.metric.undefined(one, self.targets))), None)


def judges(side: Side, case: str, sample: Sample) -> list[Judge]:
    """What judges each output that a case's files have a score of: the metric that decides, of others their first.

    An output without one is nobody's answer: the network was not made to tell it.
    """
    first: dict[str, Score] = {}
    for score in side.results.of(Score, case):
        if score.undefined is None:
            first.setdefault(score.output, score)
    outputs = read_task(side.results.folder).description.outputs
    found = [Judge(outputs[0], 0, side.results.metric_name, side.metric, sample.targets)] if "" in first else []
    for number, output in enumerate(outputs[1:], 1):
        if (record := first.get(output.name)) is not None:
            targets = sample.further.get(output.name)
            found.append(Judge(output, number, record.metric, judge_of(record, output), targets))
    return found


def alike_in_shape(new: Stored, its: Stored) -> bool:
    """Whether both answer the same examples with as many numbers each."""
    return len(new) == len(its) and all(np.shape(new[place]) == np.shape(its[place]) for place in range(len(its)))


def how_far(output: Output, new: Stored, its: Stored) -> str:
    """How far the answers of both are apart, in words."""
    if output.kind == "classes":
        return _of_classes(np.asarray(new), np.asarray(its))
    furthest = max(float(np.abs(np.subtract(new[place], its[place])).max(initial=0)) for place in range(len(its)))
    apart = f"outputs lie up to {furthest:.2g}{f' {output.unit}' if output.unit else ''} apart;"
    if output.kind in ("values", "embedding"):
        return apart
    share = agreement(output.kind, *(decide(output.kind, one, output.blank) for one in (new, its)))
    return f"{100 * share:.4g} % of the answers are the same, {apart}"


def _of_classes(new: NDArray[Any], its: NDArray[Any]) -> str:
    rows = np.arange(len(its))
    highest, lowest = new.max(axis=1), new.min(axis=1)
    span = np.maximum(highest - lowest, np.finfo(np.float32).tiny)
    changed = int((highest - new[rows, its.argmax(1)] > TIE * span).sum())
    furthest = float((np.abs(new - its).max(axis=1) / span).max())
    classed = (
        f"{changed:,} of {len(its):,} examples are classed otherwise" if changed else "every example has its class"
    )
    return f"{classed}, outputs lie up to {100 * furthest:.2g} % of their range apart;"

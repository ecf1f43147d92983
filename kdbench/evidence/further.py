"""What a folder shows by other metrics than the one that decides: the same statistics, nothing that is chosen by."""

from collections.abc import Iterator
from dataclasses import dataclass

from kdbench.evidence.scores import ScoreView, score_views
from kdbench.results.folder import Results
from kdbench.results.predictions import judge_of
from kdbench.results.records import Score
from kdbench.scale import Scale


@dataclass(frozen=True)
class FurtherView:
    """One metric of one output on one target."""

    target: str
    output: str
    """Empty for the task's first output."""
    scale: Scale
    is_tested: bool
    """Whether differences may be tested."""
    cases: dict[str, ScoreView]
    undefined: dict[str, str]
    """Case -> why it has no value."""


def further_views(results: Results, target: str) -> Iterator[FurtherView]:
    """Each further metric in the order of its first record."""
    found: dict[tuple[str, str], list[Score]] = {}
    for record in results.of(Score):
        if not record.decides and record.target == target:
            found.setdefault((record.output, record.metric), []).append(record)
    for (output, _), records in found.items():
        metric = judge_of(records[0], results.output(output))
        yield FurtherView(
            target=target,
            output=output,
            scale=Scale.of(metric.name, metric.unit, metric.unit_name, metric.direction),
            is_tested=metric.tested,
            cases=score_views(results, target, records),
            undefined={record.case: record.undefined for record in records if record.undefined is not None},
        )

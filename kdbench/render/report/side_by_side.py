"""Several results of the same cases, side by side: one suite for each person, site or data set."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdbench.evidence import Evidence


@dataclass(frozen=True)
class SideBySide:
    """A table: a row a case, a column a suite."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]

    def markdown(self) -> str:
        """The table as Markdown, with a line above that says what its numbers are."""
        lines = [f"| Case | {' | '.join(self.columns)} |", f"|:---|{'---:|' * len(self.columns)}"]
        lines += [f"| {case} | {' | '.join(cells)} |" for case, cells in self.rows]
        return "\n".join([f"{self.heading}, on the test split of each:", "", *lines])


def side_by_side(found: Sequence[Evidence]) -> SideBySide | None:
    """The cases of suites that have the same ones, and are judged by the same metric; None for any others."""
    cases = {tuple(case.name for case in one.cases) for one in found}
    if len(found) < 2 or len(cases) > 1 or len({one.scale.heading for one in found}) > 1:
        return None
    suites = [one.results.plan.suite for one in found]
    shared = _shared(suites)
    rows = tuple((name, tuple(_cell(one, name) for one in found)) for name in next(iter(cases)))
    scale = found[0].scale
    heading = f"{scale.heading} ({scale.of_values})" if scale.of_values else scale.heading
    return SideBySide(heading, tuple(suite.removeprefix(shared) or suite for suite in suites), rows)


def _shared(names: Sequence[str]) -> str:
    """What all names begin with, up to a hyphen."""
    first, last = min(names), max(names)
    same = next((n for n, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[: first[:same].rfind("-") + 1]


def _cell(evidence: Evidence, name: str) -> str:
    """Mean and half of its interval; without an interval the values themselves."""
    case = evidence.case(name)
    view = next(iter(case.score.values()), None) if case is not None else None
    if view is None:
        return "–"
    scale, estimate = evidence.scale, view.estimate
    if estimate.half is None:
        return ", ".join(scale.text(value, scale.decimals([], [value])) for value in estimate.values)
    decimals = scale.decimals([estimate.half], [estimate.value])
    return scale.interval(estimate.value, estimate.low, estimate.high, decimals)

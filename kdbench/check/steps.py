"""When a step happened in a history: each series against its level, by the gate's own rule. Reads no file."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kdbench.check.history import Entry, Point
from kdbench.timing.verdict_rule import DEFAULT, Rule, after_second

FEWEST = 3
"""Processes, or the rule has nothing to say."""


@dataclass(frozen=True)
class Series:
    """One value over the entries that have it, oldest first."""

    entries: tuple[Entry, ...]
    points: tuple[Point, ...]

    @property
    def name(self) -> Point:
        """The newest point, which says what the series is of."""
        return self.points[-1]


@dataclass(frozen=True)
class Step:
    """A change of level: between an entry and the level before it."""

    entry: Entry
    """The first at the new level."""
    level: Point
    point: Point
    is_worse: bool
    is_confirmed: bool
    """Whether the next entry lies there too; the newest entry of all has none yet."""

    @property
    def is_same_file(self) -> bool:
        """Whether the file's bytes are those of the level: then the machine or the runtime changed, not the model."""
        return bool(self.point.file_sha256) and self.point.file_sha256 == self.level.file_sha256


def series_of(entries: Sequence[Entry]) -> list[Series]:
    """Every series of a history, in the order of the newest entry that has it."""
    found: dict[tuple[str, str, str, int], list[tuple[Entry, Point]]] = {}
    for entry in entries:
        for point in entry.points:
            found.setdefault(point.series, []).append((entry, point))
    pairs = sorted(found.values(), key=lambda pairs: pairs[-1][0].created_utc, reverse=True)
    return [Series(tuple(entry for entry, _ in each), tuple(point for _, point in each)) for each in pairs]


def steps_of(series: Series, rule: Rule = DEFAULT) -> list[Step]:
    """The steps of one series, oldest first.

    The level is the first entry on one machine and runtime (one fingerprint), so that slow creep adds up until it
    shows. An entry departs from the level where the gate's rule for fresh processes calls it slower (or the level
    slower than it): the logarithms of its processes' medians over the level's. It is a step where the next entry
    departs the same way; then it is the new level. One entry alone that departs is an outlier, and the newest of all is
    suspected. Sizes and scores do not scatter from run to run: they step where they pass the suite's tolerance.
    """
    return list(_steps(series, rule))


def _steps(series: Series, rule: Rule) -> Iterator[Step]:
    level: Point | None = None
    suspected: Step | None = None
    for entry, point in zip(series.entries, series.points, strict=True):
        if level is None or level.fingerprint != point.fingerprint:
            if suspected is not None:
                yield suspected
            level, suspected = point, None
            continue
        way = departs(point, level, rule)
        if suspected is not None and way == suspected.is_worse:
            yield Step(suspected.entry, suspected.level, suspected.point, suspected.is_worse, is_confirmed=True)
            level, suspected = suspected.point, None
            way = departs(point, level, rule)
        else:
            suspected = None
        if way is None:
            continue
        step = Step(entry, level, point, way, is_confirmed=point.metric != "latency")
        if step.is_confirmed:
            yield step
            level = point
        else:
            suspected = step
    if suspected is not None:
        yield suspected


def departs(point: Point, level: Point, rule: Rule = DEFAULT) -> bool | None:
    """Whether a point is worse (True) or better (False) than a level; None where neither can be said."""
    if point.metric == "score":
        loss = level.value - point.value if point.direction == "higher" else point.value - level.value
        return None if abs(loss) <= point.limit + 1e-12 else loss > 0
    if point.metric == "size":
        ratio = point.value / level.value
        return None if 1 / point.limit <= ratio <= point.limit else ratio > 1
    logs = [math.log(mine / its) for mine, its in zip(point.each, level.each, strict=False)]
    if len(logs) < FEWEST:
        return None
    for is_worse, values in ((True, logs), (False, [-value for value in logs])):
        if after_second(values, values, point.limit, rule) == "slower":
            return is_worse
    return None

"""A history for people: every series from its first to its newest value, with the steps in words."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from kdbench import units
from kdbench.check.history import Entry, Point
from kdbench.check.steps import Series, Step, series_of, steps_of
from kdbench.render.report.markdown import escaped
from kdbench.render.words.words import target_place

FORMS = ("text", "markdown", "json")
HEADINGS = ("Case", "Value", "On", "Entries", "First", "Newest", "Change", "Noise")
BARS = "▁▂▃▄▅▆▇█"
SHORT = 10
"""Characters of a commit that are shown."""


def written(entries: Sequence[Entry], form: str) -> str:
    """The history in one of FORMS."""
    found = series_of(entries)
    if form == "json":
        steps = [{**_named(step), "level": asdict(step.level), "point": asdict(step.point)} for step in _steps(found)]
        return json.dumps({"entries": [asdict(entry) for entry in entries], "steps": steps}, indent=1, allow_nan=False)
    rows, said = table(found), sentences(found)
    head = f"{entries[-1].suite}: {span(entries)}."
    if form == "markdown":
        lines = ["| " + " | ".join(row) + " |" for row in [HEADINGS, ("---",) * len(HEADINGS), *map(_escaped, rows)]]
        return "\n".join([escaped(head), "", *(f"- {escaped(text)}" for text in said), "", *lines]) + "\n"
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (HEADINGS, *rows)
    ]
    return "\n".join([head, "", *said, "", *lines])


def table(found: Sequence[Series]) -> list[tuple[str, ...]]:
    """A row of text a series, under HEADINGS."""
    return [_row(series) for series in found]


def sentences(found: Sequence[Series]) -> list[str]:
    """Where another machine begins, then every step; or that there is none."""
    said = [said_of(step) for step in _steps(found)] or ["No step: every series stays at its level."]
    return [*_new_levels(found), *said]


def span(entries: Sequence[Entry]) -> str:
    """How many entries there are, and from which commit to which."""
    if len(entries) == 1:
        return _at(entries[0])
    return f"{len(entries)} entries, {_at(entries[0])} to {_at(entries[-1])}"


def said_of(step: Step) -> str:
    """One sentence: what stepped, where, how far, and whether it is sure."""
    point = step.point
    way = {"latency": ("slower", "faster"), "size": ("larger", "smaller"), "score": ("worse", "better")}[point.metric]
    word = way[0] if step.is_worse else way[1]
    sure = "" if step.is_confirmed else "suspected, the next run will tell: "
    file = " The file is the same byte for byte: the machine or the runtime changed." if step.is_same_file else ""
    return (
        f"{sure}{point.case}, {_what(point)}{_where(point)}: {word} since {_at(step.entry)}, {_value(point)} after "
        f"{_value(step.level)} ({_change(point, step.level)}).{file}"
    )


def _new_levels(found: Sequence[Series]) -> list[str]:
    """Where values of another machine or runtime begin, a sentence each."""
    begun = {}
    for series in found:
        for (entry, point), before in zip(
            list(zip(series.entries, series.points, strict=True))[1:], series.points, strict=False
        ):
            if point.fingerprint != before.fingerprint:
                begun[entry.created_utc, target_place(point.target)] = _at(entry)
    return [
        f"{place}: another machine or runtime since {at}; what is before it is not compared with what follows."
        for (_, place), at in sorted(begun.items())
    ]


def _steps(found: Sequence[Series]) -> list[Step]:
    return sorted((step for series in found for step in steps_of(series)), key=lambda step: step.entry.created_utc)


def _named(step: Step) -> dict[str, object]:
    return {
        **{"commit": step.entry.commit, "created_utc": step.entry.created_utc, "is_worse": step.is_worse},
        **{"is_confirmed": step.is_confirmed, "is_same_file": step.is_same_file},
    }


def _row(series: Series) -> tuple[str, ...]:
    first, newest = series.points[0], series.points[-1]
    where = _where(newest).removeprefix(" on ")
    change = _change(newest, first)
    shown = f"{len(series.points)} {_bars([point.value for point in series.points])}"
    return newest.case, _what(newest), where, shown, _value(first), _value(newest), change, _noise(newest)


def _what(point: Point) -> str:
    return point.label or point.metric


def _where(point: Point) -> str:
    batch = f", batch {point.batch_size}" if point.batch_size else ""
    return f" on {target_place(point.target)}{batch}" if point.target else ""


def _at(entry: Entry) -> str:
    """Commit and day."""
    changed = " with changes" if entry.dirty else ""
    return f"{entry.commit[:SHORT]}{changed} ({entry.created_utc[:10]})"


def _value(point: Point) -> str:
    if point.metric == "latency":
        return units.latency(point.value)
    if point.metric == "size":
        return units.size(point.value)
    return f"{units.percent(point.value, 2)} %" if point.unit == "fraction" else units.three_digits(point.value)


def _change(point: Point, level: Point) -> str:
    if point.metric == "score":
        difference = point.value - level.value
        return f"{units.points(difference, 2)} points" if point.unit == "fraction" else units.three_digits(difference)
    return f"{100 * (point.value / level.value - 1):+.1f} %".replace("-", "−")


def _noise(point: Point) -> str:
    """How far the processes, or the seeds, of the newest run lie apart, about the value."""
    if len(point.each) < 2 or not point.value:
        return ""
    half = (max(point.each) - min(point.each)) / 2
    if point.metric == "score" and point.unit == "fraction":
        return f"±{units.percent(half, 2)} points"
    return f"±{100 * half / abs(point.value):.1f} %"


def _bars(values: Sequence[float]) -> str:
    """The values as bars between the least and the most of them; nothing for one."""
    low, high = min(values), max(values)
    if len(values) < 2:
        return ""
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(BARS[round((value - low) / step)] for value in values)


def _escaped(row: Sequence[str]) -> list[str]:
    return [escaped(cell) for cell in row]

"""Two runs side by side: what changed, in sentences and as one page."""

from collections.abc import Sequence
from pathlib import Path

from kdbench import units
from kdbench.evidence import Evidence, Setting
from kdbench.evidence.changes import Change, Changes
from kdbench.evidence.differences import Difference
from kdbench.evidence.intervals import LEVEL, Estimate
from kdbench.render.report.html import body, framed
from kdbench.render.report.provenance import facts, relative
from kdbench.render.words.choice_words import change
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.words import counted, listed, quoted, quoted_list, setting_place, target_place
from kdbench.scale import Scale

SMALLEST = 1.03
"""A ratio of latencies nearer to 1 is not worth a sentence: interleaved pairs see slow-downs from 3 % on."""
MOST_NAMED = 6
Row = list[str]


def change_sentences(found: Changes) -> tuple[Sentence, ...]:
    """Sentences on everything that changed, and on how many cases did not."""
    targets = list(dict.fromkeys(target for one in found.changes for target in one.score))
    settings = list(dict.fromkeys(setting for one in found.changes for setting in one.speedup))
    said = [
        f"Added: {quoted_list(found.added, MOST_NAMED)}." if found.added else "",
        f"Gone: {quoted_list(found.removed, MOST_NAMED)}." if found.removed else "",
        *(_accuracy(found, target, len(targets) > 1) for target in targets),
        *(_latency(found, setting) for setting in settings),
        *(_elsewhere(target) for target in sorted(found.elsewhere)),
        _size(found),
    ]
    return tuple(Sentence(text) for text in said if text)


def _accuracy(found: Changes, target: str, named: bool) -> str:
    compared = {one.name: one.score[target] for one in found.changes if target in one.score}
    heading = found.after.results.scale.heading
    where = f"{heading} on {target_place(target)}" if named else heading
    counting = {name: difference for name, difference in compared.items() if difference.counts}
    told = [f"{quoted(name)} {change(difference, found.after.results.scale)}" for name, difference in counting.items()]
    return f"{where}: {_and_the_rest(told, len(compared))}"


def _latency(found: Changes, setting: Setting) -> str:
    compared = {one.name: one.speedup[setting] for one in found.changes if setting in one.speedup}
    told = [f"{quoted(name)} {_moved(ratio)}" for name, ratio in compared.items() if counts(ratio)]
    drift = "" if setting[0] in found.drift_free else " The machine's drift between the two runs is in these numbers."
    return f"On {setting_place(setting)}: {_and_the_rest(told, len(compared))}{drift}"


def counts(ratio: Estimate) -> bool:
    """Whether a ratio differs from 1: its interval leaves 1 out, and it is larger than SMALLEST."""
    known = ratio.low is not None and ratio.high is not None
    apart = known and not (ratio.low or 0.0) <= 1 <= (ratio.high or 0.0)
    return apart and not 1 / SMALLEST < ratio.value < SMALLEST


def _moved(ratio: Estimate) -> str:
    if ratio.value >= 1:
        return f"is {units.ratio(ratio.value, ratio.low, ratio.high)} faster"
    low, high = (1 / (ratio.high or 1.0), 1 / (ratio.low or 1.0))
    return f"is {units.ratio(1 / ratio.value, low, high)} slower"


def _and_the_rest(told: Sequence[str], count: int) -> str:
    if not told:
        return f"none of {counted(count, 'case')} can be told from before."
    rest = f"; the other {count - len(told)} cannot be told from before" if count > len(told) else ""
    return f"{listed(_shown(told))}{rest}."


def _shown(told: Sequence[str]) -> list[str]:
    more = [f"{len(told) - MOST_NAMED} more"] if len(told) > MOST_NAMED else []
    return [*told[:MOST_NAMED], *more]


def _elsewhere(target: str) -> str:
    return f"{target_place(target)} is another machine or runtime than before: its latencies are not compared."


def _size(found: Changes) -> str:
    ratios = {one.name: next(iter(one.compression.values())) for one in found.changes if one.compression}
    told = [
        f"{quoted(name)} is {units.ratio(max(ratio, 1 / ratio))} {'smaller' if ratio > 1 else 'larger'}"
        for name, ratio in ratios.items()
        if not 1 / 1.005 < ratio < 1.005
    ]
    if not told:
        return "Every file is as big as before." if ratios else ""
    return f"Files: {listed(_shown(told))}."


def changes_page(found: Changes, out: Path) -> str:
    """The page that will lie in the folder `out`."""
    names = [run.results.plan.suite for run in (found.before, found.after)]
    headings, rows = _table(found)
    content = body(
        "changes.html.j2",
        names=names,
        runs=[_run(run, out) for run in (found.before, found.after)],
        sentences=change_sentences(found),
        headings=headings,
        rows=rows,
        level=f"{100 * LEVEL:.0f}",
    )
    return framed(f"{names[0]} and {names[1]}", content)


def _run(run: Evidence, out: Path) -> tuple[str, str, list[tuple[str, str]]]:
    """(name of the folder, link to its report or an empty text, facts)."""
    report = run.results.folder / "report" / "index.html"
    return run.results.folder.resolve().name, relative(report, out) if report.is_file() else "", facts(run)


def _table(found: Changes) -> tuple[list[tuple[str, str, str]], list[Row]]:
    """Headings (group, title, unit) and a row of text a case of both runs."""
    targets = list(dict.fromkeys(target for one in found.changes for target in one.score))
    settings = list(dict.fromkeys(setting for one in found.changes for setting in one.after.latency))
    headings, scale = [("", "Case", "")], found.after.results.scale
    for target in targets:
        group, unit = f"{scale.heading}, {target_place(target)}", scale.of_values
        headings += [(group, "before", unit), (group, "after", unit), (group, "change", scale.of_differences)]
    for setting in settings:
        group = f"p50, {setting_place(setting)}"
        headings += [(group, "before", ""), (group, "after", ""), (group, "faster", "x before")]
    headings += [("File", "before", ""), ("File", "after", ""), ("File", "smaller", "x before")]
    return headings, [_row(one, targets, settings, scale) for one in found.changes]


def _row(one: Change, targets: Sequence[str], settings: Sequence[Setting], scale: Scale) -> Row:
    row = [one.name]
    for target in targets:
        views = [case.score.get(target) for case in (one.before, one.after)]
        row += [scale.text(view.estimate.value) if view else units.MISSING for view in views]
        row.append(_change(one.score.get(target), scale))
    for setting in settings:
        timed = [case.latency.get(setting) for case in (one.before, one.after)]
        row += [units.latency(view.p50_ns.value) if view else units.MISSING for view in timed]
        ratio = one.speedup.get(setting)
        row.append(units.ratio(ratio.value, ratio.low, ratio.high) if ratio else units.MISSING)
    sizes = [next(iter(case.size.values()), None) for case in (one.before, one.after)]
    row += [units.size(view.file_bytes) if view else units.MISSING for view in sizes]
    smaller = next(iter(one.compression.values()), None)
    return [*row, units.ratio(smaller) if smaller else units.MISSING]


def _change(difference: Difference | None, scale: Scale) -> str:
    if difference is None:
        return units.MISSING
    decimals = 1 if scale.is_fraction else scale.decimals([difference.half or 0.0], [difference.value])
    text = scale.change_interval(difference.value, difference.low, difference.high, decimals)
    return f"{text} *" if difference.counts else text

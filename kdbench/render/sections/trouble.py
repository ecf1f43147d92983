"""What failed, what was skipped, and what to be careful with."""

from collections.abc import Iterator, Sequence

from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Heading, Items, Prose, Report, Section
from kdbench.render.words.words import explained, listed, setting_place


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    problems, notices = _problems(report.evidence), _notices(report.evidence)
    if problems:
        yield Items(tuple((names, problem) for problem, names in problems))
    if notices:
        yield Heading("Warnings")
        yield Items(tuple(("", notice) for notice in notices))
    if not problems and not notices:
        yield Prose("Nothing failed, nothing was skipped, and no measurement carries a warning.")


def _problems(evidence: Evidence) -> list[tuple[str, str]]:
    """(what went wrong, with which cases): the same trouble is told once."""
    found: dict[str, list[str]] = {}
    for case in evidence.cases:
        for problem in case.problems:
            found.setdefault(problem, []).append(case.name)
    return [(problem, listed(names)) for problem, names in found.items()]


def _notices(evidence: Evidence) -> list[str]:
    """The plan's warnings, then what is to be said of single latencies."""
    named: dict[tuple[Setting, str], list[str]] = {}
    for setting in evidence.settings:
        for case in evidence.cases:
            for word in case.latency[setting].warnings if setting in case.latency else ():
                named.setdefault((setting, word), []).append(case.name)
    timed = [
        f"{setting_place(setting)}: {explained(word)} ({_who(_timed(evidence, setting), names)})."
        for (setting, word), names in named.items()
    ]
    return [*dict.fromkeys(evidence.results.plan.warnings), *timed]


def _timed(evidence: Evidence, setting: Setting) -> list[CaseView]:
    return [case for case in evidence.cases if setting in case.latency]


def _who(timed: Sequence[CaseView], names: Sequence[str]) -> str:
    return "every case" if len(names) == len(timed) > 2 else listed(names)


TROUBLE = Section("wrong", "What went wrong", _blocks)

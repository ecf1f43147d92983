"""What failed, what was skipped, and what to be careful with."""

from collections.abc import Iterator, Sequence

from kdbench.evidence import Evidence
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Heading, Items, Prose, Report, Section
from kdbench.render.words.words import listed


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    problems, notices = _problems(report.evidence), list(dict.fromkeys(report.evidence.results.plan.warnings))
    if problems:
        yield Items(tuple((names, problem) for problem, names in problems))
    if notices:
        yield Heading("Warnings")
        yield Items(tuple(("", notice) for notice in notices))
    if not problems and not notices:
        doubtful = any(view.warnings for case in report.evidence.cases for view in case.latency.values())
        noted = " What is to be said of single latencies stands below the table." if doubtful else ""
        yield Prose(f"Nothing failed, and nothing was skipped.{noted}")


def _problems(evidence: Evidence) -> list[tuple[str, str]]:
    """(what went wrong, with which cases): the same trouble is told once."""
    found: dict[str, list[str]] = {}
    for case in evidence.cases:
        for problem in case.problems:
            found.setdefault(problem, []).append(case.name)
    return [(problem, listed(names)) for problem, names in found.items()]


TROUBLE = Section("wrong", "What went wrong", _blocks)

"""What failed, what was skipped, and what to be careful with."""

from collections.abc import Iterable, Iterator, Sequence

from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Heading, Items, Prose, Report, Section
from kdbench.render.words.words import listed


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    cases = report.evidence.cases
    problems = _by_sentence((case.name, case.problems) for case in cases)
    excluded = _by_sentence((case.name, case.excluded) for case in cases)
    notices = list(dict.fromkeys(report.evidence.results.plan.warnings))
    if problems:
        yield Items(problems)
    if excluded:
        yield Heading("Left out by design")
        yield Items(excluded)
    if notices:
        yield Heading("Warnings")
        yield Items(tuple(("", notice) for notice in notices))
    if not problems and not notices and not excluded:
        doubtful = any(view.warnings for case in report.evidence.cases for view in case.latency.values())
        noted = " What is to be said of single latencies stands below the table." if doubtful else ""
        yield Prose(f"Nothing failed, and nothing was skipped.{noted}")


def _by_sentence(told: Iterable[tuple[str, Sequence[str]]]) -> tuple[tuple[str, str], ...]:
    """(cases, sentence): the same sentence is told once."""
    found: dict[str, list[str]] = {}
    for name, sentences in told:
        for sentence in sentences:
            found.setdefault(sentence, []).append(name)
    return tuple((listed(names), sentence) for sentence, names in found.items())


TROUBLE = Section("wrong", "What went wrong", _blocks)

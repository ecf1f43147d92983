"""A folder of several results folders: one page that leads to each report."""

from dataclasses import dataclass
from pathlib import Path

from kdbench.evidence import Evidence
from kdbench.render.report.html import body, framed
from kdbench.render.report.provenance import facts, relative
from kdbench.render.report.side_by_side import SideBySide
from kdbench.render.words.sanity_words import cautions
from kdbench.render.words.sentence import Sentence
from kdbench.render.words.sentences import sentences

DEEPEST = 3
"""Folders below the one that is given."""


@dataclass(frozen=True)
class Entry:
    """One report."""

    suite: str
    about: str
    link: str
    facts: list[tuple[str, str]]
    answer: tuple[Sentence, ...]


def results_under(folder: Path) -> list[Path]:
    """Every results folder within a folder, sorted by name; the folder itself may be one."""
    patterns = ["/".join(["*"] * depth + ["records.jsonl"]) for depth in range(DEEPEST + 1)]
    return sorted({path.parent for pattern in patterns for path in folder.glob(pattern)})


def entry(evidence: Evidence, page: Path, out: Path) -> Entry:
    """The entry of one suite in the index that will lie in the folder `out`; its report is `page`."""
    plan = evidence.results.plan
    said = (*cautions(evidence.findings), *sentences(evidence))
    return Entry(plan.suite, plan.about, relative(page, out), facts(evidence), said)


def index(title: str, entries: list[Entry], table: SideBySide | None = None) -> str:
    """The index page; above the entries their cases side by side, where they have the same."""
    return framed(title, body("index.html.j2", title=title, entries=entries, table=table))

"""The building blocks of a report's sections. Knows no section, and neither HTML nor Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kdbench.evidence import CaseView, Evidence
from kdbench.render.figures.canvas import Figure
from kdbench.render.tables.cells import Table
from kdbench.render.tables.table import build_table
from kdbench.render.tables.target_table import TargetTables
from kdbench.render.words.sentence import Sentence

Drawer = Callable[[Evidence, float], Figure | None]
"""Draws a figure for paper of a width in inches; None where the records do not carry it."""


@dataclass(frozen=True)
class Report:
    """Everything a section may use: the evidence, its drawn figures, and the files that lie beside the page."""

    evidence: Evidence
    out: Path
    """The folder that the page will lie in."""
    figures: Mapping[Drawer, Figure] = field(default_factory=dict)
    written: Sequence[Path] = ()

    @cached_property
    def table(self) -> Table:
        """The decision table."""
        return build_table(self.evidence)


@dataclass(frozen=True)
class Said:
    """Sentences as a list that stands out; `is_chosen` where they say what to ship."""

    sentences: tuple[Sentence, ...]
    is_chosen: bool = False


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Items:
    """A plain list; of each item the first part stands out, and may be empty."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Facts:
    """Names, each with what is known of it."""

    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """Text as it would be typed."""

    text: str


@dataclass(frozen=True)
class Link:
    """A text that leads to a file."""

    text: str
    href: str


@dataclass(frozen=True)
class Links:
    """Links in one line, with a word in front that says what they lead to."""

    heading: str
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Share:
    """A share (0 to 1) as a bar, and as text behind it."""

    share: float
    text: str


Entry = str | Code | Link | Share
"""The content of a grid's cell."""


@dataclass(frozen=True)
class Line:
    """A row of a grid; `case` is the case that it is about, if it is about one."""

    entries: tuple[Entry, ...]
    case: CaseView | None = None


@dataclass(frozen=True)
class Grid:
    """A small table without footnotes. Its columns are (title, unit), the first names what a row is about."""

    caption: str
    columns: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Decision:
    """The decision table."""

    table: Table


@dataclass(frozen=True)
class Picture:
    """A figure with its caption; `is_titled` where the section's heading does not say what it shows."""

    figure: Figure
    is_titled: bool = False


@dataclass(frozen=True)
class Folded:
    """Blocks that a reader has to open."""

    title: str
    blocks: tuple["Block", ...]


Block = (
    Said | Prose | Heading | Items | Facts | Code | Links | Grid | Decision | TargetTables | Picture | Folded
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """One part of the report under a heading of its own; left out where it has no block."""

    id: str
    heading: str
    blocks: Callable[[Report, Sequence[Figure]], Iterable[Block]]
    """Its content, from the report and those of its figures that were drawn."""
    drawers: tuple[Drawer, ...] = ()
    texts: Mapping[str, Callable[[Evidence], str]] = field(default_factory=dict)
    """The files beside the page that say the same: name -> text. A file without text is not written."""
    short: str = ""
    """The heading as the list of sections at the page's head has it, where it is shorter."""

    @property
    def name(self) -> str:
        """Its heading in the list of sections."""
        return self.short or self.heading

    def content(self, report: Report) -> tuple[Block, ...]:
        """Its blocks for one report; none where it is left out."""
        drawn = [report.figures[drawer] for drawer in self.drawers if drawer in report.figures]
        return tuple(self.blocks(report, drawn))

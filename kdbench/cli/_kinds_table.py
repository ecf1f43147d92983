"""What every technique does on every kind of output, as a table; read from the techniques themselves."""

from collections.abc import Iterator

from kdbench import registry
from kdbench.protocols import Technique
from kdbench.protocols.data import KINDS

YES, NO = "yes", "no"
HEADING = """# What each technique does on each kind of output

Made by `kdbench describe kinds --format markdown` from the techniques' own declarations. Each output of a task has a
kind: `classes` (one of K), `multilabel` (any of K), `values` (numbers), `dense_classes` (a class at each place),
`token_classes` (a class for each token), `sequence` (symbols, by CTC), `embedding` (a place in space). A suite in which
a technique makes no sense for its task is refused with the reason below.

"""


def kinds_page() -> str:
    """The table in Markdown, with the reasons and remarks numbered below it."""
    remarks: dict[str, int] = {}
    header = ["technique", *KINDS]
    rows = [[f"`{name}`", *(_cell(word, remark, remarks) for word, remark in row)] for name, row in _rows()]
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"{number}. {remark}" for remark, number in remarks.items())
    return f"{HEADING}{table}\n\n{notes}\n"


def kinds_text() -> str:
    """The table for a terminal, reasons and remarks below it."""
    remarks: dict[str, int] = {}
    rows = [["", *KINDS]]
    rows += [[name, *(_cell(word, remark, remarks) for word, remark in row)] for name, row in _rows()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *(f"{number}  {remark}" for remark, number in remarks.items())])


def _rows() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each technique with (yes or no, reason or remark) for each kind."""
    for name in registry.names("technique"):
        cls: type[Technique] = registry.resolve("technique", name)
        yield name, [(YES if kind in cls.kinds else NO, cls.by_kind.get(kind, "")) for kind in KINDS]


def _cell(word: str, remark: str, remarks: dict[str, int]) -> str:
    return f"{word} ({remarks.setdefault(remark, len(remarks) + 1)})" if remark else word

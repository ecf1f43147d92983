"""The decision table as LaTeX for a paper with booktabs and siunitx: numbers in S columns, the rest beside them."""

import re
from collections.abc import Sequence

from kdbench import units
from kdbench.evidence import Evidence
from kdbench.render.tables.cells import Cell, Column, Table, numbers_of
from kdbench.render.tables.table import build_table

MOST_COLUMNS = 8
SIGNS = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$",
    "|": "$|$", '"': "{''}", "`": r"{\`{}}", "±": r"$\pm$", units.MINUS: "$-$", units.MISSING: "--", "µ": r"$\mu$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip
"""Characters that mean something to TeX, and how to write them. Other letters beyond ASCII are left to fonts."""
NUMBER = re.compile(
    rf"(?P<sign>[+{units.MINUS}]?)(?P<whole>[\d,]+)(?:\.(?P<decimals>\d+))?x?(?: ± (?P<half>[\d.]+))?(?P<rest> .*)?"
)
"""A cell as `units` writes it: a number, perhaps with its half interval, perhaps with something after it."""


def latex(evidence: Evidence) -> str:
    """The table as a `tabular`: a comment above it names its packages, its notes stand below."""
    table = build_table(evidence)
    table = table.only(table.best_ranked(MOST_COLUMNS))
    columns = [_Column(column, table.footnotes) for column in table.columns]
    rows = [" & ".join(column.entry(place) for column in columns) for place in range(len(table.rows))]
    lines = [
        r"% \usepackage{booktabs,siunitx}",
        r"\begin{tabular}{" + "".join(column.kind for column in columns) + "}",
        r"\toprule",
        " & ".join(column.heading for column in columns) + r" \\",
        r"\midrule",
        *(rf"{row} \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        *_notes(table),
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text that TeX takes as text."""
    return "".join(SIGNS.get(sign, sign) for sign in " ".join(text.split()))


class _Column:
    """One column: of numbers where any of its cells holds one, with a second one for what stands beside them."""

    def __init__(self, column: Column, footnotes: Sequence[str]) -> None:
        self.column = column
        self.matches = [_number(cell.text) if column.key != "case" else None for cell in column.cells]
        self.numbers = [match for match in self.matches if match]
        self.beside = [_beside(cell, match, footnotes) for cell, match in zip(column.cells, self.matches, strict=True)]

    @property
    def kind(self) -> str:
        kind = _table_format(self.numbers) if self.numbers else "l" if self.column.key == "case" else "r"
        return f"{kind}@{{\\,}}l" if any(self.beside) else kind

    @property
    def heading(self) -> str:
        lines = [escaped(line) for line in (self.column.place, self.column.title, self.column.unit) if line]
        stacked, side = r"\\".join(lines), "l" if self.column.key == "case" else "r"
        return rf"\multicolumn{{{2 if any(self.beside) else 1}}}{{{side}}}{{\shortstack[{side}]{{{stacked}}}}}"

    def entry(self, place: int) -> str:
        match, text = self.matches[place], escaped(self.column.cells[place].text)
        shown = _typed(match) if match else f"{{{text}}}" if self.numbers else text
        return f"{shown} & {self.beside[place]}" if any(self.beside) else shown


def _number(text: str) -> re.Match[str] | None:
    """The number in a cell; a list of them, one a seed, is none."""
    match = NUMBER.fullmatch(text.strip())
    return None if match and match["whole"].endswith(",") else match


def _typed(match: re.Match[str]) -> str:
    """A number as siunitx reads it."""
    decimals = f".{match['decimals']}" if match["decimals"] else ""
    half = f" +- {match['half']}" if match["half"] else ""
    return f"{match['sign'].replace(units.MINUS, '-')}{match['whole'].replace(',', '')}{decimals}{half}"


def _table_format(numbers: Sequence[re.Match[str]]) -> str:
    whole = max(len(match["whole"].replace(",", "")) for match in numbers)
    decimals = max(len(match["decimals"] or "") for match in numbers)
    signs = {match["sign"] for match in numbers}
    sign = "-" if units.MINUS in signs else "+" if "+" in signs else ""
    half = max(len((match["half"] or "").replace(".", "")) for match in numbers)
    return f"S[table-format={sign}{whole}.{decimals}{f'({half})' if half else ''},separate-uncertainty=true]"


def _beside(cell: Cell, match: re.Match[str] | None, footnotes: Sequence[str]) -> str:
    """The text beside a number: its interval, letters and marks."""
    after = escaped((match["rest"] or "") if match else "")
    parts = [
        rf"{{\footnotesize {after}}}" if after else "",
        rf"\textsuperscript{{{cell.letters.strip()}}}" if cell.letters.strip() else "",
        rf"\textsuperscript{{{','.join(map(str, numbers_of(cell, footnotes)))}}}" if cell.notes else "",
    ]
    return " ".join(part for part in parts if part)


def _notes(table: Table) -> list[str]:
    if not table.footnotes:
        return []
    marked = [rf"\textsuperscript{{{place}}}~{escaped(note)}" for place, note in enumerate(table.footnotes, start=1)]
    return [r"\par\smallskip\noindent{\footnotesize\raggedright", "\\\\\n".join(marked), r"\par}"]

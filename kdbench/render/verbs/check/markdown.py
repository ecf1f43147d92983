"""A check as GitHub's Markdown for a pull request: the answer, a table of what is not ok, all else folded."""

from collections.abc import Callable, Sequence

from kdbench.check import Checked, Row, Verdict
from kdbench.files import slug
from kdbench.render.report.markdown import escaped
from kdbench.render.verbs.check import words

MOST_NOT_OK, MOST_ROWS = 40, 100
"""Rows that are shown: a comment on a pull request holds 65,536 characters."""
MOST_SAID = 400
"""Characters of a sentence that are shown."""

Column = tuple[str, str, Callable[[Row], str]]
"""Heading, Markdown's rule, text."""

SHORT: tuple[Column, ...] = (
    ("Verdict", ":---", lambda row: row.verdict if row.verdict is Verdict.OK else f"**{row.verdict}**"),
    ("Case", ":---", lambda row: escaped(words.printable(row.case))),
    ("Metric", ":---", words.metric),
    ("On", ":---", lambda row: escaped(words.place(row))),
    ("Change (interval)", "---:", words.change),
    ("Limit", "---:", words.limit),
)
SEED: Column = ("Seed", "---:", lambda row: words.seed(row))
VALUES: tuple[Column, ...] = (
    ("New", "---:", lambda row: words.measured(row, row.new)),
    ("Reference", "---:", lambda row: words.measured(row, row.reference)),
)


def as_markdown(checked: Checked) -> str:
    """A line that nobody sees, then heading and answer, so that a reader of many may stop there."""
    title = f"### kdbench check of {escaped(words.printable(checked.suite))}: {words.answer(checked)}"
    basis = f"{escaped(words.compared(checked))}; exit code {checked.exit_code}."
    answer = f"**{words.tally(checked)}**: {basis}"
    parts = [marker(checked), title, answer, _not_ok(checked), _notes(checked), _all(checked), _last(checked)]
    return "\n\n".join(part for part in parts if part) + "\n"


def marker(checked: Checked) -> str:
    """The first line: by it a workflow finds the comment of an earlier check of the suite, and replaces it."""
    return f"<!-- kdbench check of {slug(checked.suite)} -->"


def _not_ok(checked: Checked) -> str:
    rows = words.not_ok(checked)
    if not rows:
        return ""
    shown, with_seed = rows[:MOST_NOT_OK], words.several_seeds(checked)
    said = "\n".join(_said(row, with_seed) for row in shown)
    return "\n\n".join([_table(shown, _columns(SHORT, with_seed)), said, _left(rows, MOST_NOT_OK)]).rstrip()


def _said(row: Row, with_seed: bool) -> str:
    name, text = words.whole_name(row, with_seed), _cut(words.sentence(row))
    return f"- **{row.verdict}** {escaped(name)}: {escaped(text)}"


def _all(checked: Checked) -> str:
    if not checked.rows:
        return ""
    rows, columns = words.in_order(checked), _columns((*SHORT, *VALUES), words.several_seeds(checked))
    body = "\n\n".join([_table(rows[:MOST_ROWS], columns), _left(rows, MOST_ROWS)]).rstrip()
    summary = "All of them" if len(rows) <= MOST_ROWS else f"The first {MOST_ROWS} of {len(rows)}"
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _columns(columns: Sequence[Column], with_seed: bool) -> tuple[Column, ...]:
    return (*columns[:2], SEED, *columns[2:]) if with_seed else tuple(columns)


def _table(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    lines = [[heading for heading, _, _ in columns], [rule for _, rule, _ in columns]]
    lines += [[text(row) for _, _, text in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}…"


def _left(rows: Sequence[Row], most: int) -> str:
    return f"And {len(rows) - most} more, in the JSON." if len(rows) > most else ""


def _notes(checked: Checked) -> str:
    return "\n".join(f"- {escaped(_cut(words.printable(note)))}" for note in checked.notes[:MOST_NOT_OK])


def _last(checked: Checked) -> str:
    return "  \n".join(escaped(line) for line in (words.cost(checked), *words.machines(checked)))

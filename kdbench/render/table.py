"""The decision table: one row a case, every number already text. What shows it adds only the dress."""

from collections.abc import Sequence

from kdbench import units
from kdbench.evidence import AccuracyView, Evidence
from kdbench.evidence.intervals import FEWEST, LEVEL, example_half
from kdbench.render.accuracy_columns import ALIKE, COUNTS, accuracy_columns
from kdbench.render.cells import Cell, Column, Footnotes, Table
from kdbench.render.columns import cost_column, size_columns
from kdbench.render.latency_columns import latency_columns
from kdbench.render.words import counted

HIDDEN = 10
"""Columns from this rank on are for the page and the files only, where they can be opened."""
MOST_SHOWN = 14
"""Columns that a wide page has room for."""


def build_table(evidence: Evidence) -> Table:
    """The whole table of a results folder."""
    notes = Footnotes()
    columns = [
        Column("case", "Case", "", "", 0, tuple(Cell(case.name) for case in evidence.cases)),
        *accuracy_columns(evidence, notes),
        *size_columns(evidence, notes),
        cost_column(evidence, notes),
        *(column for setting in evidence.settings for column in latency_columns(evidence, setting, notes)),
    ]
    return Table(evidence.cases, tuple(columns), notes.sentences, _legend(evidence))


def shown_places(table: Table) -> frozenset[int]:
    """Places of the columns that a reader meets first."""
    ranked = sorted(range(len(table.columns)), key=lambda place: table.columns[place].rank)
    return frozenset(place for place in ranked[:MOST_SHOWN] if table.columns[place].rank < HIDDEN)


def _legend(evidence: Evidence) -> tuple[str, ...]:
    count = len(evidence.results.plan.seeds)
    level = f"{100 * LEVEL:.0f} %"
    few = f"{counted(count, 'seed')} {'is' if count == 1 else 'are'} too few for an interval; the values stand there"
    views = [view for case in evidence.cases for view in case.accuracy.values()]
    said = {
        f"Accuracy on the test split: mean and {level} t interval over {counted(count, 'seed')}.": count >= FEWEST,
        f"Accuracy on the test split: {few}.": count < FEWEST,
        _example_noise(views): bool(views),
        "Cases that share a letter cannot be told apart (all pairs, Holm).": any(view.letters for view in views),
        f"Differences are paired on seeds and test examples, with their {level} interval; {COUNTS} marks a "
        f"Holm-adjusted p below {1 - LEVEL:.2f}.": any(v.difference and v.difference.p is not None for v in views),
        f'"{ALIKE}": right and wrong on exactly the same ones for every seed.': any(
            view.difference and view.difference.low == view.difference.high == 0 for view in views
        ),
        f"Faster and smaller are ratios, above 1 is better; their {level} interval is over measuring processes and "
        "seeds.": bool(evidence.settings),
        "Training is the wall time of every stage behind one seed of a case, without the teacher's.": True,
        "Memory is the peak of a process of its own over what it held before the file was loaded.": any(
            case.memory_bytes for case in evidence.cases
        ),
    }
    return tuple(sentence for sentence, holds in said.items() if sentence and holds)


def _example_noise(views: Sequence[AccuracyView]) -> str:
    """The noise that intervals over seeds do not hold, as a sentence."""
    if not views:
        return ""
    middle = sorted(views, key=lambda view: view.estimate.value)[len(views) // 2]
    if not middle.example_count:
        return ""
    half = example_half(middle.estimate.value, middle.example_count)
    return (
        f"Another {middle.example_count} test examples would by themselves move an accuracy of "
        f"{units.percent(middle.estimate.value)} % by about ±{units.percent(half)} points. "
        "Everything holds for this one teacher."
    )

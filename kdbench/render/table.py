"""The decision table: one row a case, every number already text. What shows it adds only the dress."""

from collections.abc import Sequence

from kdbench import units
from kdbench.evidence import AccuracyView, Evidence
from kdbench.evidence.intervals import FEWEST, LEVEL, example_half
from kdbench.render.cells import Cell, Column, Footnotes, Table
from kdbench.render.columns import ALIKE, COUNTS, accuracy_columns, cost_column, latency_columns, size_columns
from kdbench.render.words import counted


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
    return Table(evidence.cases, tuple(columns), tuple(notes.sentences), _legend(evidence))


def _legend(evidence: Evidence) -> tuple[str, ...]:
    count = len(evidence.results.plan.seeds)
    level = f"{100 * LEVEL:.0f} %"
    few = f"{counted(count, 'seed')} are too few for an interval; the values stand there"
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
        f"Faster and smaller are ratios, above 1 is better; their {level} interval is over measuring processes or seeds, whichever is "
        "wider.": bool(
            evidence.settings
        ),
        "Training is the wall time of every stage behind one seed of a case, without the teacher's.": True,
    }
    return tuple(sentence for sentence, holds in said.items() if holds)


def _example_noise(views: Sequence[AccuracyView]) -> str:
    """The noise that intervals over seeds do not hold, as a sentence."""
    if not views:
        return ""
    middle = sorted(views, key=lambda view: view.estimate.value)[len(views) // 2]
    half = example_half(middle.estimate.value, middle.example_count)
    return (
        f"Another {middle.example_count} test examples would by themselves move an accuracy of "
        f"{units.percent(middle.estimate.value)} % by about ±{units.percent(half)} points. "
        "Everything holds for this one teacher."
    )

"""The figure of orders: when there is one, what it puts side by side, and what it says in words."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from folders import STEPS, Folder

from kdbench.evidence import Evidence, evidence
from kdbench.render.figures.canvas import Figure, style
from kdbench.render.figures.orders import orders
from kdbench.render.report.page import page
from kdbench.render.sections.tradeoff import TRADEOFF

Build = Callable[..., Folder]
Steps = dict[str, list[dict[str, Any]]]
DISTIL: dict[str, Any] = {"soft_distillation": {"temperature": 4.0}}
PRUNE: dict[str, Any] = {"structured_pruning": {"channel_fraction": 0.5, "distil": None}}
TAUGHT: dict[str, Any] = {"structured_pruning": {"channel_fraction": 0.5, "distil": {"soft_distillation": {}}}}
INT8: dict[str, Any] = {"static_quantization": {}}
STUDY: Steps = {
    "from-scratch": [],
    "soft-pruned-int8": [DISTIL, PRUNE, INT8],
    "pruned-soft-int8": [PRUNE, DISTIL, INT8],
    "taught-int8": [TAUGHT, INT8],
    "pruned-structured": [PRUNE],
    "pruned-unstructured": STEPS["pruned-unstructured"],
}
"""Three arrangements of the same techniques, one of these alone, and one technique that is in none of them."""


def read(folder: Build, steps: Steps, **fields: Any) -> Evidence:
    return evidence(folder(steps=steps, batch_sizes=(1,), **fields).write())


def drawn(found: Evidence, inches: float = 6.9) -> Figure | None:
    with style():
        return orders(found, inches)


def names(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.paper.axes[0].get_yticklabels()]


def test_chains_of_the_same_techniques_stand_together_the_most_accurate_first(folder: Build) -> None:
    found = read(folder, STUDY)
    figure = drawn(found)
    assert figure is not None
    rows = [name.partition("\n")[0] for name in names(figure)]
    assert rows[:2] == ["from-scratch", "pruned-structured"]
    target = found.targets[0]
    values = {case.name: case.score[target].estimate.value for case in found.cases}
    assert rows[2:] == sorted(["soft-pruned-int8", "pruned-soft-int8", "taught-int8"], key=lambda name: -values[name])


def test_every_chain_is_read_in_its_order_and_a_step_with_a_teacher_says_so(folder: Build) -> None:
    figure = drawn(read(folder, STUDY))
    assert figure is not None
    shown = dict(name.split("\n") for name in names(figure) if "\n" in name)
    assert shown["pruned-soft-int8"] == "structured_pruning › soft_distillation › static_quantization"
    assert shown["taught-int8"] == "structured_pruning + soft_distillation › static_quantization"
    pattern = r"pruned-soft-int8 \(structured_pruning, then soft_distillation, then static_quantization\) \d+\.\d % in "
    assert re.search(pattern, figure.alt)
    assert "n = 3 seeds" in figure.title


def test_a_column_of_a_paper_has_a_step_a_line(folder: Build) -> None:
    figure = drawn(read(folder, STUDY), 3.35)
    assert figure is not None
    assert "soft-pruned-int8\nsoft_distillation\nstructured_pruning\nstatic_quantization" in names(figure)


@pytest.mark.parametrize(
    "steps",
    [
        STEPS,
        {"from-scratch": [], "one": [DISTIL, PRUNE], "two": [PRUNE, DISTIL]},
        {"from-scratch": []} | {f"soft-pruned/{n}": [DISTIL, PRUNE] for n in range(4)},
    ],
    ids=["no techniques in two orders", "two orders only", "the same order four times"],
)
def test_there_is_no_figure_where_orders_cannot_be_compared(folder: Build, steps: Steps) -> None:
    assert drawn(read(folder, steps)) is None


def test_a_case_that_failed_has_no_row(folder: Build) -> None:
    steps = STUDY | {"pruned-soft": [PRUNE, DISTIL], "soft-pruned": [DISTIL, PRUNE]}
    figure = drawn(read(folder, steps, failed={"taught-int8": "out of memory"}))
    assert figure is not None
    assert not any("taught-int8" in name for name in names(figure))


def test_few_seeds_have_no_bars(folder: Build) -> None:
    figure = drawn(read(folder, STUDY, seeds=(0, 1)))
    assert figure is not None
    assert not figure.paper.axes[0].collections
    assert "n = 2 seeds" in figure.title


def test_without_a_plan_the_records_say_it_all(folder: Build) -> None:
    figure = drawn(read(folder, STUDY, plan=False))
    assert figure is not None
    assert "soft-pruned-int8" in figure.alt


def test_the_page_shows_it_among_the_trade_offs(folder: Build, tmp_path: Path) -> None:
    found = read(folder, STUDY)
    with style():
        figures = {drawer: figure for drawer in TRADEOFF.drawers[1:3] if (figure := drawer(found, 6.9))}
    text = page(found, figures, tmp_path, ())
    assert text.index("Accuracy against size") < text.index("Orders of the same techniques") < text.index('id="cost"')

"""Figures: what they say in words, that names are text, that the same records draw the same bytes."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from folders import STEPS, Folder
from matplotlib.figure import Figure as Paper

from kdbench.evidence import evidence
from kdbench.render.figures.canvas import COLORS, MARKERS, Figure, style
from kdbench.render.figures.distributions import latency_distributions
from kdbench.render.figures.labels import Labelled, blocks
from kdbench.render.figures.pictures import Sheet, save
from kdbench.render.figures.sweeps import sweeps
from kdbench.render.figures.tradeoff import accuracy_latency, accuracy_size
from kdbench.render.report.blocks import Drawer
from kdbench.render.report.files import draw

Build = Callable[..., Folder]
Drawn = Mapping[Drawer, Figure]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft", "int8-static")}


def test_every_family_has_a_colour_and_a_marker_of_its_own() -> None:
    assert COLORS.keys() == MARKERS.keys()
    assert len(set(COLORS.values())) == len(set(MARKERS.values())) == len(COLORS)


def test_the_alt_text_carries_the_numbers_and_the_front(quickstart: Path) -> None:
    with style():
        figure = accuracy_latency(evidence(quickstart))
    assert figure is not None
    assert re.search(r"soft-pruned-int8 97\.\d % at 18\.\d µs", figure.alt)
    assert "On the Pareto front: soft-pruned-int8, soft and teacher." in figure.alt or "teacher." in figure.alt
    assert "n = 3 seeds" in figure.title


def test_the_same_records_draw_the_same_bytes(folder: Build, tmp_path: Path) -> None:
    path = folder(steps=FEW, batch_sizes=(1,)).write()
    drawn = []
    for name in ("one", "two"):
        with style():
            figure = accuracy_size(evidence(path))
        assert figure is not None
        for kind in ("svg", "png"):
            save(figure, tmp_path / f"{name}.{kind}")
        drawn.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("svg", "png")])
    assert drawn[0] == drawn[1]


def test_inline_figures_share_no_id_and_name_no_fixed_ink(quickstart: Path, drawn: Drawn) -> None:
    sheet = Sheet(case.name for case in evidence(quickstart).cases)
    inlined = [sheet.inline(figure) for figure in drawn.values()]
    twice = [*inlined, sheet.inline(next(iter(drawn.values())), "narrow-")]
    ids = [found for svg in twice for found in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(inlined) == 6
    assert len(ids) == len(set(ids))
    for svg in twice:
        ElementTree.fromstring(svg)
        used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
        assert used <= set(ids)
        assert "style=" not in svg
        assert "#20242a" not in sheet.css


def test_names_with_markup_and_dollars_are_text(folder: Build) -> None:
    steps = {"from-scratch": [], "<i>$x^2$</i>": STEPS["soft"]}
    found = evidence(folder(steps=steps, batch_sizes=(1,)).write())
    with style():
        figure = accuracy_latency(found)
    assert figure is not None
    svg = Sheet(case.name for case in found.cases).inline(figure)
    assert "&lt;i&gt;$x^2$&lt;/i&gt;" in svg
    assert 'data-case="2"' in svg


def test_points_that_share_a_place_are_named_in_one_block_best_first(quickstart: Path) -> None:
    """A figure of 100 points a side: three names within 30 by 16 points of each other, one apart."""
    cases = evidence(quickstart).cases
    axes = Paper(figsize=(100 / 72, 100 / 72)).add_axes((0, 0, 1, 1), xlim=(0, 100), ylim=(0, 100))
    points = [
        Labelled(case, x, y) for case, (x, y) in zip(cases, [(10, 50), (20, 60), (45, 55), (90, 90)], strict=False)
    ]
    found = [[point.case.name for point in block] for block in blocks(axes, points)]
    assert found == [["from-scratch", "soft", "teacher"], ["hard"]]


def test_a_grid_over_one_number_is_a_line_in_the_order_of_its_values(folder: Build, quickstart: Path) -> None:
    steps = {"from-scratch": []} | {f"soft/temperature={t}": STEPS["soft"] for t in (8, 1, 4, 2)}
    with style():
        figure = sweeps(evidence(folder(steps=steps, batch_sizes=(1,)).write()))
        none = sweeps(evidence(quickstart))
    assert figure is not None
    assert none is None
    line = max(figure.paper.axes[0].lines, key=lambda line: len(line.get_xdata()))
    assert list(line.get_xdata()) == [1, 2, 4, 8]
    assert re.search(r"soft by temperature: 1 9\d\.\d %; 2 ", figure.alt)


def test_figures_fit_a_column_and_a_page(quickstart: Path, drawn: Drawn) -> None:
    assert {figure.paper.get_figwidth() for figure in drawn.values()} == {6.9}
    assert {figure.paper.get_figwidth() for figure in draw(evidence(quickstart), 3.35).values()} == {3.35}


def test_many_cases_label_the_front_and_the_references_only(folder: Build) -> None:
    steps = {"from-scratch": []} | {f"soft/temperature={t}": STEPS["soft"] for t in range(28)}
    with style():
        figure = accuracy_size(evidence(folder(steps=steps, seeds=(0,), predictions=False).write()))
    assert figure is not None
    labels = {text.get_text() for axes in figure.paper.axes for text in axes.texts}
    assert {"teacher", "from-scratch"} <= labels
    assert len(labels) < 10


def test_nothing_timed_draws_no_latency(folder: Build) -> None:
    found = evidence(folder(steps=FEW, without_latency=frozenset({*FEW, "teacher"})).write())
    assert latency_distributions(found) is None
    assert accuracy_latency(found) is None


@pytest.mark.parametrize("calls", [20, 640])
def test_a_p90_is_said_only_where_there_are_samples_enough(folder: Build, calls: int) -> None:
    with style():
        figure = latency_distributions(evidence(folder(steps=FEW, seeds=(0,), call_count=calls).write()))
    assert figure is not None
    assert ("p90" in figure.alt) == (calls * 3 >= 64)

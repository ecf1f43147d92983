"""Figures: what they say in words, that names are text, that the same records draw the same bytes."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from folders import STEPS, Folder

from kdbench.evidence import evidence
from kdbench.render.canvas import COLORS, MARKERS, inline_svg, save, style
from kdbench.render.distributions import latency_distributions
from kdbench.render.figures import draw
from kdbench.render.tradeoff import accuracy_latency, accuracy_size

Build = Callable[..., Folder]
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


def test_inline_figures_share_no_id_and_name_no_fixed_ink(quickstart: Path) -> None:
    drawn = [inline_svg(figure) for figure in draw(evidence(quickstart))]
    ids = [found for svg in drawn for found in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(drawn) == 4
    assert len(ids) == len(set(ids))
    for svg in drawn:
        ElementTree.fromstring(svg)
        used = set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg))
        assert used <= set(ids)
        assert "#20242a" not in svg


def test_names_with_markup_and_dollars_are_text(folder: Build) -> None:
    steps = {"from-scratch": [], "<i>$x^2$</i>": STEPS["soft"]}
    with style():
        figure = accuracy_latency(evidence(folder(steps=steps, batch_sizes=(1,)).write()))
    assert figure is not None
    assert "&lt;i&gt;$x^2$&lt;/i&gt;" in inline_svg(figure)


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

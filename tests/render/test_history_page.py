"""A history as a page: an injected step is seen, with the runs' own noise, and another machine begins anew."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from kdbench.check.history import Entry, Point
from kdbench.check.steps import series_of
from kdbench.cli import exit_code
from kdbench.render.figures.canvas import INK, style
from kdbench.render.figures.history import BETTER, WORSE, history_figures
from kdbench.render.verbs.history_page import history_page

TARGET = "local-cpu-1t-fp32"
STEPPED = (1000, 1004, 998, 1120, 1124, 1118)
"""Nanoseconds by run: 12 % slower from the fourth on."""


def timed(value: float, case: str = "soft", fingerprint: str = "m") -> Point:
    """A latency whose processes lie 0.5 % to each side."""
    each = tuple(value * factor for factor in (0.995, 0.998, 1.0, 1.002, 1.005))
    labels = {"case": case, "metric": "latency", "target": TARGET, "batch_size": 1, "fingerprint": fingerprint}
    return Point(**labels, value=value, each=each, limit=1.03)


def scored(value: float) -> Point:
    labels = {"case": "soft", "metric": "score", "target": TARGET, "label": "accuracy", "unit": "fraction"}
    return Point(**labels, value=value, each=(value,), limit=0.005, direction="higher")


def runs(*points: Sequence[Point]) -> list[Entry]:
    """One entry for each group of points, a day after the other; its commit is its number, repeated."""
    said = {"suite": "tiny", "dirty": False, "kdbench": "0", "accepted": False}
    return [
        Entry(
            **said, commit=f"{number:x}" * 12, created_utc=f"2026-11-{number + 1:02d}T00:00:00+00:00", points=tuple(own)
        )
        for number, own in enumerate(points)
    ]


def lines(entries: Sequence[Entry], panel: int = 0, figure: int = 0) -> list[Line2D]:
    with style():
        drawn = history_figures(entries, series_of(entries))
    return list(drawn[figure].paper.axes[panel].lines)


def marks(found: Sequence[Line2D]) -> list[tuple[float, str, bool]]:
    """(run, colour, whether it is filled) of every mark of a step."""
    single = [line for line in found if len(line.get_xdata()) == 1 and to_hex(line.get_color()) != INK]
    return [
        (float(line.get_xdata()[0]), to_hex(line.get_color()), line.get_markerfacecolor() != "none") for line in single
    ]


def test_an_injected_step_is_marked_at_its_run_and_the_points_are_the_changes() -> None:
    found = lines(runs(*([timed(value)] for value in STEPPED)))
    curve = next(line for line in found if len(line.get_xdata()) == 6)
    assert curve.get_ydata() == pytest.approx([0, 0.4, -0.2, 12.0, 12.4, 11.8])
    assert marks(found) == [(3, WORSE, True)]


def test_a_newest_run_alone_is_suspected_and_a_gain_is_no_loss() -> None:
    assert marks(lines(runs(*([timed(value)] for value in (1000, 1002, 1100))))) == [(2, WORSE, False)]
    assert marks(lines(runs(*([timed(value)] for value in (1000, 900, 902))))) == [(1, BETTER, True)]


def test_each_run_shows_the_range_of_its_processes() -> None:
    entries = runs([timed(1000)], [timed(1010)])
    with style():
        (figure,) = history_figures(entries, series_of(entries))
    (bars,) = [each for each in figure.paper.axes[0].collections if isinstance(each, LineCollection)]
    assert [list(segment[:, 1]) for segment in bars.get_segments()] == [
        pytest.approx([-0.5, 0.5]),
        pytest.approx([100 * (1.010 * 0.995 - 1), 100 * (1.010 * 1.005 - 1)]),
    ]


def test_another_machine_begins_at_zero_behind_a_dotted_line() -> None:
    found = lines(runs(*([timed(v, fingerprint=m)] for v, m in ((1000, "a"), (1001, "a"), (3000, "b"), (3030, "b")))))
    assert [line.get_xdata()[0] for line in found if line.get_linestyle() == ":"] == [1.5]
    curves = [line for line in found if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    assert [pytest.approx(list(line.get_ydata())) for line in curves] == [[0, 0.1], [0, 1]]
    assert marks(found) == []


def test_what_stepped_stands_first_and_scores_are_drawn_where_they_moved() -> None:
    still = [[timed(1000, "hard"), timed(value), scored(0.9)] for value in STEPPED]
    with style():
        (figure,) = history_figures(runs(*still), series_of(runs(*still)))
    assert [axes.get_title(loc="left") for axes in figure.paper.axes] == ["soft, batch 1", "hard, batch 1"]
    assert figure.alt == "2 series by run: soft steps to the worse at 3333333."
    moved = runs([scored(0.9)], [scored(0.88)])
    with style():
        (figure,) = history_figures(moved, series_of(moved))
    assert figure.title == "Score"
    assert list(figure.paper.axes[0].lines[0].get_ydata()) == pytest.approx([0, -2])


def test_the_page_says_when_it_stepped_in_words_and_in_the_picture() -> None:
    entries = runs(*([timed(value, "<b>soft</b>")] for value in STEPPED))
    page = history_page(entries)
    assert page == history_page(entries)
    said = "slower since 3333333333 (2026-11-04), 1.12 µs after 1.00 µs (+12.0 %)."
    assert f"&lt;b&gt;soft&lt;/b&gt;, latency on cpu, 1 thread, batch 1: {said}" in page
    assert "<b>soft" not in page
    assert re.search(r"<svg .*3333333.*</svg>", page, re.DOTALL)


def test_a_history_of_one_run_is_a_page_without_a_picture() -> None:
    page = history_page(runs([timed(1000)]))
    assert "<figure" not in page
    assert "No step: every series stays at its level." in page


def test_the_verb_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["history", "show", str(tmp_path), "--html"]
    assert exit_code([*given, str(tmp_path / "h.html")]) == 2
    assert "is no history; `kdbench history append RESULTS --to FOLDER` makes one." in capsys.readouterr().err
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "a.jsonl").write_text(
        '{"schema": 1, "kind": "entry", "suite": "tiny", "commit": "abc", "dirty": false, "created_utc": "2026-01-01", '
        '"kdbench": "0", "accepted": true}\n'
    )
    assert exit_code([*given, str(tmp_path / "new" / "h.html")]) == 0
    assert "over time · kdbench</title>" in (tmp_path / "new" / "h.html").read_text(encoding="utf-8")
    assert exit_code([*given, str(tmp_path / "entries" / "a.jsonl" / "h.html")]) == 2
    assert "cannot write the report to" in capsys.readouterr().err

"""Throughput and the sweep over batch sizes and threads: there where several were measured, and nowhere else."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from enriched import rewritten, slower
from folders import STEPS, TARGET, Folder

import kdbench
from kdbench.evidence import Evidence, evidence
from kdbench.render import render
from kdbench.render.figures.batch_sizes import MOST_LINES, batch_sizes, chosen
from kdbench.render.figures.canvas import style
from kdbench.render.figures.line_ends import apart
from kdbench.render.report.markdown import markdown
from kdbench.render.report.page import page
from kdbench.render.report.tidy import estimates
from kdbench.render.sections.batch_sizes import throughput_markdown
from kdbench.render.tables.cells import HIDDEN
from kdbench.render.tables.table import build_table
from kdbench.render.tables.target_table import TargetTable
from kdbench.render.tables.throughput import throughput_tables
from kdbench.results.records import CallSize

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft", "int8-static")}
TWO = "local-cpu-2t-fp32"
BOARD = "board-openvino-4t-fp32"


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two threads take 0.6 of the time for from-scratch, twice the time for int8-static, the same for the others."""
    path = Folder(tmp_path_factory.mktemp("swept"), steps=FEW, targets=(TARGET, TWO), batch_sizes=(1, 8)).write()
    return rewritten(path, slower("from-scratch", TWO, 0.6), slower("int8-static", TWO, 2.0))


def cells(table: TargetTable, case: str) -> dict[tuple[str, str, str], str]:
    row = [view.name for view in table.table.rows].index(case)
    return {(c.title, c.unit, c.group): c.cells[row].text.strip() for c in table.table.columns if c.key != "case"}


def bold(table: TargetTable, case: str) -> list[tuple[str, str]]:
    row = [view.name for view in table.table.rows].index(case)
    return [(column.title, column.group) for column in table.table.columns if column.cells[row].stands_out]


def drawn(found: Evidence) -> object:
    with style():
        return batch_sizes(found)


def test_a_provider_has_one_table_with_a_column_each_thread_count_and_batch_size(swept: Path) -> None:
    (table,) = throughput_tables(evidence(swept))
    assert table.place == "cpu"
    found = cells(table, "from-scratch")
    rates = [("1 thread", 1), ("1 thread", 8), ("2 threads", 1), ("2 threads", 8)]
    assert list(found) == [
        *((f"Batch {batch}", "k examples/s", threads) for threads, batch in rates),
        ("Batch 1", "x 1 thread", "2 threads"),
        ("Batch 8", "x 1 thread", "2 threads"),
    ]
    view = evidence(swept).cases[1].latency[TWO, CallSize(8)]
    assert float(found["Batch 8", "k examples/s", "2 threads"]) == pytest.approx(8e6 / view.p50_ns.value, rel=0.01)


def test_a_second_thread_is_told_as_a_ratio_that_was_not_timed_side_by_side(swept: Path) -> None:
    (table,) = throughput_tables(evidence(swept))
    assert cells(table, "from-scratch")["Batch 1", "x 1 thread", "2 threads"].startswith("1.6")
    assert cells(table, "int8-static")["Batch 8", "x 1 thread", "2 threads"].startswith("0.50x (0.")
    (sentence,) = table.sentences
    assert sentence.text.startswith("2 threads over 1 thread, not timed side by side: faster in 2 of 8, most `from-")
    assert "; slower in 2 of 8, most `int8-static` at batch " in sentence.text
    assert sentence.text.endswith("; not to be told apart in 4 of 8.")
    assert any("not side by side" in line and line.startswith("x 1 thread:") for line in table.table.legend)


def test_only_a_best_that_stands_apart_is_bold(swept: Path) -> None:
    (table,) = throughput_tables(evidence(swept))
    assert bold(table, "from-scratch") == [("Batch 8", "2 threads")]
    assert bold(table, "int8-static") == [("Batch 8", "1 thread")]
    assert bold(table, "soft") == [], "two threads are as good as one"
    text = throughput_markdown(evidence(swept))
    assert text.count("**") == 4
    assert page(evidence(swept), {}, swept / "report", ()).count("<strong>") == 2


def test_one_thread_count_has_batch_sizes_only(quickstart: Path) -> None:
    (table,) = throughput_tables(evidence(quickstart))
    assert {column.key for column in table.table.columns} == {"case", "throughput"}
    assert table.sentences == ()
    assert not any("side by side" in line for line in table.table.legend)


def test_every_provider_and_device_has_its_own_table(folder: Build) -> None:
    found = evidence(folder(steps=FEW, seeds=(0,), targets=(TARGET, BOARD, TWO)).write())
    assert [table.place for table in throughput_tables(found)] == ["cpu", "board, openvino"]
    threads = [column.group for column in throughput_tables(found)[0].table.columns[1:5]]
    assert threads == ["1 thread", "1 thread", "2 threads", "2 threads"]


def test_threads_are_compared_with_the_fewest_there_are(folder: Build) -> None:
    targets = ("local-cpu-4t-fp32", TWO)
    (table,) = throughput_tables(evidence(folder(steps=FEW, seeds=(0,), targets=targets, batch_sizes=(1,)).write()))
    assert [(c.group, c.unit) for c in table.table.columns[1:]] == [
        ("2 threads", "k examples/s"), ("4 threads", "k examples/s"), ("4 threads", "x 2 threads"),
    ]  # fmt: skip


def test_a_case_that_failed_or_was_not_timed_has_its_reason(folder: Build) -> None:
    path = folder(steps=FEW, targets=(TARGET, TWO), failed={"soft": "it fell"}, without_latency={"int8-static"})
    (table,) = throughput_tables(evidence(path.write()))
    assert set(cells(table, "soft").values()) == set(cells(table, "int8-static").values()) == {"–"}
    assert table.table.footnotes == (
        "failed (seeds 0, 1, 2): it fell", "no latency was recorded", "it was not timed with both thread counts",
    )  # fmt: skip


def test_one_batch_size_and_thread_count_has_nothing_of_it(folder: Build) -> None:
    path = folder(steps=FEW, seeds=(0,), batch_sizes=(1,)).write()
    found = evidence(path)
    assert (throughput_tables(found), throughput_markdown(found), drawn(found)) == ((), "", None)
    assert not [column for column in build_table(found).columns if column.key == "throughput"]
    assert not [line for line in build_table(found).legend if "Throughput" in line]
    assert "throughput.md" not in {written.name for written in render(path, path / "report", ("markdown",))}
    assert "Batch sizes and threads" not in page(found, {}, path / "report", ())
    assert "speedup_over_1_thread" not in estimates(found)


def test_threads_alone_have_a_table_and_no_figure(folder: Build) -> None:
    path = folder(steps=FEW, seeds=(0,), targets=(TARGET, TWO), batch_sizes=(1,)).write()
    found = evidence(path)
    assert drawn(found) is None
    assert '<h2 id="sweep">Batch sizes and threads</h2>' in page(found, {}, path / "report", ())


def test_the_decision_table_has_it_to_open_with_its_interval_and_its_meaning(swept: Path) -> None:
    table = build_table(evidence(swept))
    found = [column for column in table.columns if column.key == "throughput"]
    assert [column.group for column in found] == [
        f"cpu, {threads}, batch {batch}" for threads in ("1 thread", "2 threads") for batch in (1, 8)
    ]
    assert all(column.rank >= HIDDEN and column.unit == "k examples/s" for column in found)
    assert " to " in found[0].cells[1].text
    assert "Throughput" not in markdown(evidence(swept)).split("How to read it")[0]
    assert any(line.startswith("Throughput is batch size / p50: of one caller") for line in table.legend)


def test_slow_networks_are_counted_in_plain_examples(folder: Build) -> None:
    path = rewritten(folder(steps=FEW, seeds=(0,)).write(), slower("soft", TARGET, 50_000))
    column = next(c for c in build_table(evidence(path)).columns if (c.key, c.group) == ("throughput", "batch 1"))
    assert column.unit == "examples/s"
    assert column.cells[2].text.startswith("0.2")


def test_programs_get_it_with_its_unit_in_the_name(swept: Path) -> None:
    frame = kdbench.load(swept)
    assert frame.throughput_examples_per_second.dtype == "float64"
    product = frame.throughput_examples_per_second * frame.latency_p50_ns
    assert product.tolist() == pytest.approx((1e9 * frame.batch_size).tolist())
    rows = {
        (r["case"], r["target"], r["batch_size"]): r for r in csv.DictReader(io.StringIO(estimates(evidence(swept))))
    }
    one, two = rows["from-scratch", TARGET, "8"], rows["from-scratch", TWO, "8"]
    for end, other in (("", ""), ("low_", "high_"), ("high_", "low_")):
        rate, call = float(one[f"throughput_{end}examples_per_second"]), float(one[f"latency_p50_{other}ns"])
        assert rate * call == pytest.approx(8e9)
    assert float(two["speedup_over_1_thread_ratio"]) == pytest.approx(1 / 0.6, rel=0.05)
    assert float(two["speedup_over_1_thread_low_ratio"]) < float(two["speedup_over_1_thread_ratio"])
    assert one["speedup_over_1_thread_ratio"] == ""


def test_the_figure_has_a_panel_each_thread_count_and_a_named_line_each_network(swept: Path) -> None:
    with style():
        figure = batch_sizes(evidence(swept))
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.paper.axes] == ["cpu, 1 thread", "cpu, 2 threads"]
    for axes in figure.paper.axes:
        assert [text.get_text() for text in axes.texts] == ["teacher", "from-scratch", "int8-static"]
        assert axes.get_xticks().tolist() == [1, 8]
        ends = [round(axes.transData.transform(text.xy)[1]) for text in axes.texts]
        assert len(set(ends)) == 3
    assert "share a line: soft as from-scratch." in figure.caption
    assert "batch size / p50" in figure.caption
    assert "cpu, 2 threads: teacher 3." in figure.alt


def test_names_at_the_right_stay_on_the_paper(swept: Path) -> None:
    for inches in (3.35, 6.9):
        with style():
            figure = batch_sizes(evidence(swept), inches)
        assert figure is not None
        figure.paper.draw_without_rendering()
        room = figure.paper.bbox
        boxes = [text.get_window_extent() for axes in figure.paper.axes for text in axes.texts]
        assert all(room.x0 <= box.x0 and box.x1 <= room.x1 for box in boxes)


def test_of_many_networks_the_references_and_the_unbeaten_come_first(folder: Build) -> None:
    names = ["from-scratch", *(f"other-{place:02}" for place in range(12)), "soft-pruned-int8"]
    found = evidence(folder(steps={name: STEPS.get(name, STEPS["soft"]) for name in names}, seeds=(0,)).write())
    for place, case in enumerate(found.cases):
        for size in case.size.values():
            object.__setattr__(size, "file_bytes", size.file_bytes + place)
    shown, alike = chosen(found)
    assert len(shown) == MOST_LINES
    assert {"teacher", "from-scratch", "soft-pruned-int8"} <= {case.name for case in shown}
    assert alike == {}
    with style():
        figure = batch_sizes(found)
    assert figure is not None
    assert "7 cases are left out." in figure.caption


def test_the_report_has_section_figure_and_files(report: Path) -> None:
    assert {"throughput.md", "figures/batch-sizes.svg"} <= {
        path.relative_to(report).as_posix() for path in report.rglob("*.*")
    }
    text = (report / "index.html").read_text()
    assert '<a href="#sweep">Batch sizes and threads</a>' in text
    assert text.index('id="latency"') < text.index('id="sweep"') < text.index('id="training"')
    assert 'aria-label="Throughput by batch size. cpu, 1 thread: teacher ' in text
    assert text.count("Throughput by batch size.") == 1


@pytest.mark.parametrize(
    ("heights", "placed"),
    [
        ([0.0, 50.0], [0.0, 50.0]),
        ([20.0, 20.0], [15.0, 25.0]),
        ([30.0, 22.0, 26.0], [36.0, 16.0, 26.0]),
        ([0.0, 1.0], [0.0, 10.0]),
        ([99.0, 100.0], [90.0, 100.0]),
        ([50.0], [50.0]),
    ],
)
def test_names_move_apart_as_little_as_it_takes(heights: list[float], placed: list[float]) -> None:
    assert apart(heights, 10.0, (0.0, 100.0)) == placed


def test_more_names_than_there_is_room_for_begin_at_the_foot() -> None:
    assert apart([50.0, 50.0, 50.0], 10.0, (45.0, 55.0)) == [45.0, 55.0, 65.0]

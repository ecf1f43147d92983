"""The same cases in several runtimes of one machine: one table, whose ratios all refer to the baseline in the first."""

from collections.abc import Callable
from pathlib import Path

import pytest
from enriched import rewritten, slower
from folders import STEPS, TARGET, Folder

from kdbench.evidence import evidence
from kdbench.evidence.runtimes import races
from kdbench.render.sections.runtimes import runtimes_markdown
from kdbench.render.tables.runtimes import runtime_tables
from kdbench.results.records import CallSize

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft", "int8-static")}
LITERT, TWO, BOARD = "local-litert-1t-fp32", "local-cpu-2t-fp32", "board-litert-1t-fp32"
REFERENCE = "x from-scratch on cpu, 1 thread"


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiteRT takes half of onnxruntime's time for from-scratch, and twice as long for int8-static."""
    targets = (TARGET, LITERT, TWO, BOARD)
    path = Folder(tmp_path_factory.mktemp("raced"), steps=FEW, targets=targets, batch_sizes=(1, 8)).write()
    return rewritten(path, slower("from-scratch", LITERT, 0.5), slower("int8-static", LITERT, 2.0))


def test_only_targets_of_one_device_and_thread_count_race(raced: Path) -> None:
    (race,) = races(evidence(raced))
    assert race.targets == (TARGET, LITERT)
    assert race.first((LITERT, CallSize(8))) == (TARGET, CallSize(8))
    assert race.first((LITERT, CallSize(9))) is None


def test_every_ratio_refers_to_the_baseline_in_the_first_runtime(raced: Path) -> None:
    found = evidence(raced)
    (table,) = runtime_tables(found)
    at = {view.name: row for row, view in enumerate(table.table.rows)}
    ratios = {column.group: column for column in table.table.columns if column.unit == REFERENCE}
    there = ratios["litert, 1 thread, batch 1"]
    assert there.cells[at["from-scratch"]].text.startswith("2.0")
    scratch, int8 = (
        next(case for case in found.cases if case.name == name) for name in ("from-scratch", "int8-static")
    )
    wanted = scratch.latency[TARGET, CallSize(1)].p50_ns.value / int8.latency[LITERT, CallSize(1)].p50_ns.value
    value = there.cells[at["int8-static"]].value
    assert value is not None
    assert value == pytest.approx(wanted)
    paired = int8.latency[TARGET, CallSize(1)].speedup["baseline"]
    here = ratios["cpu, 1 thread, batch 1"]
    assert here.cells[at["int8-static"]].value == pytest.approx(paired.value), "side by side where that is there"
    assert here.cells[at["from-scratch"]].notes == ("the ratios refer to it",)


def test_the_sentences_say_where_each_case_is_fastest(raced: Path) -> None:
    (table,) = runtime_tables(evidence(raced))
    texts = [sentence.text for sentence in table.sentences]
    assert any(text.startswith("`from-scratch` is fastest on litert, 1 thread, batch 1: 2.0") for text in texts)
    assert any(text.startswith("`int8-static` is fastest on cpu, 1 thread, batch 1: ") for text in texts)
    (legend,) = table.table.legend
    assert "one after the other and not side by side" in legend


def test_one_runtime_has_no_table(tmp_path: Path) -> None:
    alone = evidence(Folder(tmp_path, steps=FEW, targets=(TARGET, TWO), seeds=(0,)).write())
    assert races(alone) == ()
    assert runtimes_markdown(alone) == ""

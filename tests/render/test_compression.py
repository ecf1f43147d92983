"""Compressed cases beside what they came from: estimates, the second table, what is missing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import STEPS, TARGET, UNCOMPRESSED, Folder

from kdbench.evidence import CompressionView, Evidence, evidence
from kdbench.evidence.intervals import Estimate
from kdbench.render.report.page import page
from kdbench.render.report.tidy import estimates
from kdbench.render.sections.compression import compression_markdown
from kdbench.render.tables.compression import NOT_COMPARED, compression_tables
from kdbench.render.tables.target_table import TargetTable
from kdbench.render.words.compression_words import size_word, speed_word
from kdbench.results import records
from kdbench.results.records import CallSize, Latency, Record, Score, Size

Build = Callable[..., Folder]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return evidence(Folder(tmp_path_factory.mktemp("compressed") / "results", origins=True).write())


def view(found: Evidence, name: str) -> CompressionView:
    case = found.case(name)
    assert case is not None
    return case.compression[TARGET]


def rewritten(folder: Path, change: Callable[[Record], Record]) -> Evidence:
    path = folder / "records.jsonl"
    changed = [change(record) for record in records.read(path)]
    path.unlink()
    records.append(path, changed)
    return evidence(folder)


def text_of(table: TargetTable, case: str, key: str) -> list[str]:
    (row,) = (place for place, row in enumerate(table.table.rows) if row.name == case)
    return [column.cells[row].text for column in table.table.columns if column.key == key]


def test_only_compressed_cases_are_compared_with_what_they_came_from(found: Evidence) -> None:
    assert {case.name for case in found.cases if case.compressed} == set(UNCOMPRESSED)
    assert {case.name for case in found.cases if case.compression} == set(UNCOMPRESSED)


def test_ratios_are_of_the_same_seeds_file_before(found: Evidence) -> None:
    assert view(found, "pruned-structured").ratio["file"] == pytest.approx(212_000 / 61_001)
    assert view(found, "soft-pruned-int8").ratio["gzip"] == pytest.approx(212_000 / 38_000, rel=1e-3)
    assert view(found, "pruned-structured").mac_counts == (1_450_000, 410_000)


def test_a_chain_is_compared_with_its_distilled_student_and_not_with_the_baseline(found: Evidence) -> None:
    chain, soft = found.case("soft-pruned-int8"), found.case("soft")
    assert chain is not None
    assert soft is not None
    difference = view(found, "soft-pruned-int8").difference
    assert difference is not None
    assert difference.value == pytest.approx(chain.score[TARGET].estimate.value - soft.score[TARGET].estimate.value)
    assert difference.example_count > 0  # paired on examples, too


def test_the_classes_that_lost_most_add_up_to_the_drop(folder: Build) -> None:
    written = folder(origins=True, seeds=(0,)).write()
    stored = {}
    for record in records.read(written / "records.jsonl"):
        if isinstance(record, Score) and record.case == "int8-static":
            stored["after"] = np.load(written / str(record.predictions_path))
            stored["before"] = np.load(written / str(record.origin_predictions_path))
    truth = stored["after"]["test_targets"]
    wrong = (truth + 1) % 10
    # class 3 loses everything, class 7 half, class 5 gains what it can
    before, after = truth.copy(), truth.copy()
    before[truth == 5] = wrong[truth == 5]
    after[truth == 3] = wrong[truth == 3]
    after[np.flatnonzero(truth == 7)[::2]] = 8
    np.savez(written / "before.npz", test=before, test_targets=truth)
    np.savez(written / "after.npz", test=after, test_targets=truth)
    other: dict[str, Any] = {
        "value": float((after == truth).mean()),
        "origin_value": float((before == truth).mean()),
        "predictions_path": "after.npz",
        "origin_predictions_path": "before.npz",
    }

    def changed(record: Record) -> Record:
        mine = isinstance(record, Score) and record.case == "int8-static"
        return replace(record, **other) if mine else record

    new = rewritten(written, changed)
    losses = view(new, "int8-static").losses

    assert losses is not None
    assert [loss.name for loss in losses] == ["3", "7"]
    assert losses[0].lost == 1.0
    assert losses[0].example_count == (truth == 3).sum()
    assert losses[1].lost == pytest.approx(0.5, abs=0.05)


def test_a_class_has_its_name_where_the_folder_says_it(folder: Build) -> None:
    written = folder(origins=True, seeds=(0,)).write()
    names = [f"kind {number}" for number in range(10)]
    description = {"input_names": ["x"], "input_shapes": [[1]], "class_names": names, "example_counts": {"test": 360}}
    (written / "task.json").write_text(json.dumps({"name": "t", "data_key": "k", "description": description}))

    losses = view(evidence(written), "pruned-structured").losses

    assert losses
    assert losses[0].name in names


def test_speed_is_that_beside_the_same_seeds_uncompressed_file(found: Evidence, folder: Build) -> None:
    speedups = view(found, "pruned-structured").speedup
    assert set(speedups) == {CallSize(1), CallSize(32)}
    assert speedups[CallSize(1)].value == pytest.approx(92 / 41, rel=0.02)

    def slower_origin(record: Record) -> Record:
        if isinstance(record, Latency) and "origin" in (record.references or {}):
            origin, times = record.references["origin"], record.reference_samples_ns  # type: ignore[index]
            slow = tuple(tuple(2 * sample for sample in process) for process in times[origin])  # type: ignore[index]
            return replace(
                record,
                references={**record.references, "origin": "slow"},  # type: ignore[dict-item]
                reference_samples_ns={**times, "slow": slow},  # type: ignore[dict-item]
            )
        return record

    slower = rewritten(folder(origins=True, seeds=(0,)).write(), slower_origin)
    assert view(slower, "pruned-structured").speedup[CallSize(1)].value == pytest.approx(2 * 92 / 41, rel=0.02)
    case = slower.case("pruned-structured")
    assert case is not None
    assert case.latency[TARGET, CallSize(1)].speedup["baseline"].value == pytest.approx(92 / 41, rel=0.02)


def without_origins_times(record: Record) -> Record:
    if isinstance(record, Latency):
        kept = {role: digest for role, digest in (record.references or {}).items() if role != "origin"}
        return replace(record, references=kept)
    return record


def test_records_without_the_uncompressed_files_times_say_so(folder: Build) -> None:
    older_records = rewritten(folder(origins=True).write(), without_origins_times)
    assert view(older_records, "pruned-structured").speedup == {}
    (table,) = compression_tables(older_records)
    assert text_of(table, "pruned-structured", "speedup") == ["–", "–"]
    assert "it was not timed beside the uncompressed student" in " ".join(table.table.footnotes)


def test_cost_is_that_of_the_compressing_steps_alone(found: Evidence) -> None:
    cost = view(found, "pruned-structured").cost
    assert cost is not None
    assert cost.wall_ns == pytest.approx(4 * 0.4e9)  # its fine-tuning, not from-scratch's training


def test_slower_and_larger_files_are_called_so(found: Evidence, folder: Build) -> None:
    (table,) = compression_tables(found)
    assert text_of(table, "int8-dynamic", "words") == ["smaller; slower at batch 1 and 32"]
    assert text_of(table, "pruned-unstructured", "words")[0].startswith("as large; ")
    assert text_of(table, "pruned-structured", "words") == ["smaller; faster at batch 1 and 32"]
    said = " ".join(sentence.text for sentence in table.sentences)
    assert "Slower than the uncompressed student: `int8-dynamic` (1.3" in said
    assert "Larger" not in said

    def grown(record: Record) -> Record:
        big = isinstance(record, Size) and record.case == "int8-static"
        return replace(record, onnx_bytes=424_000) if big else record

    (table,) = compression_tables(rewritten(folder(origins=True).write(), grown))
    assert "Larger than the uncompressed student: `int8-static` (2.00x)." in table.sentences[0].text
    assert text_of(table, "int8-static", "words")[0].startswith("larger; ")


@pytest.mark.parametrize(("ratio", "word"), [(2.0, "smaller"), (0.5, "larger"), (1.002, "as large")])
def test_words_of_sizes(ratio: float, word: str) -> None:
    assert size_word(ratio) == word


@pytest.mark.parametrize(
    ("low", "value", "high", "word"),
    [(1.1, 1.2, 1.3, "faster"), (0.9, 1.2, 1.3, "as fast"), (0.7, 0.8, 0.9, "slower"), (None, 0.9, None, "slower")],
)
def test_words_of_speedups(low: float | None, value: float, high: float | None, word: str) -> None:
    assert speed_word(Estimate(value, low, high, (value,))) == word


def test_the_table_says_what_is_in_the_file(found: Evidence) -> None:
    (table,) = compression_tables(found)
    assert text_of(table, "int8-static", "float") == ["1 of 4"]
    assert text_of(table, "int8-static", "dtypes") == ["int8 62.5 KiB, float 2.93 KiB"]
    assert text_of(table, "pruned-unstructured", "nonzero") == ["10.4 of 52.0"]
    assert text_of(table, "pruned-structured", "macs") == ["1,450 → 410"]
    assert text_of(table, "pruned-structured", "file") == ["59.6 (3.48x)"]
    assert "MACs: convolutions and matrix products, one example." in table.table.legend


def test_page_markdown_and_csv_have_the_comparison(found: Evidence, tmp_path: Path) -> None:
    text = page(found, {}, tmp_path, ())
    assert text.index('id="table"') < text.index('id="compression"') < text.index('id="cost"')
    assert "| soft-pruned-int8 |" in compression_markdown(found)
    assert "speedup_over_origin_ratio" in estimates(found).splitlines()[0]


def test_a_folder_of_before_renders_as_it_did(folder: Build) -> None:
    old = evidence(folder(seeds=(0,), batch_sizes=(1,)).write())
    assert compression_tables(old) == ()
    assert compression_markdown(old) == ""


def test_what_is_missing_is_a_dash_with_its_reason(folder: Build) -> None:
    def bare(record: Record) -> Record:
        if isinstance(record, Size):
            return replace(record, origin={}, onnx_zstd_bytes=None, layer_count=None, weight_bytes_by_dtype={})
        if isinstance(record, Score):
            return replace(record, origin_value=None, origin_agreement_fraction=None, origin_predictions_path=None)
        return without_origins_times(record)

    written = folder(origins=True, failed={"int8-static": "it broke"}).write()
    (table,) = compression_tables(rewritten(written, bare))
    texts = {column.key: [cell.text for cell in column.cells] for column in table.table.columns}
    assert set(texts["words"]) == set(texts["lost"]) == set(texts["agrees"]) == set(texts["zstd"]) == {"–"}
    assert NOT_COMPARED in table.table.footnotes
    assert any("it broke" in note for note in table.table.footnotes)
    assert table.sentences == ()
    assert all(cell.text for column in table.table.columns for cell in column.cells)


def test_a_folder_without_a_plan_knows_compressed_cases_by_their_records(folder: Build) -> None:
    few = {name: STEPS[name] for name in ("from-scratch", "int8-static")}
    found = evidence(folder(origins=True, plan=False, steps=few).write())
    assert [case.name for case in found.cases if case.compressed] == ["int8-static"]
    assert view(found, "int8-static").cost is None

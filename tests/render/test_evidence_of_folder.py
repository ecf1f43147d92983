"""A folder's records as estimates: the right rows, pairs, ratios and costs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from folders import EPOCHS, TARGET, TRUTH, Folder

from kdbench.errors import RecordError, StoreError
from kdbench.evidence import Evidence, evidence
from kdbench.render import render
from kdbench.results import records
from kdbench.results.records import CallSize, Failed, Latency, Score, Size, Training

Build = Callable[..., Folder]
PAIR = {name: steps for name, steps in Folder(Path()).steps.items() if name in ("from-scratch", "pruned-structured")}


@pytest.fixture(scope="module")
def found(quickstart: Path) -> Evidence:
    return evidence(quickstart)


def test_the_teacher_stands_first_then_the_baseline_then_the_suite(found: Evidence) -> None:
    names = [case.name for case in found.cases]
    assert names[:3] == ["teacher", "from-scratch", "soft"]
    assert len(names) == 10


def test_families_come_from_the_steps(found: Evidence) -> None:
    families = {case.name: case.family for case in found.cases}
    assert families["teacher"] == families["from-scratch"] == "reference"
    assert families["soft"] == "distillation"
    assert families["int8-static"] == "quantization"
    assert families["soft-pruned-int8"] == "chain"


def test_speedup_is_above_one_for_the_faster_file(found: Evidence) -> None:
    case = found.case("pruned-structured")
    assert case is not None
    truth = TRUTH["from-scratch"][1] / TRUTH["pruned-structured"][1]
    speedup = case.latency[TARGET, CallSize(1)].speedup["baseline"]
    assert speedup.value == pytest.approx(truth, rel=0.03)
    assert speedup.low is not None
    assert speedup.low < truth < (speedup.high or 0)


def test_drift_of_the_machine_cancels_in_the_speedup(folder: Build) -> None:
    """The whole second run at half the clock: latencies double, the ratio and the placed latency stay."""
    path = folder(steps=PAIR, seeds=(0,), batch_sizes=(1,)).write()
    file = path / "records.jsonl"
    kept = records.read(file)
    slow = [_slower(r) if isinstance(r, Latency) and r.case == "pruned-structured" else r for r in kept]
    before = evidence(path).case("pruned-structured")
    file.unlink()
    records.append(file, slow)
    after = evidence(path).case("pruned-structured")
    assert before is not None
    assert after is not None
    one, other = before.latency[TARGET, CallSize(1)], after.latency[TARGET, CallSize(1)]
    assert other.p50_ns.value == pytest.approx(2 * one.p50_ns.value)
    assert other.speedup["baseline"].value == pytest.approx(one.speedup["baseline"].value)


def _slower(record: Latency) -> Latency:
    def twice(samples: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(2 * sample for sample in process) for process in samples)

    references = {digest: twice(samples) for digest, samples in (record.reference_samples_ns or {}).items()}
    return replace(record, samples_ns=twice(record.samples_ns or ()), reference_samples_ns=references)


def test_differences_are_paired_on_the_stored_predictions(found: Evidence) -> None:
    case = found.case("soft")
    assert case is not None
    difference = case.score[TARGET].difference
    assert difference is not None
    assert difference.example_count == 360
    assert difference.adjusted_p is not None
    assert difference.p is not None
    assert difference.adjusted_p >= difference.p


def test_without_predictions_seeds_alone_are_paired(folder: Build) -> None:
    case = evidence(folder(steps=PAIR, predictions=False).write()).case("pruned-structured")
    assert case is not None
    difference = case.score[TARGET].difference
    assert difference is not None
    assert difference.example_count == 0
    assert difference.p is not None


def test_a_case_pays_for_every_stage_it_rests_on_but_not_for_the_teacher(found: Evidence) -> None:
    costs = {case.name: case.cost.wall_ns for case in found.cases if case.cost}
    assert costs["from-scratch"] == pytest.approx(EPOCHS * 0.4e9)
    assert costs["int8-static"] == costs["from-scratch"]
    assert costs["pruned-structured"] == pytest.approx((EPOCHS + EPOCHS // 3) * 0.4e9)
    assert costs["teacher"] == pytest.approx(EPOCHS * 0.8e9)


def test_compression_is_the_bytes_of_the_baseline_over_its_own(found: Evidence) -> None:
    case = found.case("int8-static")
    assert case is not None
    assert case.size[TARGET].compression_ratio["baseline"] == pytest.approx(212_001 / 68_001)


def test_the_last_record_of_a_label_wins(folder: Build) -> None:
    path = folder(steps=PAIR, seeds=(0,)).write()
    last = next(r for r in records.read(path / "records.jsonl") if isinstance(r, Size) and r.case == "from-scratch")
    records.append(path / "records.jsonl", [replace(last, key="later", onnx_bytes=1000)])
    case = evidence(path).case("from-scratch")
    assert case is not None
    assert case.size[TARGET].file_bytes == 1000


def test_a_failure_that_was_mended_later_is_forgotten_and_a_new_one_is_told(folder: Build) -> None:
    path = folder(steps=PAIR, seeds=(0,)).write()
    file = path / "records.jsonl"
    kept = records.read(file)
    training = next(r for r in kept if isinstance(r, Training) and r.case == "from-scratch")
    common = {"suite": "quickstart", "case": "from-scratch", "seed": 0}
    old = Failed(**common, kind="training", key="old", reason="no memory was left.")  # type: ignore[arg-type]
    new = Failed(**common, kind="score", key="new", target="other", reason="the provider fell back.")  # type: ignore[arg-type]
    file.unlink()
    records.append(file, [old, *kept, training, new])
    case = evidence(path).case("from-scratch")
    assert case is not None
    assert case.problems == ("failed on other (seed 0): the provider fell back.",)
    assert case.problems_on("elsewhere") == ()


def test_a_reason_is_told_once_for_all_the_places_that_it_holds_for(folder: Build) -> None:
    path = folder(steps=PAIR, seeds=(0, 1)).write()
    shared = {"suite": "quickstart", "case": "lost", "reason": "no layer."}
    rows = [Failed(**shared, seed=seed, key="a", kind="compression") for seed in (0, 1)]  # type: ignore[arg-type]
    for target in ("one", "two"):
        rows += [
            Failed(**shared, seed=seed, key="b", kind="latency", status="skipped", target=target)  # type: ignore[arg-type]
            for seed in (0, 1)
        ]
    records.append(path / "records.jsonl", rows)
    case = evidence(path).case("lost")
    assert case is not None
    assert case.problems == case.problems_on("one") == ("failed (seeds 0, 1): no layer.",)
    elsewhere = [replace(row, case="gone") for row in rows[2:]]
    records.append(path / "records.jsonl", elsewhere)
    case = evidence(path).case("gone")
    assert case is not None
    assert case.problems == case.problems_on("two") == ("skipped on one, two (seeds 0, 1): no layer.",)


def test_predictions_that_contradict_their_record_cost_that_row_alone(folder: Build) -> None:
    path = folder(steps=PAIR, seeds=(0, 1)).write()
    wrong = next(
        row
        for row in records.read(path / "records.jsonl")
        if isinstance(row, Score) and (row.case, row.seed) == ("pruned-structured", 1)
    )
    stored = path / str(wrong.predictions_path)
    with np.load(stored) as arrays:
        np.savez(stored, **{name: np.roll(array, name == "test") for name, array in arrays.items()})
    found = evidence(path)
    case, other = found.case("pruned-structured"), found.case("from-scratch")
    assert case is not None
    assert other is not None
    assert (case.score[TARGET].seeds, other.score[TARGET].seeds) == ((0,), (0, 1))
    (said,) = case.problems
    assert "(seed 1)" in said
    assert "is not what pruned-structured, seed 1 was recorded with" in said


def test_a_folder_without_a_plan_is_still_read(folder: Build) -> None:
    found = evidence(folder(steps=PAIR, plan=False).write())
    assert found.results.plan.suite == "quickstart"
    assert [case.name for case in found.cases] == ["teacher", "from-scratch", "pruned-structured"]
    assert found.results.plan.seeds == (0, 1, 2)


def test_a_case_with_another_student_is_compared_with_that_students_baseline(folder: Build) -> None:
    steps = {"from-scratch": [], "other/from-scratch": [], "other": [{"soft_distillation": {}}]}
    path = folder(steps=steps).write()
    plan = json.loads((path / "plan.json").read_text())
    for name in ("other", "other/from-scratch"):
        plan["cases"][name]["student"] = "mlp"
    (path / "plan.json").write_text(json.dumps(plan))
    case = evidence(path).case("other")
    assert case is not None
    assert case.baseline == "other/from-scratch"


def test_predictions_outside_the_folder_are_not_read(folder: Build) -> None:
    path = folder(steps=PAIR, seeds=(0,)).write()
    np.savez(path.parent / "elsewhere.npz", test=[1], test_targets=[1])
    results = evidence(path).results
    record = replace(results.scores()[0], predictions_path="../elsewhere.npz")
    assert results.predictions(record) is None


def test_damaged_files_are_named_with_a_remedy(folder: Build) -> None:
    path = folder(steps=PAIR, seeds=(0,)).write()
    predictions = next((path / "predictions").iterdir())
    predictions.write_bytes(b"torn")
    assert "remove it and run the suite again" in " ".join(p for case in evidence(path).cases for p in case.problems)
    (path / "plan.json").write_text("{torn")
    with pytest.raises(StoreError, match="then the records alone are read"):
        evidence(path)


def test_samples_that_do_not_fit_their_reference_are_refused(folder: Build) -> None:
    path = folder(steps=PAIR, seeds=(0,), batch_sizes=(1,)).write()
    kept = records.read(path / "records.jsonl")
    timed = next(record for record in kept if isinstance(record, Latency))
    short = tuple(process[:10] for process in timed.samples_ns or ())
    records.append(path / "records.jsonl", [replace(timed, samples_ns=short)])
    with pytest.raises(RecordError, match=r"the latency record of teacher, seed 0, .* does not fit its reference"):
        evidence(path)


def test_a_folder_without_records_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"has no records\.jsonl; give the folder"):
        evidence(tmp_path)


def test_what_a_target_cannot_have_by_design_is_no_trouble(folder: Build) -> None:
    path = folder(steps=PAIR, seeds=(0,)).write()
    shared = {"suite": "quickstart", "case": "from-scratch", "seed": 0, "key": "k", "status": "skipped"}
    barred = Failed(**shared, kind="latency", target="board", reason="it reads other files.", by_design=True)  # type: ignore[arg-type]
    records.append(path / "records.jsonl", [barred])
    found = evidence(path)
    case = found.case("from-scratch")
    assert case is not None
    assert case.problems == ()
    assert case.excluded == case.problems_on("board") == ("not there on board (seed 0): it reads other files.",)
    render(path, path / "report", ("html",))
    text = (path / "report" / "index.html").read_text()
    assert "Left out by design" in text
    assert "Not everything went well" not in text
    assert "all complete" in text

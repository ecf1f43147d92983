"""Records survive what happens to files: kills in mid-line, newer programs, foreign lines."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.errors import RecordError
from kdbench.results import records
from kdbench.results.records import Failed, Memory, Record, Score, Training

LABELS = {"suite": "s", "case": "soft/temperature=1", "seed": 3, "key": "k", "target": "local-cpu-1t-fp32"}


def accuracy(value: float = 0.5, **fields: object) -> Score:
    own = {"metric": "accuracy", "direction": "higher", "value": value, "split": "test", "runtime": "onnxruntime 1"}
    return Score(**{**LABELS, **own, "example_count": 4, "correct_count": 2, **fields})  # type: ignore[arg-type]


EXAMPLES: list[Record] = [
    accuracy(lineage=("a", "b"), steps=({"soft_distillation": {"temperature": 4.0}},)),
    Memory(**LABELS, peak_rss_bytes=2, import_rss_bytes=1, batch_size=1),  # type: ignore[arg-type]
    Training(**LABELS, wall_ns=1, cpu_ns=1, epoch_count=1, device="cpu", terms_by_epoch=({"ce": 0.1},)),  # type: ignore[arg-type]
    accuracy(case="naïve <b>"),
    Failed(**LABELS, kind="training", reason="it failed."),  # type: ignore[arg-type]
]


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "records.jsonl"
    records.append(path, EXAMPLES[:2])
    records.append(path, EXAMPLES[2:])
    assert records.read(path) == EXAMPLES


@given(cut=st.integers(min_value=0, max_value=2000))
def test_a_file_cut_at_any_byte_loses_at_most_one_record(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / "records.jsonl"
    records.append(path, EXAMPLES)
    whole = path.read_bytes()
    kept = whole[: min(cut, len(whole))]
    path.write_bytes(kept)
    complete = kept.count(b"\n")
    found = records.read(path)
    assert found[:complete] == EXAMPLES[:complete]
    assert len(found) - complete in (0, 1)  # a line that lacks only its newline is whole
    records.append(path, [EXAMPLES[0]])
    assert records.read(path) == [*EXAMPLES[:complete], EXAMPLES[0]]


def test_a_bad_line_in_the_middle_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records.append(path, EXAMPLES)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{torn", *lines[1:]]) + "\n")
    with pytest.raises(RecordError, match=r"records\.jsonl:2: not a record"):
        records.read(path)


def test_records_of_a_newer_kdbench_are_refused() -> None:
    line = json.dumps({**json.loads(records.to_line(EXAMPLES[0])), "schema": 99})
    with pytest.raises(RecordError, match="these records have schema 99, this kdbench reads up to 2; use a newer"):
        records.from_line(line)


def test_migrations_are_applied_one_step_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(data: dict[str, object]) -> dict[str, object]:
        return {**data, "value": float(str(data["value_percent"])) / 100, "value_percent": None}

    def second(data: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in data.items() if value is not None}

    monkeypatch.setattr(records._lines, "SCHEMA", 3)
    monkeypatch.setattr(records._lines, "MIGRATIONS", {1: first, 2: second})
    old = {**json.loads(records.to_line(accuracy())), "schema": 1, "value_percent": 25}
    assert records.from_line(json.dumps(old)) == accuracy(0.25)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "speed"}, "there is no record kind 'speed'"),
        ({"colour": 1}, "a record of kind score has no field colour"),
        ({"split": None}, "a record of kind score lacks split"),
        ({"value": "half"}, "a record of kind score says of value 'half': input should be a valid number"),
        ({"value": [1]}, r"a record of kind score says of value \[1\]: "),
        ({"steps": 7}, "a record of kind score says of steps 7: "),
        ({"case": {}}, "a record of kind score says of case {}: "),
        ({"kind": []}, r"there is no record kind \[\]"),
        ({"schema": 0}, "a JSON object with 'schema' was expected"),
        ({"status": {}}, "a record's status is one of"),
        ({"status": "odd"}, "a record's status is one of ok, failed, skipped, got 'odd'"),
        ({"status": "failed"}, r"a record of kind score \(failed\) lacks reason"),
        ({"schema": "1"}, "a JSON object with 'schema' was expected"),
    ],
)
def test_a_line_that_is_no_record_says_why(change: dict[str, object], message: str) -> None:
    line = json.dumps({**json.loads(records.to_line(accuracy())), **change})
    with pytest.raises(RecordError, match=message):
        records.from_line(line)


def test_nan_is_neither_written_nor_read() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.to_line(accuracy(float("nan")))
    with pytest.raises(RecordError, match="NaN is not allowed"):
        records.from_line(records.to_line(accuracy()).replace("0.5", "NaN"))


def test_what_is_missing_is_absent_not_null() -> None:
    assert "null" not in records.to_line(accuracy())

"""A check from folder to verdict: what is worse is named, what is not is left alone, and nothing is never green."""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from gate_folders import TARGET, WIDE, Folder, Net, killing_python, labels, latency

from kdbench.check import Checked, Row, Verdict, check
from kdbench.cli import cli
from kdbench.errors import StoreError, UnknownName
from kdbench.files import sha256_of
from kdbench.results.records import Failed
from kdbench.results.trust import Confirmed
from kdbench.timing.duel import Effort
from kdbench.timing.verdict_rule import Rule

QUICK = Effort(calls=200, seconds=0.0)
SHORT = Rule(first=1, fresh=3)
"""Fewer processes: what is injected here is large, and the tolerance wide."""
OTHER = Net(note="another file of the same network")


def checked(new: Path, reference: Path, targets: Sequence[str] = (), cases: Sequence[str] = ()) -> Checked:
    entry = json.loads((new / "plan.json").read_text()).get("measure", {}).get(TARGET, {})
    said = Confirmed(pythons={TARGET: entry["python"]} if entry.get("python") else {})
    return check(new, reference, targets, cases, rule=SHORT, effort=QUICK, confirmed=said)


def verdicts(found: Checked, case: str) -> dict[str, Verdict]:
    return {row.metric: row.verdict for row in found.rows if row.case == case}


def only(found: Checked, case: str) -> Checked:
    return dataclasses.replace(found, rows=tuple(row for row in found.rows if row.case == case))


def row_of(found: Checked, case: str, metric: str) -> Row:
    (row,) = (row for row in found.rows if (row.case, row.metric) == (case, metric))
    return row


NETS = {
    "same": Net(),
    "copied": OTHER,
    "slow": Net(layers=40),
    "confused": Net(confused=0.35),
    "large": Net(padding=50_000),
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Folder(tmp_path_factory.mktemp("reference") / "r", {name: Net() for name in NETS}).write()


@pytest.fixture(scope="module")
def injected(tmp_path_factory: pytest.TempPathFactory, reference: Path) -> Checked:
    """One check of a folder in which each case has one thing wrong with it, or none."""
    wide = {**WIDE, "cases": {"copied": {"size": {"max_ratio": 1.01}}}}
    new = Folder(tmp_path_factory.mktemp("new") / "n", {**NETS, "fresh": Net()}, check=wide)
    return checked(new.write(), reference)


def test_equal_files_are_ok_by_every_metric_and_code_0(injected: Checked) -> None:
    for case in ("same", "copied"):
        assert verdicts(injected, case) == {"accuracy": "ok", "size": "ok", "latency": "ok"}
        assert only(injected, case).exit_code == 0


def test_the_same_bytes_are_not_timed_and_a_copy_is(injected: Checked) -> None:
    same, copied = row_of(injected, "same", "latency"), row_of(injected, "copied", "latency")
    assert same.value == 1.0
    assert not same.samples_ns
    assert same.said == "The same file, byte for byte: there is nothing to time."
    assert len(copied.samples_ns) == len(copied.reference_samples_ns) == SHORT.first
    assert copied.new is not None


def test_more_work_is_slower_and_code_3(injected: Checked) -> None:
    row = row_of(injected, "slow", "latency")
    assert row.verdict == "slower"
    assert row.value is not None
    assert row.low is not None
    assert row.value > 2
    assert row.low > 1
    assert len(row.samples_ns) == SHORT.first + SHORT.fresh
    assert "over 3 fresh processes" in row.said
    assert only(injected, "slow").exit_code == 3
    assert row_of(injected, "slow", "accuracy").verdict == "ok"


def test_lost_answers_are_less_accurate_and_code_3(injected: Checked) -> None:
    row = row_of(injected, "confused", "accuracy")
    assert row.verdict == "less accurate"
    assert row.value is not None
    assert row.reference is not None
    assert row.value == pytest.approx(row.reference - (row.new or 0))
    assert row.value > row.limit == 0.005
    assert only(injected, "confused").exit_code == 3
    assert row_of(injected, "confused", "latency").verdict == "ok"


def test_a_file_that_grew_is_larger_and_code_3(injected: Checked) -> None:
    row = row_of(injected, "large", "size")
    assert row.verdict == "larger"
    assert row.new is not None
    assert row.new - (row.reference or 0) >= 50_000
    assert only(injected, "large").exit_code == 3
    assert row_of(injected, "large", "latency").verdict == "ok"


def test_a_new_case_is_a_note_and_no_row(injected: Checked) -> None:
    assert not verdicts(injected, "fresh")
    assert any(note.startswith("fresh: not in ") for note in injected.notes)


def test_it_says_on_what_it_was_timed_again(injected: Checked) -> None:
    assert injected.environments[TARGET]["runtime"] == "onnxruntime"
    assert injected.wall_ns > 0


def test_a_provider_that_is_not_there_is_a_wrong_provider_and_code_1(tmp_path: Path, reference: Path) -> None:
    session = {**Folder(tmp_path).session, "provider": "cuda"}
    new = Folder(tmp_path / "new", {"copied": OTHER}, session=session).write()
    found = checked(new, reference, cases=["copied"])
    row = row_of(found, "copied", "latency")
    assert row.verdict == "wrong provider"
    assert "CUDAExecutionProvider" in row.said
    assert row.value is None
    assert dataclasses.replace(found, rows=(row,)).exit_code == 1


def test_a_process_that_dies_takes_its_own_row_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    cases = {"good": OTHER, "deadly": Net(note="deadly")}
    its = Folder(tmp_path / "its", dict.fromkeys(cases, Net())).write()
    folder = Folder(tmp_path / "new", cases, check={**WIDE, "size": {"max_ratio": 2.0}})
    folder.python = str(tmp_path / "python")
    new = folder.write()
    killing_python(tmp_path / "python", sha256_of(new / "files" / "deadly" / "0.onnx"))
    found = checked(new, its)
    assert verdicts(found, "good") == {"size": "ok", "accuracy": "ok", "latency": "ok"}
    assert verdicts(found, "deadly") == {"size": "ok", "accuracy": "errored", "latency": "errored"}
    assert row_of(found, "deadly", "latency").said.startswith("onnxruntime's process was killed by SIGKILL")
    assert found.exit_code == 1


def test_an_interpreter_that_is_gone_is_errored(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"same": Net()}, python=str(tmp_path / "gone")).write()
    found = checked(new, reference, cases=["same"])
    assert verdicts(found, "same") == {"size": "ok", "accuracy": "errored", "latency": "errored"}
    assert "cannot start" in row_of(found, "same", "latency").said


def test_a_file_that_no_longer_answers_as_recorded_is_errored(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"same": Net()}).write()
    (stored,) = (new / "files" / "same").glob("*.npz")
    with np.load(stored) as arrays:
        said, truth = arrays["test"], arrays["test_targets"]
    wrong = np.flatnonzero(said != truth)
    others = np.flatnonzero(said == truth)[: len(wrong)]
    said[wrong], said[others] = truth[wrong], (truth[others] + 1) % 4  # as often right, elsewhere
    np.savez(stored, test=said, test_targets=truth)
    row = row_of(checked(new, reference, cases=["same"]), "same", "accuracy")
    assert row.verdict == "errored"
    assert "sample examples otherwise here than its records say" in row.said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda test, truth: ((test + 1) % 4, truth), "is not what same, seed 0 was recorded with"),
        (lambda test, truth: (test[:-1], truth[:-1]), "has 399 examples, and the record of same, seed 0 400"),
        (lambda test, truth: (test[:-1], truth), "has 399 predictions of 400 test examples"),
        (lambda test, truth: (test.astype(float), truth), "holds float64 of shape (400,), not a class an example"),
        (lambda test, truth: (test[:, None], truth), "of shape (400, 1), not a class an example"),
        (lambda test, truth: (test.astype(str), truth), "not a class an example"),
    ],
)
def test_predictions_of_another_row_or_form_are_errored(
    tmp_path: Path, reference: Path, spoil: Callable[..., tuple[np.ndarray, np.ndarray]], said: str
) -> None:
    new = Folder(tmp_path / "new", {"same": Net()}).write()
    (stored,) = (new / "files" / "same").glob("*.npz")
    with np.load(stored) as arrays:
        test, truth = spoil(arrays["test"], arrays["test_targets"])
    np.savez(stored, test=test, test_targets=truth)
    row = row_of(checked(new, reference, cases=["same"]), "same", "accuracy")
    assert row.verdict == "errored"
    assert said in row.said


def test_a_file_that_is_not_the_recorded_one_is_errored(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"same": Net()}).write()
    (path,) = (new / "files" / "same").glob("*.onnx")
    path.write_bytes(path.read_bytes() + b"\x00")
    found = checked(new, reference, cases=["same"])
    assert verdicts(found, "same") == {"size": "errored", "accuracy": "errored"}
    assert "is not the file that its record is about" in row_of(found, "same", "size").said
    assert found.exit_code == 1


def test_what_failed_in_the_new_run_is_errored_with_its_reason(tmp_path: Path, reference: Path) -> None:
    fell_back = "measure: same, seed 0: asked for CUDAExecutionProvider, onnxruntime chose CPUExecutionProvider."
    extra = (
        Failed(
            kind="training",
            **labels("copied", 0, None),
            status="failed",
            reason="train: copied, seed 0: loss is not finite.",
        ),
        Failed(**labels("same", 0, TARGET), kind="latency", reason=fell_back),
    )
    new = Folder(tmp_path / "new", {"same": Net()}, extra=extra).write()
    found = checked(new, reference, cases=["same", "copied"])
    assert verdicts(found, "copied") == {"accuracy": "errored"}
    assert "its training failed: train: copied, seed 0: loss is not finite." in row_of(found, "copied", "accuracy").said
    assert row_of(found, "same", "latency").verdict == "wrong provider"
    assert found.exit_code == 1


def test_a_case_that_is_gone_is_errored(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"same": Net()}).write()
    found = checked(new, reference, cases=["same", "slow"])
    row = row_of(found, "slow", "accuracy")
    assert row.verdict == "errored"
    assert "run it, or name others with --case" in row.said


def test_another_device_cannot_be_told_here_and_is_not_green(tmp_path: Path) -> None:
    phone = "phone-cpu-4t-fp32"
    its = Folder(tmp_path / "its", {"a": Net()}, extra=(latency("a", phone),)).write()
    new = Folder(tmp_path / "new", {"a": Net()}, extra=(latency("a", phone),)).write()
    found = checked(new, its)
    (row,) = (row for row in found.rows if row.target == phone)
    assert row.verdict == "cannot tell"
    assert "check on that device" in row.said
    assert found.exit_code == 4
    assert checked(new, its, targets=[TARGET]).exit_code == 0


def test_nothing_in_common_is_not_green(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"fresh": Net()}).write()
    found = checked(new, reference, cases=["fresh"])
    assert found.rows == ()
    assert found.exit_code == 4


def test_the_teacher_is_checked_only_when_it_is_named(tmp_path: Path) -> None:
    its = Folder(tmp_path / "its", {"teacher": Net(), "a": Net()}).write()
    new = Folder(tmp_path / "new", {"teacher": Net(), "a": Net()}).write()
    assert {row.case for row in checked(new, its).rows} == {"a"}
    assert {row.case for row in checked(new, its, cases=["teacher"]).rows} == {"teacher"}


def test_seeds_of_one_size_are_timed_once_and_of_several_each(tmp_path: Path) -> None:
    its = Folder(tmp_path / "its", {"a": Net()}, seeds=(0, 1, 2)).write()
    new = Folder(tmp_path / "new", {"a": Net()}, seeds=(0, 1, 2, 3)).write()
    found = checked(new, its)
    assert [row.seed for row in found.rows if row.metric == "latency"] == [0]
    assert row_of(found, "a", "accuracy").seed is None  # all three together
    assert "3 seeds" in row_of(found, "a", "accuracy").said
    assert f"a on {TARGET}: compared on seed 0, 1, 2 only, which both have." in found.notes


@pytest.mark.parametrize(
    ("targets", "cases", "message"),
    [
        (["local-cpu-2t-fp32"], [], "there is no target 'local-cpu-2t-fp32' here. Did you mean 'local-cpu-1t-fp32'?"),
        ([], ["sam"], "no case here matches 'sam'. Did you mean 'same'?"),
    ],
)
def test_a_name_that_nobody_has_is_bad_input(
    reference: Path, targets: list[str], cases: list[str], message: str
) -> None:
    with pytest.raises(UnknownName) as error:
        checked(reference, reference, targets, cases)
    assert str(error.value) == message


def test_a_folder_of_an_older_kdbench_is_told_the_remedy(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"same": Net()}).write()
    plan = json.loads((new / "plan.json").read_text())
    del plan["measure"]
    (new / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(StoreError, match=r"run its suite again with -o '.*new': what is finished is reused\.$"):
        checked(new, reference)


def test_a_damaged_sample_is_told_the_remedy(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"same": Net()}).write()
    sample = new / "inputs" / "sample-x.npz"
    for data in (b"", b"no archive", sample.read_bytes()[:-40]):
        sample.write_bytes(data)
        with pytest.raises(StoreError, match=r"the sample '.*sample-x.npz' is damaged .*; run the suite again"):
            checked(new, reference)


def test_damaged_predictions_are_errored(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"same": Net()}).write()
    (stored,) = (new / "files" / "same").glob("*.npz")
    stored.write_bytes(b"")
    row = row_of(checked(new, reference, cases=["same"]), "same", "accuracy")
    assert row.verdict == "errored"
    assert "holds no predictions" in row.said


def test_a_plan_with_broken_tolerances_is_told_the_remedy(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"same": Net()}, check={"latency": {"max_ratio": "a lot"}}).write()
    with pytest.raises(StoreError, match=r"'check' in plan.json of .*new cannot be understood"):
        checked(new, reference)


def test_the_verb_ends_with_the_code_and_prints_the_answer(tmp_path: Path, reference: Path) -> None:
    new = Folder(tmp_path / "new", {"large": Net(padding=50_000), "same": Net()}).write()
    junit = tmp_path / "check.xml"
    arguments = ["check", str(new), "--against", str(reference)]
    ended = CliRunner().invoke(cli, [*arguments, "--case", "same", "-o", f"junit={junit}"])
    assert ended.exit_code == 0, ended.output
    assert "no regression" in ended.stdout
    assert junit.read_text().startswith("<?xml")
    ended = CliRunner().invoke(cli, [*arguments, "--format", "json"])
    assert ended.exit_code == 3, ended.output
    said = {(row["case"], row["metric"]): row["verdict"] for row in json.loads(ended.stdout)["rows"]}
    assert said["large", "size"] == "larger"
    assert said["slow", "accuracy"] == "errored"  # the reference has it, and a regression outweighs an error
    ended = CliRunner().invoke(cli, [*arguments, "--case", "same", "--format", "yaml"])
    assert ended.exit_code == 2
    ended = CliRunner().invoke(cli, ["check", str(new), "--against", str(tmp_path / "gone")], standalone_mode=False)
    assert isinstance(ended.exception, StoreError)
    assert str(ended.exception).startswith(f"there is no '{tmp_path / 'gone'}'; give a results folder")


def test_reading_a_verdict_loads_no_statistics() -> None:
    import subprocess

    code = (
        "import sys; from kdbench.check import Checked; print(sorted({'scipy', 'pandas', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""The verb on a suite: each target's verdict, the exit code, both forms, no crash on what is broken."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from environments import add_numpy, environment, install

from kdbench.cli import cli
from kdbench.cli.machine import CANNOT
from kdbench.doctor.findings import Diagnosis
from kdbench.measure import energy
from kdbench.timing import probe

QUICKSTART = Path(__file__).parent.parent.parent / "suites" / "quickstart.yaml"

pytestmark = pytest.mark.usefixtures("hasty")


def suite(folder: Path, *entries: str) -> str:
    """The quickstart, measured otherwise; its path."""
    head, _, _ = QUICKSTART.read_text().partition("\nmeasure:\n")
    path = folder / "suite.yaml"
    path.write_text(f"{head}\nmeasure:\n" + "".join(f"  - {entry}\n" for entry in entries))
    return str(path)


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", *arguments], env={"COLUMNS": "80"})


def asked(result: Result) -> dict[str, dict[str, Any]]:
    """Target -> its verdict, of the JSON form."""
    return {entry["target"]: entry for entry in json.loads(result.stdout)["asked"]}


def test_a_suite_for_the_cpu_can_be_measured_here(tmp_path: Path) -> None:
    result = doctor(suite(tmp_path, "{provider: cpu, threads: [1, 64]}"))
    assert result.exit_code == 0
    assert "Suite quickstart: 2 of 2 targets can be measured here" in result.stdout
    assert re.search(r"local-cpu-1t-fp32 +works +CPUExecutionProvider ran 5 of 5 kernels", result.stdout)
    assert re.search(r"64 threads share \d+ physical cores", result.stdout)


def test_what_cannot_be_measured_has_its_reason_its_commands_and_code_1(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "bin" / "python"
    entries = ("{provider: cpu}", "{provider: xnnpack}", f"{{provider: openvino, python: '{nowhere}'}}")
    result = doctor(suite(tmp_path, *entries), "--format", "json")
    assert result.exit_code == CANNOT
    cpu, xnnpack, openvino = asked(result).values()
    assert cpu["can"]
    assert not xnnpack["can"]
    assert xnnpack["reason"].endswith("has no XnnpackExecutionProvider")
    assert openvino["reason"] == f"cannot start {nowhere} (No such file or directory)"
    assert openvino["remedy"]["commands"][-1] == f"{nowhere} -m pip install numpy onnxruntime-openvino"


def test_a_provider_that_was_overwritten_is_got_back_by_mending_the_environment(tmp_path: Path) -> None:
    python = add_numpy(environment(tmp_path / "both"))
    install(python, "onnxruntime-openvino", "1.24.1", ("OpenVINOExecutionProvider", "CPUExecutionProvider"))
    install(python, "onnxruntime", "1.31.1")
    result = doctor(suite(tmp_path, f"{{provider: openvino, python: '{python}'}}"), "--format", "json")
    (verdict,) = asked(result).values()
    assert verdict["reason"] == "its onnxruntime 1.31.1 has no OpenVINOExecutionProvider"
    assert verdict["remedy"]["commands"][-1] == f"{python} -m pip install onnxruntime-openvino==1.24.1"


def test_energy_that_is_asked_for_and_has_no_counter_is_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "counter", lambda provider="cpu": (None, "virtual machines have none."))
    result = doctor(suite(tmp_path, "{provider: cpu, energy: true}"), "--format", "json")
    assert result.exit_code == CANNOT
    (verdict,) = asked(result).values()
    assert verdict["can"]
    assert verdict["lacks"] == ["energy cannot be read: virtual machines have none."]


def test_a_target_is_tried_in_its_own_session_but_leaves_nothing_in_its_engine_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def trial(python: str | None, session: dict[str, Any]) -> dict[str, Any]:
        tried.append(session)
        return {"works": True, "node_count_by_provider": {"OpenVINOExecutionProvider": 1}}

    monkeypatch.setattr(probe, "trial", trial)
    cache = tmp_path / "engines"
    doctor(suite(tmp_path, f"{{provider: openvino, threads: [2], precisions: [bf16], engine_cache: '{cache}'}}"))
    (session,) = [session for session in tried if session["provider"] == "openvino"]
    assert (session["threads_intra"], session["precision"]) == (2, "bf16")
    assert "engine_cache" not in session


def test_an_interpreter_that_is_given_and_broken_is_a_line_and_code_1(tmp_path: Path) -> None:
    result = doctor("--python", str(tmp_path))
    assert result.exit_code == CANNOT
    assert f"Interpreter: {tmp_path}\n  no      cannot start" in result.stdout


def test_a_suite_that_is_wrong_is_bad_input_before_anything_is_tried(tmp_path: Path) -> None:
    path = suite(tmp_path, "{provider: gpu}")
    result = doctor(path)
    assert result.exception is not None
    assert "'gpu' is no provider" in str(result.exception)
    assert result.stdout == ""


def test_the_json_form_has_every_finding(tmp_path: Path) -> None:
    found = json.loads(doctor("--format", "json").stdout)
    assert found.pop("schema") == 1
    assert found.pop("can_all") is True
    assert list(found) == list(Diagnosis.__dataclass_fields__)
    assert found["suite"] is None

"""A results folder chooses no program: what its plan.json names to be run or loaded waits for the user's word."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from gate_folders import SESSION, TARGET, Folder, Net

from kdbench.check import check
from kdbench.cli import cli
from kdbench.errors import StoreError, UnknownName
from kdbench.results.trust import Confirmed
from kdbench.timing.duel import Effort
from kdbench.timing.verdict_rule import Rule


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """An interpreter that leaves a mark when it is started."""
    path = tmp_path / "evil.sh"
    path.write_text(f'#!/bin/sh\ntouch {tmp_path / "pwned"}\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


def was_run(program: Path) -> bool:
    return (program.parent / "pwned").exists()


def written(tmp_path: Path, **fields: Any) -> Path:
    return Folder(tmp_path / "results", {"a": Net()}, **fields).write()


@pytest.mark.parametrize(
    "verb",
    [("check", "{}", "--against", "{}"), ("selfcheck", "{}", "--case", "a", "--target", TARGET, "--pairs", "3")],
    ids=["check", "selfcheck"],
)
def test_the_interpreter_of_a_results_folder_is_not_started(
    tmp_path: Path, program: Path, verb: tuple[str, ...]
) -> None:
    folder = written(tmp_path, python=str(program))
    arguments = [word.format(folder) for word in verb]
    ended = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert isinstance(ended.exception, StoreError)
    assert f"measure.{TARGET}.python" in str(ended.exception)
    assert "--suite SUITE.yaml" in str(ended.exception)
    assert f"--python {TARGET}={program}" in str(ended.exception)
    assert not was_run(program)


def test_an_interpreter_that_the_user_names_measures(tmp_path: Path, program: Path) -> None:
    folder = written(tmp_path, python=str(tmp_path / "of another machine"))
    found = check(
        folder, folder, rule=Rule(first=1, fresh=3), effort=Effort(calls=20, seconds=0.0),
        confirmed=Confirmed(pythons={TARGET: str(program)}),
    )  # fmt: skip
    assert found.exit_code == 0
    assert was_run(program)


def test_a_suite_of_the_users_confirms_what_it_says_itself(tmp_path: Path, program: Path) -> None:
    folder = written(tmp_path, python="/never/started")
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "kdbench: 1\nname: tiny\ntask: digits\nseeds: [0]\nrecipes: {train: {epochs: 1}}\n"
        "student: {model: mlp, recipe: train}\ncases: {from-scratch: []}\n"
        f"measure:\n  - {{provider: cpu, python: {program}}}\n"
    )
    arguments = ["check", str(folder), "--against", str(folder), "--suite", str(suite)]
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 0, ended.output
    assert was_run(program)


@pytest.mark.parametrize(
    "loads",
    [
        {"provider": "qnn", "options": {"backend_path": "/evil.so"}},
        {"options": {"trt_extra_plugin_lib_paths": "/evil.so"}},
        {"provider": "evil", "precision": "default", "plugin": "evil"},
        {"provider": "openvino", "engine_cache": "/evil"},
        {"something_of_tomorrow": "/evil.so"},
    ],
)
def test_neither_are_libraries_that_a_folder_names_loaded(tmp_path: Path, loads: dict[str, Any]) -> None:
    folder = written(tmp_path, session={**SESSION, **loads})
    for arguments in (
        ["check", str(folder), "--against", str(folder)],
        ["selfcheck", str(folder), "--case", "a", "--target", TARGET],
        ["bundle", str(folder), "-o", str(tmp_path / "b.pyz")],
        ["get", str(folder), "a", "-o", str(tmp_path / "got")],
    ):
        ended = CliRunner().invoke(cli, arguments, standalone_mode=False)
        assert isinstance(ended.exception, StoreError), arguments
        assert "can load code" in str(ended.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]


def test_targets_that_are_not_asked_for_need_no_word(tmp_path: Path, program: Path) -> None:
    folder = written(tmp_path)
    plan = json.loads((folder / "plan.json").read_text())
    plan["measure"]["other"] = {**plan["measure"][TARGET], "python": os.fspath(program)}
    (folder / "plan.json").write_text(json.dumps(plan))
    assert check(folder, folder, targets=[TARGET]).exit_code == 0
    assert not was_run(program)


def test_a_target_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path)
    with pytest.raises(UnknownName, match=r"measures no target 'local-cpu-2t-fp32'\. Did you mean"):
        check(folder, folder, confirmed=Confirmed(pythons={"local-cpu-2t-fp32": sys.executable}))

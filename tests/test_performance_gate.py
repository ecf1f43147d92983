"""The example workflow: its commands are ones that this kdbench takes, in an order that works, and they run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from kdbench.cli import cli
from kdbench.render.verbs.check import FORMS, output
from kdbench.suite.reader import load

ROOT = Path(__file__).parent.parent
FILE = ROOT / ".github" / "workflows" / "performance-gate.yml"
WORKFLOW: dict[str, Any] = YAML(typ="safe").load(FILE)
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["gate"]["steps"]
GITHUB = {"GITHUB_STEP_SUMMARY": "summary.md", "GITHUB_SHA": "0123456789abcdef"}
PULL_REQUEST, ON_MAIN = "github.event_name == 'pull_request'", "github.ref == 'refs/heads/main'"


def commands(step: dict[str, Any]) -> list[list[str]]:
    """The kdbench commands of a step, variables filled in."""
    text = str(step.get("run", "")).replace("\\\n", " ")
    filled = Template(text).safe_substitute({**WORKFLOW["env"], **GITHUB})
    split = [shlex.split(line.partition(">>")[0], comments=True) for line in filled.splitlines() if "kdbench" in line]
    return [words[1:] for words in split if words[:1] == ["kdbench"]]


COMMANDS = [command for step in STEPS for command in commands(step)]


def understood(command: list[str], group: click.Group = cli) -> click.Context:
    """The parsed command, not run; click raises for what it does not know."""
    name, *arguments = command
    verb = group.commands[name]
    return understood(arguments, verb) if isinstance(verb, click.Group) else verb.make_context(name, arguments)


def test_the_workflow_runs_checks_and_saves() -> None:
    assert [command[0] for command in COMMANDS] == ["run", "check", "baseline", "history", "history"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_and_option_is_one_that_kdbench_has(command: list[str]) -> None:
    assert understood(command).params


def test_each_report_has_a_form_and_one_is_the_summary() -> None:
    reports = [output(text) for text in understood(COMMANDS[1]).params["outputs"]]
    assert {form for form, _ in reports} == set(FORMS) - {"text"}
    assert [path.name for form, path in reports if form == "markdown"] == [GITHUB["GITHUB_STEP_SUMMARY"], "comment.md"]
    uploaded = next(step["with"]["path"] for step in STEPS if "upload-artifact" in step.get("uses", ""))
    assert {path.parts[0] for _, path in reports if path.name != GITHUB["GITHUB_STEP_SUMMARY"]} == {uploaded}


GH = """#!/bin/sh
case "$*" in
  *--paginate*) cat earlier ;;
  *) echo "$*" >> asked ;;
esac
"""
"""Stands for GitHub's command: lists the ids of earlier comments that bear the mark, and notes what it is asked."""


@pytest.mark.parametrize(
    ("earlier", "asked"),
    [
        ("", "api repos/o/r/issues/7/comments --field body=@check/comment.md"),
        ("11\n12\n", "api --method PATCH repos/o/r/issues/comments/11 --field body=@check/comment.md"),
    ],
)
def test_a_comment_replaces_its_predecessor(tmp_path: Path, earlier: str, asked: str) -> None:
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "earlier").write_text(earlier)
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / "comment.md").write_text("<!-- kdbench check of tiny -->\n\n### kdbench check\n")
    step = next(step for step in STEPS if step.get("name") == "Comment on the pull request")
    given = {"COMMENTS": "repos/o/r/issues", "NUMBER": "7", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env={**os.environ, **given}, check=True)
    assert (tmp_path / "asked").read_text().strip() == asked


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq, whose language the filter is in, is not installed")
def test_the_filter_finds_the_comments_of_this_check_alone() -> None:
    """GitHub's command has its own jq; the filter of the workflow runs in the one that is installed."""
    step = next(step for step in STEPS if step.get("name") == "Comment on the pull request")
    (wanted,) = re.findall(r"--jq '([^']+)'", step["run"])
    mark = "<!-- kdbench check of tiny -->"
    bodies = {1: "a person", 2: f"{mark}\n\nold", 3: "<!-- kdbench check of other -->\n", 4: f"quoted: {mark}"}
    comments = json.dumps([{"id": number, "body": body} for number, body in bodies.items()])
    told = subprocess.run(
        ["jq", "-r", wanted],
        input=comments,
        env={**os.environ, "MARK": mark},
        text=True,
        capture_output=True,
        check=True,
    )
    assert told.stdout.split() == ["2"]


def test_one_folder_is_run_checked_and_saved() -> None:
    run, check, save, append, _ = (understood(command).params for command in COMMANDS)
    assert append["results"] == run["output"]
    assert append["folder"].parts[0] == save["output"].parts[0]
    assert run["output"] == check["new"] == save["results"]
    assert check["reference"] == save["output"] == Path(WORKFLOW["env"]["BASELINE"])
    cached = [step["with"]["path"] for step in STEPS if "actions/cache" in step.get("uses", "")]
    assert cached == [check["reference"].parts[0]] * 2
    assert Path(WORKFLOW["env"]["KDBENCH_STORE"]).parts[0] == cached[0]


def test_only_main_saves_and_only_pull_requests_are_checked() -> None:
    conditions = {step.get("name"): str(step.get("if", "")) for step in STEPS}
    assert conditions["Check against the baseline"] == PULL_REQUEST
    assert conditions["Upload the reports"] == f"always() && {PULL_REQUEST}"
    assert conditions["Save a baseline"].startswith(ON_MAIN)
    assert conditions["Keep the baseline and finished stages"] == ON_MAIN


def test_the_suite_is_there_and_is_read() -> None:
    assert load(ROOT / WORKFLOW["env"]["SUITE"]).cases


def test_actions_are_pinned_by_major_version_and_nothing_is_of_one_machine() -> None:
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert all(re.fullmatch(r"actions/[\w/-]+@v\d+", action) for action in used)
    assert not re.search(r"/(work|home|root|tmp)/|https?://", FILE.read_text())


TINY = """\
kdbench: 1
name: tiny
task: digits
seeds: [0]
recipes:
  train: {epochs: 2, batch_size: 64, learning_rate: 0.05}
teacher: {model: {cnn: {channels: [8, 8, 8]}}, recipe: train}
student: {model: {cnn: {channels: [8, 8, 8]}}, recipe: train}
cases:
  from-scratch: []
measure:
  - {provider: cpu, processes: 3, calls: 100, seconds: 0}
"""


@pytest.mark.slow
def test_the_commands_run_as_they_are_written(tmp_path: Path) -> None:
    """Main's steps, then a pull request's whose student became slower and larger."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    assert bash(tmp_path, *(COMMANDS[place] for place in (0, 2))) == 0
    assert bash(tmp_path, COMMANDS[1]) == 0, "nothing changed"
    (tmp_path / "tiny.yaml").write_text(
        TINY.replace("student: {model: {cnn: {channels: [8, 8, 8]", "student: {model: {cnn: {channels: [64, 128, 8]")
    )
    assert bash(tmp_path, COMMANDS[0], COMMANDS[1]) == 3
    assert "regression confirmed" in (tmp_path / "summary.md").read_text()
    for name in ("junit.xml", "check.json", "benchmark.json"):
        assert (tmp_path / "check" / name).stat().st_size > 0


def bash(folder: Path, *found: list[str]) -> int:
    """The exit code of commands, one after another, as a runner's shell would end."""
    suite = {**WORKFLOW["env"], **GITHUB, "SUITE": "tiny.yaml"}
    asked = [["tiny.yaml" if word == WORKFLOW["env"]["SUITE"] else word for word in command] for command in found]
    script = "\n".join(shlex.join([sys.executable, "-m", "kdbench", *command]) for command in asked)
    return subprocess.run(["bash", "-e", "-c", script], cwd=folder, env={**os.environ, **suite}, check=False).returncode

"""What the README says is what happens: its commands, its table, its technique."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kdbench import registry, testing
from kdbench.cli import cli
from kdbench.protocols import TaskDescription
from kdbench.render import render
from kdbench.results import records
from kdbench.results.records import Environment, Failed, Latency
from kdbench.suite.reader import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(name: str) -> str:
    """The fenced block after `<!-- tested: NAME -->`."""
    found = re.search(rf"<!-- tested: {name} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"README has no block '{name}'"
    return found.group(1)


def test_the_technique_of_the_readme_keeps_the_contract(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(block("technique"))
    quickstart = (ROOT / "suites" / "quickstart.yaml").read_text()
    own = "  careful: ['mine.py:ConfidencePenalty': {beta: 0.2}]\n  soft:"
    (tmp_path / "s.yaml").write_text(quickstart.replace("  soft:", own, 1))
    (step,) = load(tmp_path / "s.yaml").cases["careful"].steps
    testing.check_technique(step.technique)
    code = [line for line in block("technique").splitlines() if line.strip()]
    assert len(code) <= 15


def own(name: str, folder: Path) -> Any:
    """The class that the README's block defines, as a suite beside `mine.py` would name it."""
    (folder / "mine.py").write_text(block(name))
    cls = re.search(r"^class (\w+)", block(name), re.MULTILINE)
    assert cls
    return registry.resolve(name, f"mine.py:{cls.group(1)}", folder)


def test_the_model_of_the_readme_keeps_the_contract(tmp_path: Path) -> None:
    images = TaskDescription.classification(
        input_names=("image",), input_shapes=((3, 16, 16),), class_names=tuple("abcde"), example_counts={"train": 10}
    )
    testing.check_model(own("model", tmp_path)(), images)


def test_the_task_of_the_readme_keeps_the_contract(tmp_path: Path) -> None:
    testing.check_task(own("task", tmp_path)())


def test_the_suite_of_a_trained_model_trains_what_it_says(tmp_path: Path) -> None:
    net = "from torch import nn\n\nclass Net(nn.Module):\n    def __init__(self, width: int = 4):\n        pass\n"
    (tmp_path / "mynet.py").write_text(net)
    head, measure = "kdbench: 1\nname: mine\ntask: digits\n", "measure: [{provider: cpu}]\n"
    (tmp_path / "s.yaml").write_text(f"{head}{block('trained')}{measure}")
    cases = load(tmp_path / "s.yaml").cases
    assert [name for name, case in cases.items() if case.trains] == ["pruned", "pruned-self"]


@pytest.mark.parametrize("line", block("try").splitlines())
def test_the_lines_that_try_a_model_are_understood(line: str) -> None:
    program, verb, *arguments = shlex.split(line, comments=True)
    assert (program, verb) == ("kdbench", "try")
    with cli.commands["try"].make_context("try", arguments) as context:
        assert context.params["data"] in ("photos/", "digits")


def test_ci_runs_the_readmes_own_test_command() -> None:
    install, test = block("tests").split("&&")[1:]
    script = (ROOT / ".ci" / "run").read_text()
    assert install.split("install ")[1].strip() in script
    assert script.rstrip().endswith(test.strip().removeprefix(".venv/bin/"))


def test_the_table_in_the_readme_is_the_reference_runs() -> None:
    shown = re.search(r"<!-- table: (\S+) -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert shown
    made = (ROOT / shown.group(1)).read_text()
    assert shown.group(2).strip() == made[made.index("- On cpu") :].strip()


def test_the_readme_says_where_and_when_its_numbers_were_measured() -> None:
    reference = ROOT / "results" / "reference" / "quickstart"
    versions = json.loads((reference / "plan.json").read_text())["versions"]
    (machine, *_) = [r for r in records.read(reference / "records.jsonl") if isinstance(r, Environment)]
    measured = [r for r in records.read(reference / "records.jsonl") if isinstance(r, Latency)]
    said = README.replace("\n", " ")
    assert f"torch {versions['torch'].partition('+')[0]}, onnxruntime {versions['onnxruntime']}" in said
    assert f"{machine.facts['logical_core_count']} cores of an {machine.facts['cpu']}" in said
    assert {str(record.created_utc)[:10] for record in measured} <= set(re.findall(r"\d{4}-\d\d-\d\d", said))
    assert f"{len({record.seed for record in measured})} seeds" in said


def test_the_committed_report_is_what_render_makes_of_the_reference_run(tmp_path: Path) -> None:
    render(ROOT / "results" / "reference" / "quickstart", tmp_path, ("markdown", "csv"))
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (ROOT / "report" / "quickstart" / path.name).read_bytes()


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_file_the_readme_points_to_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_example_suite_is_read_and_its_mistake_is_worded_so(tmp_path: Path) -> None:
    yaml = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert yaml
    (tmp_path / "mine.yaml").write_text(yaml.group(1))
    assert len(load(tmp_path / "mine.yaml").cases) == 7


@pytest.mark.slow
def test_the_quickstart_runs_whole(tmp_path: Path) -> None:
    """README's first command after installation; about a minute."""
    command = block("quickstart").split("&&")[2].split()[1:]
    where = ["--store", str(tmp_path / "store"), "-o", str(tmp_path / "results")]
    subprocess.run([sys.executable, "-m", "kdbench", *command, *where], check=True, cwd=ROOT)
    made = records.read(tmp_path / "results" / "records.jsonl")
    assert not any(isinstance(record, Failed) for record in made)
    assert len({(record.case, record.seed) for record in made if isinstance(record, Latency)}) == 1 + 9 * 3

"""What the README says is what happens: its commands, its table, its technique."""

import re
from pathlib import Path

import pytest

from kdbench import testing
from kdbench.suite import load

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
    own = "  smooth: ['mine.py:LabelSmoothing': {smoothing: 0.2}]\n  soft:"
    (tmp_path / "s.yaml").write_text(quickstart.replace("  soft:", own, 1))
    (step,) = load(tmp_path / "s.yaml").cases["smooth"].steps
    testing.check_technique(step.technique)
    code = [line for line in block("technique").splitlines() if line.strip()]
    assert len(code) <= 15


def test_ci_runs_the_readmes_own_test_command() -> None:
    install, test = block("tests").split("&&")[1:]
    script = (ROOT / ".ci" / "run").read_text()
    assert install.split("install ")[1].strip() in script
    assert script.rstrip().endswith(test.strip().removeprefix(".venv/bin/"))


def test_the_table_in_the_readme_is_the_reference_runs() -> None:
    shown = re.search(r"<!-- table: (\S+) -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert shown
    assert shown.group(2).strip() == (ROOT / shown.group(1)).read_text().strip()


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_file_the_readme_points_to_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_example_suite_is_read_and_its_mistake_is_worded_so(tmp_path: Path) -> None:
    yaml = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert yaml
    (tmp_path / "mine.yaml").write_text(yaml.group(1))
    assert len(load(tmp_path / "mine.yaml").cases) == 7

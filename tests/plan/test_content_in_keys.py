"""Whatever a suite's own parts read is in the plan's keys by content: a change is never answered with older results."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kdbench.plan.rows import make_plan
from kdbench.suite.reader import load
from kdbench.timing.machine import Machine

SUITE = """kdbench: 1
name: s
task: {"sounds.py:Sounds": {recordings: recordings}}
seeds: [0]
recipes: {train: {epochs: 1}, finetune: {epochs: 1}}
student: {model: {"nets.py:Net": {start: start.pt}}, recipe: train}
cases:
  from-scratch: []
  mine: [{"steps.py:Mine": {lists: {words: [words.txt]}}}]
  on-file: ["steps.py:OnFile"]
measure: [{provider: cpu}]
"""
FILES = {
    "sounds.py": (
        "from kdbench.protocols import Task\nclass Sounds(Task):\n    recordings: str\n"
        "    def decode(self, out): return out\n"
    ),
    "nets.py": (
        "from kdbench.protocols import Model\nfrom blocks import width\n"
        "class Net(Model):\n    start: str\n"
        "    def build(self, task):\n        from late import depth\n        return depth\n"
    ),
    "blocks.py": "width = 8\n",
    "late.py": "depth = 2\n",
    "steps.py": (
        "from pathlib import Path\nfrom kdbench.protocols import Technique\n"
        "TABLE = Path(__file__).parent / 'table.csv'\n"
        "class Mine(Technique):\n    lists: dict[str, list[str]]\n    def apply(self, model, ctx): return model\n"
        "class OnFile(Technique):\n    form = 'onnx'\n    def apply(self, model, ctx): return model\n"
    ),
    "start.pt": "1",
    "words.txt": "a",
    "table.csv": "1,2",
    "recordings/yes/1.wav": "1",
    "readme.md": "nobody reads this",
}
RUNTIME = {"runtime": "onnxruntime", "runtime_version": "1.30.0", "fingerprint": "f" * 16}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {**FILES, "s.yaml": SUITE}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def keys(folder: Path) -> dict[tuple[str, str], set[str]]:
    """(kind of stage, case) -> the keys of its labels."""
    plan = make_plan(load(folder / "s.yaml"), Machine("cpu", "x86_64", {None: RUNTIME}))
    found: dict[tuple[str, str], set[str]] = {}
    for label in plan.labels:
        for key in plan.lineage(label.key):
            found.setdefault((plan.stages[key].kind, label.case), set()).add(key)
    return found


def rewrite(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("8", "9").replace("2", "3").replace("1", "4").replace("a", "b"))

    return change


def add_recording(folder: Path) -> None:
    (folder / "recordings" / "no").mkdir()
    (folder / "recordings" / "no" / "1.wav").write_text("2")


def touch_recording(folder: Path) -> None:
    os.utime(folder / "recordings/yes/1.wav", ns=(0, 0))


TRAINED = ("train", "from-scratch")


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        pytest.param(rewrite("blocks.py"), TRAINED, id="a module beside the suite"),
        pytest.param(rewrite("late.py"), TRAINED, id="a module imported inside a method"),
        pytest.param(rewrite("start.pt"), TRAINED, id="a weights file that a field names"),
        pytest.param(rewrite("words.txt"), ("compress", "mine"), id="a file deep in a technique's fields"),
        pytest.param(rewrite("table.csv"), ("compress", "mine"), id="a file that the code names"),
        pytest.param(rewrite("table.csv"), ("compress", "on-file"), id="the same for a technique on files"),
        pytest.param(rewrite("recordings/yes/1.wav"), ("decode", "from-scratch"), id="a recording"),
        pytest.param(add_recording, ("decode", "from-scratch"), id="another recording"),
        pytest.param(touch_recording, ("decode", "from-scratch"), id="a recording written again"),
    ],
)
def test_a_change_of_what_a_part_reads_changes_its_stage_s_key(
    folder: Path, change: Callable[[Path], None], changed: tuple[str, str]
) -> None:
    before = keys(folder)
    assert keys(folder) == before
    change(folder)
    assert not keys(folder)[changed] & before[changed]


def test_what_no_part_reads_changes_nothing(folder: Path) -> None:
    before = keys(folder)
    (folder / "readme.md").write_text("edited")
    (folder / "elsewhere" / "more.txt").write_text("new")
    assert keys(folder) == before


def test_a_part_says_for_itself_what_nobody_else_can_know(folder: Path) -> None:
    said = "    def identity(self):\n        return {**super().identity(), 'revision': 1}\n"
    (folder / "sounds.py").write_text(FILES["sounds.py"] + said)
    before = keys(folder)
    (folder / "sounds.py").write_text(FILES["sounds.py"] + said.replace("1", "2"))
    assert not keys(folder)["decode", "from-scratch"] & before["decode", "from-scratch"]

"""What was merged from a device stands through later runs of the suite, for as long as its files do."""

import subprocess
import sys
from pathlib import Path

import pytest
from carried import run_bundle

from kdbench.evidence import read_results
from kdbench.results.records import Latency, Score

SUITE = """
kdbench: 1
name: tiny
task: digits
seeds: [0]
recipes:
  train: {epochs: 1, learning_rate: 0.05}
teacher: {model: {cnn: {channels: [16]}}, recipe: train}
student: {model: {cnn: {channels: [8]}}, recipe: train}
cases:
  from-scratch: []
  soft: [soft_distillation: {temperature: 4}]
measure:
  - {provider: cpu, batch_sizes: [1], processes: 3, calls: 40, seconds: 0, memory: false, start: false}
"""
DEVICE = "board-cpu-1t-fp32"


class Folder:
    """A suite, its store, its results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results"

    def kdbench(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "kdbench", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def run(self, temperature: int) -> str:
        (self.folder / "tiny.yaml").write_text(SUITE.replace("temperature: 4", f"temperature: {temperature}"))
        return self.kdbench("run", "tiny.yaml", "--store", "store", "-o", "results")

    def on_device(self) -> dict[type, set[str]]:
        found = read_results(self.results)
        return {kind: {r.case for r in found.of(kind) if r.target == DEVICE} for kind in (Score, Latency)}


@pytest.mark.slow
def test_a_device_stays_through_runs_until_its_file_is_another(tmp_path: Path) -> None:
    place = Folder(tmp_path)
    place.run(4)
    said = place.kdbench("bundle", "results", "-o", "tiny.pyz")
    assert "On the device: python tiny.pyz --out record.jsonl" in said
    done = run_bundle(tmp_path / "tiny.pyz", "--out", tmp_path / "record.jsonl", "--device", "board")
    assert done.code == 0, done.said
    assert f"{DEVICE}: 3 rows." in place.kdbench("merge", "results", "record.jsonl")
    everything = {"teacher", "from-scratch", "soft"}
    assert place.on_device() == {Score: everything, Latency: everything}

    place.run(4)
    assert place.on_device() == {Score: everything, Latency: everything}
    assert "nothing is changed" in place.kdbench("merge", "results", "record.jsonl")

    said = place.run(2)
    rest = everything - {"soft"}
    assert place.on_device() == {Score: rest, Latency: rest}
    warnings = read_results(place.results).plan.warnings
    assert any(
        f"{DEVICE}: what was measured there of soft is of files that this folder no longer" in w for w in warnings
    )
    assert DEVICE in read_results(place.results).plan.targets

    place.run(4)
    assert place.on_device() == {Score: everything, Latency: everything}
    assert not any(DEVICE in warning for warning in read_results(place.results).plan.warnings)

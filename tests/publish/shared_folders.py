"""Small results folders of two people: the same models timed on two machines. Models are bytes, answers are drawn."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.protocols import TaskDescription
from kdbench.results import records
from kdbench.results.records import Environment, Failed, Latency, Record, Score, Size, Training
from kdbench.results.task_json import TASK_FILE, KeptTask

TARGET = "local-cpu-1t-fp32"
TESTED, CLASSES = 120, 3
HOME, HOST = "/home/jane doe", "janes-thinkpad"


@dataclass
class Person:
    """Change the fields before `write`."""

    folder: Path
    cpu: str = "Intel(R) Core(TM) i7-1365U CPU @ 1.80GHz"
    speed: int = 1
    """How many times as long everything takes."""
    suite: str = "small"
    cases: tuple[str, ...] = ("from-scratch", "soft")
    weights: str = ""
    """Makes other models."""
    steps: str = "soft_distillation"
    data: int = 0
    """What the true answers are drawn with."""
    target: str = TARGET
    also: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)

    def write(self) -> Path:
        for name in ("models", "predictions"):
            (self.folder / name).mkdir(parents=True)
        cases = {
            name: {"steps": [self.steps] if name == "soft" else [], "family": "distillation", "student": "cnn"}
            for name in self.cases
        }
        measured = {"session": {"provider": "cpu", "threads_intra": 1}, "python": f"{HOME}/env/bin/python"}
        plan = {
            **{"suite": self.suite, "baseline": "from-scratch", "cases": cases, "seeds": [0], "limits": self.limits},
            **{"targets": [self.target], "measure": {self.target: {**measured, "batch_sizes": [1]}}},
            "command": f"kdbench run {HOME}/suites/small.yaml -o out",
        }
        (self.folder / "plan.json").write_text(json.dumps(plan))
        (self.folder / "suite.yaml").write_text(f"# of {HOST}\nkdbench: 1\ntask: {{arrays: {{file: {HOME}/x.npz}}}}\n")
        self._write_task()
        facts = {"cpu": self.cpu, "os": "Linux 6.1", "runtime": "onnxruntime", "runtime_version": "1.32.0"}
        also = {"hostname_digest": "5bce98f73f3ed0c8", "ram_bytes": 1, **self.also}
        lines: list[Record] = [
            Environment(suite=self.suite, key=self.cpu[:9], fingerprint=self.cpu[:9], facts=facts, also=also)
        ]
        for case in self.cases:
            lines += self._row(case)
        records.append(self.folder / "records.jsonl", lines)
        return self.folder

    def _write_task(self) -> None:
        description = TaskDescription.classification(
            **{"input_names": ("image",), "input_shapes": ((4,),), "class_names": tuple("abc")},
            example_counts={"train": 10, "test": TESTED},
            settings={"folder": f"{HOME}/clients/acme/x.npz"},
        )
        task = KeptTask(name="drawn", data_key="d", description=description, sample_path="inputs/sample.npz")
        (self.folder / "inputs").mkdir()
        np.savez(self.folder / "inputs" / "sample.npz", image=np.zeros((2, 4), np.float32))
        (self.folder / TASK_FILE).write_text(task.model_dump_json())

    def _row(self, case: str) -> list[Record]:
        draw = np.random.default_rng(self.data)
        targets = draw.integers(0, CLASSES, TESTED).astype(np.int32)
        wrong = draw.random(TESTED) < (0.3 if case == "soft" else 0.2)
        answers = np.where(wrong, (targets + 1) % CLASSES, targets).astype(np.int32)
        np.savez(self.folder / "predictions" / f"{case}.npz", test=answers, test_targets=targets)
        model = self.folder / "models" / f"{case}.onnx"
        model.write_text(f"{case}{self.weights}")
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        common = {"suite": self.suite, "case": case, "seed": 0, "key": f"k-{case}", "target": self.target}
        when = {**common, "created_utc": "2026-12-01T01:02:03+00:00"}
        place = self.speed * (1 if case == "soft" else 2)
        samples = tuple(tuple(place * (50_000 + 10 * i + process) for i in range(64)) for process in range(3))
        size = Size(
            **{**when, "parameter_count": 9, "nonzero_parameter_count": 9, "mac_rule": "none", "onnx_gzip_bytes": 5},
            **{"quantized_weight_fraction": 0.0, "onnx_bytes": 9, "onnx_path": f"models/{case}.onnx"},
            onnx_sha256=digest,
        )
        score = Score(
            **{**when, "metric": "accuracy", "direction": "higher", "split": "test", "runtime": "onnxruntime"},
            **{"value": float((~wrong).mean()), "correct_count": int((~wrong).sum()), "example_count": TESTED},
            predictions_path=f"predictions/{case}.npz",
        )
        latency = Latency(
            **{**when, "provider_asked": "CPUExecutionProvider", "providers_got": ("CPUExecutionProvider",)},
            **{"runtime": "onnxruntime", "runtime_version": "1.32.0", "precision": "fp32", "batch_size": 1},
            **{"fingerprint": self.cpu[:9], "samples_ns": samples, "threads_intra": 1},
        )
        training = Training(
            **{**when, "target": None, "key": f"t-{self.cpu[:3]}-{case}", "wall_ns": 5, "cpu_ns": 5},
            **{"epoch_count": 1, "device": "cpu"},
        )
        return [training, size, score, latency]


def failure(person: Person, reason: str) -> Failed:
    """A row of which something failed."""
    return Failed(
        **{"suite": person.suite, "case": "soft", "seed": 0, "key": "f", "target": person.target},
        **{"kind": "memory", "reason": reason, "log_path": "logs/f.txt"},
    )

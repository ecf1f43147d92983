"""A results folder of a task that predicts values: RMSE in megawatts decides, R2 and MAE stand beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from folders import Folder, _digest, _draw

from kdbench.protocols import Output
from kdbench.protocols.metric import metric_named
from kdbench.results.records import Record, Score

EXAMPLES = 400
ERRORS = {"teacher": 0.9, "from-scratch": 1.5, "soft": 1.2, "pruned-structured": 2.4, "int8-static": 1.51}
"""Case -> the spread of its errors, MW."""
OUTPUT = Output(name="load", kind="values", axes=(1,), unit="MW", value_names=("load",), metrics=("rmse", "r2"))
TASK = {
    "name": "load",
    "data_key": "data",
    "description": {
        "inputs": [{"name": "hours", "axes": [24]}],
        "outputs": [OUTPUT.model_dump(mode="json")],
        "example_counts": {"train": 1000, "test": EXAMPLES},
    },
}


class ValuesFolder(Folder):
    """`Folder` with scores of values in place of its accuracies."""

    def write(self) -> Path:
        path = super().write()
        (path / "task.json").write_text(json.dumps(TASK))
        return path

    def _case(self, name: str, steps: list[dict[str, Any]], seeds: tuple[int, ...]) -> list[Record]:
        made = super()._case(name, steps, seeds)
        beside = [self._score(name, seed, steps, target, "r2") for seed in seeds for target in self.targets]
        return [*made, *beside]

    def _accuracy(self, name: str, seed: int, steps: list[dict[str, Any]], target: str) -> Record:
        return self._score(name, seed, steps, target, "rmse")

    def _score(self, name: str, seed: int, steps: list[dict[str, Any]], target: str, which: str) -> Record:
        metric = metric_named(which).judging(OUTPUT)
        true = _draw("values").normal(20, 6, (EXAMPLES, 1)).astype(np.float32)
        shared = _draw("difficulty").normal(0, 1, (EXAMPLES, 1))
        noise = 0.9 * shared + 0.3 * _draw("errors", name).normal(0, 1, (EXAMPLES, 1))
        noise += 0.1 * _draw("errors", name, seed).normal(0, 1, (EXAMPLES, 1))
        answers = (true + ERRORS[name] * noise).astype(np.float32)
        path = f"predictions/{_digest(name)[:12]}-{seed}.npz"
        (self.path / "predictions").mkdir(exist_ok=True)
        np.savez(self.path / path, test=answers, test_targets=true)
        return Score(
            **self._common(name, seed, steps, "evaluate"),
            target=target,
            lineage=self._lineage(name, seed, steps),
            metric=which,
            direction=metric.direction,
            unit=metric.unit_name,
            decides=which == "rmse",
            value=metric.value(answers, true),
            example_count=EXAMPLES,
            split="test",
            runtime="onnxruntime 1.24.1 CPUExecutionProvider",
            predictions_path=path,
        )

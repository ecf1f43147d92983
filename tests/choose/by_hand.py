"""Results folders whose every number is written down, so that the right choice is known."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.results import records
from kdbench.results.records import Failed, Latency, Memory, Record, Score, Size

CPU, PHONE = "local-cpu-1t-fp32", "phone-cpu-4t-fp32"
EXAMPLES, CLASSES = 400, 10
CALLS = 64


@dataclass(frozen=True)
class Given:
    """One case: how many of EXAMPLES each seed gets wrong, and what each process's calls take."""

    wrong: tuple[int, ...] = (20, 20, 20)
    """On validation; always the same first examples, so two cases differ only where one has more wrong."""
    wrong_on_test: tuple[int, ...] | None = None
    microseconds: dict[str, tuple[float, ...]] = field(default_factory=lambda: {CPU: (100, 101, 102)})
    """By target: one a process."""
    kilobytes: float = 100
    megabytes_of_memory: float | None = None


@dataclass
class Shelf:
    """Writes the folder; change its fields before `write`."""

    path: Path
    cases: dict[str, Given]
    splits: tuple[str, ...] = ("validation", "test")
    targets: tuple[str, ...] = (CPU,)
    batch_sizes: tuple[int, ...] = (1,)
    limits: dict[str, Any] = field(default_factory=dict)
    predictions: bool = True
    extra: tuple[Record, ...] = ()

    def write(self) -> Path:
        self.path.mkdir(parents=True)
        plan = {
            "suite": "by-hand",
            "baseline": "from-scratch",
            "cases": {name: {"steps": [], "student": "s"} for name in self.cases if name != "teacher"},
            "targets": list(self.targets),
            "limits": self.limits,
        }
        (self.path / "plan.json").write_text(json.dumps(plan))
        made = [record for name, given in self.cases.items() for record in self._records(name, given)]
        records.append(self.path / "records.jsonl", [*made, *self.extra])
        return self.path

    def _records(self, name: str, given: Given) -> list[Record]:
        made: list[Record] = []
        for seed in range(len(given.wrong)):
            for target in self.targets:
                common = labels(name, seed, target)
                made += [self._accuracy(common, given, split) for split in self.splits]
                made.append(_size(common, given))
                for batch in self.batch_sizes if target in given.microseconds else ():
                    made.append(self._latency(common, given, batch))
                    if given.megabytes_of_memory is not None:
                        peak = int((50 + given.megabytes_of_memory) * 2**20)
                        made.append(
                            Memory(**common, peak_rss_bytes=peak, import_rss_bytes=50 * 2**20, batch_size=batch)
                        )
        return made

    def _accuracy(self, common: dict[str, Any], given: Given, split: str) -> Record:
        wrong = given.wrong if split == "validation" else given.wrong_on_test or given.wrong
        count = wrong[common["seed"]]
        path = f"{common['case']}-{common['seed']}-{split}.npz".replace("/", "-")
        if self.predictions:
            truth = np.arange(EXAMPLES) % CLASSES
            predicted = (truth + (np.arange(EXAMPLES) < count)) % CLASSES
            np.savez(self.path / path, **{split: predicted, f"{split}_targets": truth})
        return Score(
            **common,
            metric="accuracy",
            direction="higher",
            value=1 - count / EXAMPLES,
            correct_count=EXAMPLES - count,
            example_count=EXAMPLES,
            split=split,
            runtime="onnxruntime",
            predictions_path=path if self.predictions else None,
        )

    def _latency(self, common: dict[str, Any], given: Given, batch: int) -> Record:
        of = {role: times for role in ("teacher", "from-scratch") if role in self.cases
              and (times := self.cases[role].microseconds.get(common["target"]))}  # fmt: skip
        return Latency(
            **common,
            provider_asked="cpu",
            providers_got=("cpu",),
            batch_size=batch,
            samples_ns=_samples(given.microseconds[common["target"]], batch),
            reference_samples_ns={role: _samples(times, batch) for role, times in of.items()},
            references={"baseline" if role == "from-scratch" else role: role for role in of},
            round_call_count=1,
            runtime="onnxruntime",
            runtime_version="1",
            precision="fp32",
        )


def labels(name: str, seed: int = 0, target: str | None = CPU) -> dict[str, Any]:
    return {"suite": "by-hand", "case": name, "seed": seed, "key": f"{name} {seed} {target}", "target": target}


def failed(name: str, target: str | None = None) -> Record:
    return Failed(kind="training", **labels(name, target=target), reason="kd became infinite in epoch 3.")


FILE: dict[str, Any] = {"quantized_weight_fraction": 0.0, "onnx_path": "m.onnx", "onnx_sha256": "0" * 64}


def _size(common: dict[str, Any], given: Given) -> Record:
    counts = dict.fromkeys(("parameter_count", "nonzero_parameter_count", "onnx_gzip_bytes", "mac_count"), 1)
    return Size(**common, **counts, onnx_bytes=int(1000 * given.kilobytes), mac_rule="none", **FILE)


def _samples(microseconds: tuple[float, ...], batch: int) -> tuple[tuple[int, ...], ...]:
    return tuple((int(1000 * time * batch),) * CALLS for time in microseconds)

"""A results folder as a run would leave it, made of numbers that are drawn, not measured."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.results import records
from kdbench.results.records import Compression, Environment, Failed, Latency, Memory, Record, Score, Size, Training

TARGET = "local-cpu-1t-fp32"
EXAMPLES, CLASSES, EPOCHS = 360, 10, 12
WHEN = "2026-01-02T03:04:05Z"
STEPS: dict[str, list[dict[str, Any]]] = {
    "from-scratch": [],
    "soft": [{"soft_distillation": {"temperature": 4.0}}],
    "hard": [{"hard_distillation": {}}],
    "mixed": [{"mixed_distillation": {"kd_weight": 0.9, "ce_weight": 0.1}}],
    "pruned-unstructured": [{"unstructured_pruning": {"weight_fraction": 0.8}}],
    "pruned-structured": [{"structured_pruning": {"channel_fraction": 0.5}}],
    "int8-dynamic": [{"dynamic_quantization": {}}],
    "int8-static": [{"static_quantization": {}}],
    "soft-pruned-int8": [
        {"soft_distillation": {}},
        {"structured_pruning": {"channel_fraction": 0.3}},
        {"static_quantization": {}},
    ],
}
UNCOMPRESSED = {
    "pruned-unstructured": ("from-scratch", 0),
    "pruned-structured": ("from-scratch", 0),
    "int8-dynamic": ("from-scratch", 0),
    "int8-static": ("from-scratch", 0),
    "soft-pruned-int8": ("soft", 1),
}
"""Case -> the case it came from, and how many of its steps that took."""
#        logit of accuracy, latency at batch 1 (µs), bytes, parameters, MACs
TRUTH: dict[str, tuple[float, float, int, int, int]] = {
    "teacher": (4.6, 310.0, 1_210_000, 301_000, 8_400_000),
    "from-scratch": (3.1, 92.0, 212_000, 52_000, 1_450_000),
    "soft": (3.6, 92.0, 212_000, 52_000, 1_450_000),
    "hard": (3.3, 92.0, 212_000, 52_000, 1_450_000),
    "mixed": (3.6, 92.0, 212_000, 52_000, 1_450_000),
    "pruned-unstructured": (2.9, 92.5, 212_000, 52_000, 1_450_000),
    "pruned-structured": (2.4, 41.0, 61_000, 14_400, 410_000),
    "int8-dynamic": (3.05, 121.0, 66_000, 52_000, 1_450_000),
    "int8-static": (3.08, 47.0, 68_000, 52_000, 1_450_000),
    "soft-pruned-int8": (3.2, 18.0, 38_000, 27_000, 740_000),
}


@dataclass
class Folder:
    """Builds records of the cases in `steps`; change its fields before `write`."""

    path: Path
    steps: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: dict(STEPS))
    seeds: tuple[int, ...] = (0, 1, 2)
    batch_sizes: tuple[int, ...] = (1, 32)
    targets: tuple[str, ...] = (TARGET,)
    failed: dict[str, str] = field(default_factory=dict)
    """Case -> why all its seeds failed."""
    without_latency: frozenset[str] = frozenset()
    predictions: bool = True
    plan: bool = True
    about: str = "Handwritten digits: a CNN teaches a smaller CNN."
    warnings: tuple[str, ...] = ()
    call_count: int = 200
    memory: bool = False
    origins: bool = False
    """Whether compressed cases are compared with what they came from, as records say since they do."""

    def write(self) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        records.append(self.path / "records.jsonl", [self._environment(), *self._records()])
        (self.path / "suite.yaml").write_text("kdbench: 1\nname: quickstart\n# as it was run\nseeds: [0, 1, 2]\n")
        if self.plan:
            (self.path / "plan.json").write_text(json.dumps(self._plan()))
        return self.path

    def _plan(self) -> dict[str, Any]:
        return {
            "suite": "quickstart",
            "about": self.about,
            "baseline": "from-scratch",
            "cases": {
                n: {"steps": s, "student": "cnn", "teacher": "cnn", **self._uncompressed(n)}
                for n, s in self.steps.items()
            },
            "seeds": list(self.seeds),
            "targets": list(self.targets),
            "command": "kdbench run suites/quickstart.yaml",
            "versions": {"kdbench": "0.1.0", "torch": "2.11.0", "onnxruntime": "1.24.1"},
            "warnings": list(self.warnings),
        }

    def _uncompressed(self, name: str) -> dict[str, Any]:
        known = self.origins and name in UNCOMPRESSED
        return {"uncompressed_step_count": UNCOMPRESSED[name][1]} if known else {}

    def _environment(self) -> Record:
        facts = {"processor": "Imaginary Processor 9000", "core_count": 2, "system": "Linux 6.1"}
        return Environment(suite="quickstart", key="e", fingerprint="f00d", facts=facts)

    def _records(self) -> list[Record]:
        made: list[Record] = self._case("teacher", [], (0,))
        for name, steps in self.steps.items():
            if name in self.failed:
                made += [Failed(**self._common(name, s, steps, "t"), kind="training", reason=self.failed[name])
                         for s in self.seeds]  # fmt: skip
            else:
                made += self._case(name, steps, self.seeds)
        return made

    def _case(self, name: str, steps: list[dict[str, Any]], seeds: tuple[int, ...]) -> list[Record]:
        made: list[Record] = []
        for seed in seeds:
            made += self._trainings(name, seed, steps)
            for target in self.targets:
                made += [self._accuracy(name, seed, steps, target), self._size(name, seed, steps, target)]
                if name not in self.without_latency:
                    made += [self._latency(name, seed, steps, target, batch) for batch in self.batch_sizes]
                if self.memory:
                    made += [self._memory(name, seed, steps, target, batch) for batch in self.batch_sizes]
        return made

    def _common(self, name: str, seed: int, steps: list[dict[str, Any]], stage: str) -> dict[str, Any]:
        return {
            "suite": "quickstart",
            "case": name,
            "seed": seed,
            "key": _digest(stage, name, seed)[:16],
            "created_utc": WHEN,
            "steps": tuple(steps),
            "fingerprint": "f00d",
        }

    def _own_stages(self, name: str, steps: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
        """(owner, stage, epochs): a case that compresses a trained student rests on from-scratch's training."""
        names = [next(iter(step)) for step in steps]
        if name == "teacher" or not names:
            return [(name, "train", EPOCHS)]
        first = (name, "train", EPOCHS) if names[0].endswith("distillation") else ("from-scratch", "train", EPOCHS)
        pruned = [(name, "finetune", EPOCHS // 3)] if any(n.endswith("pruning") for n in names) else []
        return [first, *pruned]

    def _lineage(self, name: str, seed: int, steps: list[dict[str, Any]]) -> tuple[str, ...]:
        stages = [_digest(stage, owner, seed)[:16] for owner, stage, _ in self._own_stages(name, steps)]
        teacher = () if name == "teacher" else (_digest("train", "teacher", 0)[:16],)
        return ("data", *teacher, *stages)

    def _trainings(self, name: str, seed: int, steps: list[dict[str, Any]]) -> list[Record]:
        made: list[Record] = []
        for owner, stage, epochs in self._own_stages(name, steps):
            if owner != name:
                continue
            draw = _draw("train", name, seed, stage)
            top = _rate(TRUTH.get(name, (3.0, 0, 0, 0, 0))[0])
            speed = 2.5 if stage == "train" else 0.8
            curve = [top - 0.6 * np.exp(-(e + 1) / speed) + draw.normal(0, 0.004) for e in range(epochs)]
            made.append(
                Training(
                    **self._common(name, seed, steps, stage),
                    wall_ns=int(epochs * 0.4e9 * (2 if name == "teacher" else 1)),
                    cpu_ns=int(epochs * 0.39e9 * (2 if name == "teacher" else 1)),
                    epoch_count=epochs,
                    device="cpu",
                    terms_by_epoch=tuple({"ce": float(2 * np.exp(-epoch / 3))} for epoch in range(epochs)),
                    validation_by_epoch=tuple(float(min(1.0, max(0.0, v))) for v in curve),
                )
            )
            if stage == "finetune":
                made.append(
                    Compression(
                        **self._common(name, seed, steps, stage),
                        technique="pruning",
                        wall_ns=10**8,
                        cpu_ns=10**8,
                        lineage=("data", "trained"),
                    )
                )
        return made

    def _accuracy(self, name: str, seed: int, steps: list[dict[str, Any]], target: str) -> Record:
        targets = _draw("targets").integers(0, CLASSES, EXAMPLES)
        predicted = _predictions(name, seed, targets)
        path = self._stored(name, seed, predicted, targets)
        right = int((predicted == targets).sum())
        return Score(
            **self._common(name, seed, steps, "evaluate"),
            target=target,
            lineage=self._lineage(name, seed, steps),
            metric="accuracy",
            direction="higher",
            value=right / EXAMPLES,
            correct_count=right,
            example_count=EXAMPLES,
            split="test",
            runtime="onnxruntime 1.24.1 CPUExecutionProvider",
            teacher_agreement_fraction=right / EXAMPLES,
            predictions_path=path,
            **self._origin_accuracy(name, seed, predicted, targets),
        )

    def _stored(self, name: str, seed: int, predicted: NDArray[Any], targets: NDArray[Any]) -> str | None:
        if not self.predictions:
            return None
        path = f"predictions/{_digest(name)[:12]}-{seed}.npz"
        (self.path / "predictions").mkdir(exist_ok=True)
        np.savez(self.path / path, test=predicted, test_targets=targets)
        return path

    def _origin_accuracy(self, name: str, seed: int, predicted: NDArray[Any], targets: NDArray[Any]) -> dict[str, Any]:
        if not self.origins or name not in UNCOMPRESSED:
            return {}
        origin = UNCOMPRESSED[name][0]
        before = _predictions(origin, seed, targets)
        return {
            "origin_value": float((before == targets).mean()),
            "origin_agreement_fraction": float((before == predicted).mean()),
            "origin_predictions_path": self._stored(origin, seed, before, targets),
        }

    def _size(self, name: str, seed: int, steps: list[dict[str, Any]], target: str) -> Record:
        _, _, size, parameters, macs = TRUTH.get(name, (0, 0, 212_000, 52_000, 1_450_000))
        onnx = f"models/{_digest(name)[:12]}-{seed}.onnx"
        (self.path / "models").mkdir(exist_ok=True)
        (self.path / onnx).write_bytes(b"onnx")
        return Size(
            **self._common(name, seed, steps, "size"),
            target=target,
            lineage=self._lineage(name, seed, steps),
            parameter_count=parameters,
            nonzero_parameter_count=parameters if name != "pruned-unstructured" else parameters // 5,
            onnx_bytes=size + seed,
            onnx_gzip_bytes=int(size * 0.9),
            mac_count=macs,
            mac_rule="convolutions and matrix products, one example",
            quantized_weight_fraction=0.98 if "int8" in name else 0.0,
            onnx_path=onnx,
            onnx_sha256=_digest("file", name, seed),
            **self._origin_size(name, size),
        )

    def _origin_size(self, name: str, size: int) -> dict[str, Any]:
        if not self.origins:
            return {}
        small = "int8" in name
        new: dict[str, Any] = {
            "onnx_zstd_bytes": int(size * 0.8),
            "weight_bytes_by_dtype": {"int8": size - 4000, "float": 3000} if small else {"float": size - 1000},
            "layer_count": 4,
            "float_layer_count": 1 if small else 4,
        }
        if name in UNCOMPRESSED:
            _, _, before, parameters, macs = TRUTH[UNCOMPRESSED[name][0]]
            new["origin"] = {
                "parameter_count": parameters,
                "nonzero_parameter_count": parameters,
                "mac_count": macs,
                "onnx_bytes": before,
                "onnx_gzip_bytes": int(before * 0.9),
                "onnx_zstd_bytes": int(before * 0.8),
            }
        return new

    def _latency(self, name: str, seed: int, steps: list[dict[str, Any]], target: str, batch: int) -> Record:
        files = {"baseline": ("from-scratch", 0), "teacher": ("teacher", 0)}
        if self.origins and name in UNCOMPRESSED:
            files["origin"] = (UNCOMPRESSED[name][0], seed)
        references = {role: _digest("file", *file) for role, file in files.items()}
        draw = _draw("latency", name, seed, batch, target)
        drifts = draw.normal(0, 0.01, 3)
        return Latency(
            **self._common(name, seed, steps, f"measure{batch}"),
            target=target,
            provider_asked="cpu",
            providers_got=("CPUExecutionProvider",),
            batch_size=batch,
            samples_ns=self._samples(draw, name, batch, drifts),
            reference_samples_ns={
                references[role]: self._samples(draw, case, batch, drifts) for role, (case, _) in files.items()
            },
            references=references,
            round_call_count=10,
            runtime="onnxruntime",
            runtime_version="1.24.1",
            precision="fp32",
            threads_intra=1,
            warnings=("unstable: the processes' medians differ by 12 %",) if name == "hard" and batch == 32 else (),
        )

    def _memory(self, name: str, seed: int, steps: list[dict[str, Any]], target: str, batch: int) -> Record:
        peak = 50 * 2**20 + TRUTH.get(name, (0, 0, 212_000, 0, 0))[2] * batch
        common = self._common(name, seed, steps, f"memory{batch}")
        return Memory(**common, target=target, peak_rss_bytes=peak, import_rss_bytes=50 * 2**20, batch_size=batch)

    def _samples(self, draw: Any, name: str, batch: int, drifts: NDArray[Any]) -> tuple[tuple[int, ...], ...]:
        middle = TRUTH.get(name, (0, 92.0, 0, 0, 0))[1] * 1e3 * (batch**0.75)
        return tuple(
            tuple(
                int(v)
                for v in middle
                * np.exp(drift + np.abs(draw.normal(0, 0.03, self.call_count)) + _tail(draw, self.call_count))
            )
            for drift in drifts + draw.normal(0, 0.004, len(drifts))
        )


def _tail(draw: Any, count: int) -> NDArray[Any]:
    return np.where(draw.random(count) < 0.04, draw.exponential(0.25, count), 0.0)


def _rate(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def _digest(*parts: Any) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def _draw(*parts: Any) -> np.random.Generator:
    return np.random.default_rng(int(_digest(*parts)[:8], 16))


def _predictions(name: str, seed: int, targets: NDArray[Any]) -> NDArray[Any]:
    difficulty = _draw("difficulty").normal(0, 1.6, len(targets))
    logit = TRUTH.get(name, (3.0, 0, 0, 0, 0))[0] * 1.45 + difficulty + _draw("seed", name, seed).normal(0, 0.15)
    wrong = _draw("answers", name, seed).random(len(targets)) > 1 / (1 + np.exp(-logit))
    return np.where(wrong, (targets + 1) % CLASSES, targets)

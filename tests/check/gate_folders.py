"""Results folders whose few cases are small real networks, evaluated as they are; for checks that time them again."""

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import TaskDescription
from kdbench.results import records
from kdbench.results.records import Latency, Record, Score, Size
from kdbench.results.task_json import TASK_FILE, KeptTask

TARGET = "local-cpu-1t-fp32"
SESSION = {"provider": "cpu", "threads_intra": 1, "threads_inter": 1, "graph_optimization": "all", "precision": "fp32"}
CLASSES, PIXELS, WIDTH, EXAMPLES, SAMPLE = 4, 64, 128, 400, 40
WIDE = {"latency": {"max_ratio": 1.5}}
"""So that the neighbours of a test cannot pass for a slow-down."""


@dataclass(frozen=True)
class Net:
    """A network: templates of the classes, and as much further work as it has layers."""

    layers: int = 8
    confused: float = 0.0
    """How much of a class's template belongs to the next class: its errors."""
    padding: int = 0
    """Bytes that are no weights."""
    note: str = ""
    """Makes another file of the same network."""


@dataclass
class Folder:
    """Change its fields before `write`."""

    path: Path
    cases: dict[str, Net] = field(default_factory=lambda: {"from-scratch": Net(), "soft": Net()})
    seeds: tuple[int, ...] = (0,)
    target: str = TARGET
    session: dict[str, Any] = field(default_factory=lambda: dict(SESSION))
    python: str | None = None
    batch_sizes: tuple[int, ...] = (1,)
    check: dict[str, Any] = field(default_factory=lambda: dict(WIDE))
    extra: tuple[Record, ...] = ()

    def write(self) -> Path:
        self.path.mkdir(parents=True)
        entry = {"session": self.session, "python": self.python, "batch_sizes": list(self.batch_sizes)}
        plan = {
            "suite": "tiny",
            "baseline": "from-scratch",
            "cases": {name: {"steps": [], "student": "s"} for name in self.cases if name != "teacher"},
            "seeds": list(self.seeds),
            "targets": [self.target],
            "measure": {self.target: entry},
            "check": self.check,
        }
        (self.path / "plan.json").write_text(json.dumps(plan))
        (self.path / "suite.yaml").write_text("kdbench: 1\n")
        self._write_task()
        rows = [
            record for name, net in self.cases.items() for seed in self.seeds for record in self._row(name, net, seed)
        ]
        records.append(self.path / "records.jsonl", [*rows, *self.extra])
        return self.path

    def _write_task(self) -> None:
        images, classes = examples()
        index = np.linspace(0, EXAMPLES, SAMPLE, endpoint=False).astype(np.int64)
        (self.path / "inputs").mkdir()
        np.savez(self.path / "inputs" / "sample-x.npz", image=images[index], targets=classes[index], index=index)
        description = TaskDescription.classification(
            input_names=("image",),
            input_shapes=((PIXELS,),),
            class_names=tuple("abcd"),
            example_counts={"train": 1, "test": EXAMPLES},
        )
        kept = KeptTask(name="t", data_key="d", description=description, sample_path="inputs/sample-x.npz")
        (self.path / TASK_FILE).write_text(kept.model_dump_json())

    def _row(self, name: str, net: Net, seed: int) -> list[Record]:
        folder = self.path / "files" / name.replace("/", "-")
        folder.mkdir(parents=True, exist_ok=True)
        path, predictions = folder / f"{seed}.onnx", folder / f"{seed}.npz"
        onnx.save(graph(net, seed), path)
        images, classes = examples()
        said = OnnxruntimeSession(str(path), SessionSpec()).run({"image": images})[0].argmax(1)
        np.savez(predictions, test=said.astype(np.int32), test_targets=classes.astype(np.int32))
        common = labels(name, seed, self.target)
        data = path.read_bytes()
        size = Size(
            **common,
            **{"parameter_count": 1, "nonzero_parameter_count": 1, "mac_rule": "none", "onnx_gzip_bytes": 1},
            quantized_weight_fraction=0.0,
            onnx_bytes=len(data),
            onnx_path=path.relative_to(self.path).as_posix(),
            onnx_sha256=hashlib.sha256(data).hexdigest(),
        )
        accuracy = Score(
            **common,
            **{"metric": "accuracy", "direction": "higher", "split": "test", "runtime": "onnxruntime"},
            value=float((said == classes).mean()),
            correct_count=int((said == classes).sum()),
            example_count=EXAMPLES,
            predictions_path=predictions.relative_to(self.path).as_posix(),
        )
        return [size, accuracy]


def labels(case: str, seed: int, target: str | None) -> dict[str, Any]:
    when = "2026-01-02T03:04:05+00:00"
    return {"suite": "tiny", "case": case, "seed": seed, "key": f"{case}{seed}", "target": target, "created_utc": when}


def latency(case: str, target: str, **fields: Any) -> Latency:
    """A measurement from some device."""
    given = {
        **{"provider_asked": "CPUExecutionProvider", "providers_got": ("CPUExecutionProvider",), "batch_size": 1},
        **{"samples_ns": ((1000,) * 64,) * 3, "runtime": "onnxruntime", "runtime_version": "1", "precision": "fp32"},
    }
    return Latency(**labels(case, 0, target), **given, **fields)


def examples() -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures of the classes' templates, and their classes."""
    draw = np.random.default_rng(3)
    classes = draw.integers(0, CLASSES, EXAMPLES)
    noise = draw.normal(0, 1.5, (EXAMPLES, PIXELS))
    return (templates()[classes] + noise).astype(np.float32), classes


def templates() -> np.ndarray:
    return np.random.default_rng(7).normal(0, 0.5, (CLASSES, PIXELS)).astype(np.float32)


def graph(net: Net, seed: int) -> onnx.ModelProto:
    """Scores by template, to all of which the mean of a chain of layers is added: work that changes no answer."""
    draw = np.random.default_rng(seed)
    own = (1 - net.confused) * templates() + net.confused * np.roll(templates(), 1, axis=0)
    own = own + draw.normal(0, 0.03, own.shape)
    weights = {"t": own.T, "a": draw.normal(0, 0.1, (PIXELS, WIDTH)), "w": draw.normal(0, 0.1, (WIDTH, WIDTH))}
    nodes = [helper.make_node("MatMul", ["image", "t"], ["scores"]), helper.make_node("MatMul", ["image", "a"], ["h0"])]
    for layer in range(net.layers):
        nodes.append(helper.make_node("MatMul", [f"h{layer}", "w"], [f"m{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], [f"h{layer + 1}"]))
    nodes.append(helper.make_node("ReduceMean", [f"h{net.layers}"], ["mean"], axes=[1], keepdims=1))
    nodes.append(helper.make_node("Add", ["scores", "mean"], ["logits"]))
    made = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", PIXELS])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    model.doc_string = net.note + " " * net.padding
    return model


def killing_python(path: Path, digest: str) -> str:
    """An interpreter that dies of SIGKILL when it is given a job with the file of that digest."""
    path.write_text(f'#!/bin/sh\ngrep -q {digest} "$3" && kill -9 $$\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)

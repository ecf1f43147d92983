"""A small results folder with real (linear) ONNX files and answers, to be bundled; and bundles and records to spoil."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kdbench.files import sha256_of
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import TaskDescription
from kdbench.results import records
from kdbench.results.records import Environment, Latency, Record, Score, Size
from kdbench.results.task_json import TASK_FILE, KeptTask

TARGET = "local-cpu-1t-fp32"
TESTED, KEPT, CLASSES = 90, 30, 3
SAMPLE = "inputs/sample-0.npz"
FILES = {("teacher", 0): 1, ("from-scratch", 0): 2, ("from-scratch", 1): 3, ("soft", 0): 4, ("copy", 0): 2}
"""Row -> what its weights are drawn with: `copy` has the file of from-scratch."""


def write_results(folder: Path, name: str = "small") -> Path:
    """The folder; `soft` and `copy` are compared with from-scratch, seed 0, and the teacher."""
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(TESTED, 2, 4, 4)).astype(np.float32)
    targets = draw.integers(0, CLASSES, TESTED)
    for part in ("inputs", "models", "predictions"):
        (folder / part).mkdir(parents=True)
    index = np.linspace(0, TESTED, KEPT, endpoint=False).astype(np.int64)
    np.savez_compressed(folder / SAMPLE, image=inputs[index], targets=targets[index], index=index)
    _write_task(folder)
    digests = {row: _write_model(folder, row, seed) for row, seed in FILES.items()}
    lines: list[Record] = [Environment(suite=name, key="e", fingerprint="f00d", facts={"cpu": "Imaginary"})]
    for row in FILES:
        lines += _records(folder, name, row, digests, inputs, targets.astype(np.int32))
    records.append(folder / "records.jsonl", lines)
    _write_plan(folder, name)
    return folder


def _write_task(folder: Path) -> None:
    counts = {"train": 10, "validation": 10, "test": TESTED}
    description = TaskDescription.classification(
        input_names=("image",),
        input_shapes=((2, 4, 4),),
        class_names=tuple("abc"),
        example_counts=counts,
    )
    task = KeptTask(name="drawn", data_key="d", description=description, sample_path=SAMPLE)
    (folder / TASK_FILE).write_text(task.model_dump_json())


def _write_plan(folder: Path, name: str) -> None:
    cases = {case: {"steps": [], "student": "linear", "baseline": "from-scratch"} for case, _ in FILES}
    session = {"provider": "cpu", "threads_intra": 1, "threads_inter": 1, "graph_optimization": "all"}
    entry = {
        "session": {**session, "precision": "fp32"},
        "python": None,
        "batch_sizes": [2],
        **{"processes": 3, "calls": 20, "seconds": 0, "memory": True, "start": True},
    }
    plan = {
        "suite": name,
        "baseline": "from-scratch",
        "cases": {case: said for case, said in cases.items() if case != "teacher"},
        "seeds": [0, 1],
        "targets": [TARGET],
        "measure": {TARGET: entry},
    }
    (folder / "plan.json").write_text(json.dumps(plan))


def model_path(folder: Path, row: tuple[str, int]) -> Path:
    return folder / f"models/{row[0]}-{row[1]}.onnx"


def _write_model(folder: Path, row: tuple[str, int], seed: int) -> str:
    """Flatten and one matrix; the same seed gives the same bytes."""
    weight = np.random.default_rng(seed).normal(size=(32, CLASSES)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 2, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, model_path(folder, row))
    return sha256_of(model_path(folder, row))


def _records(
    folder: Path,
    name: str,
    row: tuple[str, int],
    digests: dict[tuple[str, int], str],
    inputs: np.ndarray,
    targets: np.ndarray,
) -> list[Record]:
    case, seed = row
    path = model_path(folder, row)
    classes = OnnxruntimeSession(str(path), SessionSpec()).run({"image": inputs})[0].argmax(1).astype(np.int32)
    predictions = f"predictions/{case}-{seed}.npz"
    np.savez(folder / predictions, test=classes, test_targets=targets)
    labels: dict[str, Any] = {"suite": name, "case": case, "seed": seed, "key": f"{case}{seed}", "target": TARGET}
    size = path.stat().st_size
    beside = {"baseline": digests["from-scratch", 0], "teacher": digests["teacher", 0]}
    timed = ((50_000,) * 20, (51_000,) * 20, (52_000,) * 20)
    return [
        Size(
            **labels,
            parameter_count=96,
            nonzero_parameter_count=96,
            onnx_bytes=size,
            onnx_gzip_bytes=size,
            mac_count=96,
            mac_rule="by hand",
            quantized_weight_fraction=0.0,
            onnx_path=path.relative_to(folder).as_posix(),
            onnx_sha256=digests[row],
        ),
        Score(
            **labels,
            metric="accuracy",
            direction="higher",
            value=float((classes == targets).mean()),
            correct_count=int((classes == targets).sum()),
            example_count=len(targets),
            split="test",
            runtime="onnxruntime 1 cpu",
            predictions_path=predictions,
        ),
        Latency(
            **labels,
            provider_asked="CPUExecutionProvider",
            providers_got=("CPUExecutionProvider",),
            batch_size=2,
            samples_ns=timed,
            reference_samples_ns=dict.fromkeys(beside.values(), timed),
            references=beside,
            round_call_count=1,
            runtime="onnxruntime",
            runtime_version="1",
            precision="fp32",
        ),
    ]


@dataclass(frozen=True)
class Ran:
    """How a program ended."""

    code: int
    said: str
    """On stderr."""


def run_bundle(path: Path, *arguments: str | Path, python: str = sys.executable, flags: tuple[str, ...] = ()) -> Ran:
    """`python BUNDLE arguments`, in the bundle's folder; the package that is being tested is not in reach."""
    command = [python, *flags, path.name, *map(str, arguments)]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, env=clean_environment())
    return Ran(done.returncode, done.stderr)


def run_as_data(path: Path, *arguments: str | Path) -> Ran:
    """The bundle run by this kdbench's own program: nothing in it is executed."""
    command = [sys.executable, "-m", "kdbench.measure.device.command", str(path), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return Ran(done.returncode, done.stderr)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def repacked(path: Path, out: Path, change: Callable[[dict[str, bytes]], None], compression: int = 0) -> Path:
    """The bundle with its members changed, as somebody else would write it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data, compression)
    return out


def with_manifest(path: Path, out: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The bundle with another manifest that its program believes in."""

    def edit(members: dict[str, bytes]) -> None:
        before = members["manifest.json"]
        said = json.loads(before)
        change(said)
        members["manifest.json"] = json.dumps(said).encode()
        digests = [hashlib.sha256(text).hexdigest() for text in (before, members["manifest.json"])]
        members["__main__.py"] = members["__main__.py"].replace(digests[0].encode(), digests[1].encode())

    return repacked(path, out, edit)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rewritten(path: Path, out: Path, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    """A record with its lines changed and its end made to fit again: by somebody who knows how it is made."""
    lines = lines_of(path)
    change(lines)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines if line.get("kind") != "end")
    end = {"kind": "end", "sha256": hashlib.sha256(text.encode()).hexdigest()}
    out.write_text(text + json.dumps(end) + "\n")
    return out


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

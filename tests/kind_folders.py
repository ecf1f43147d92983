"""Results folders of every kind of output, with real (linear) ONNX files, judged as the evaluate stage does."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kdbench.files import npz_bytes, sha256_of, write_whole
from kdbench.measure.decisions import decide
from kdbench.measure.predicted import predicted
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import Input, Output, SymbolicAxis, TaskDescription
from kdbench.protocols.metric import metric_named
from kdbench.results import records
from kdbench.results.records import Environment, Latency, Record, Score, Size
from kdbench.results.task_json import TASK_FILE, KeptTask
from kdbench.run.kept_data import write_sample, write_test_inputs
from kdbench.stages.evaluate import PREDICTION_BATCH
from kdbench.stages.scores import predictions_of, score_facts
from kdbench.tasks.arrays import ArrayData, write_split
from kdbench.tasks.examples import examples

TARGET = "local-cpu-1t-fp32"
CASES = ("from-scratch", "other")
TESTED = 60
WORDS = 20
Shape = tuple[int | str, ...]


@dataclass(frozen=True)
class Case:
    """One kind: what its task is, how examples are drawn, and which nodes make its outputs of its inputs."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    draw: Callable[[np.random.Generator], tuple[Any, ...]]
    """The stored inputs of TESTED examples."""
    weights: dict[str, tuple[int, ...]]
    nodes: Sequence[tuple[str, list[str], str, dict[str, Any]]]
    """(operator, inputs, output, attributes); an output of the file bears the task's name for it."""
    axes: tuple[SymbolicAxis, ...] = ()
    shapes: tuple[Shape, ...] = ()
    """Shapes of the file's outputs, without the batch axis."""


def _ids(draw: np.random.Generator) -> tuple[Any, ...]:
    return ([draw.integers(1, WORDS, length).astype(np.int32) for length in draw.integers(2, 9, TESTED)],)


def _frames(draw: np.random.Generator) -> tuple[Any, ...]:
    return ([draw.normal(size=(length, 4)).astype(np.float32) for length in draw.integers(3, 12, TESTED)],)


def _drawn(*shape: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    return lambda draw: (draw.normal(size=(TESTED, *shape)).astype(np.float32),)


LENGTH = SymbolicAxis(name="length", most=32, lengths={"median": 5, "p95": 8, "longest": 8})
TIME = SymbolicAxis(name="time", most=32, lengths={"median": 7, "p95": 11, "longest": 11})
IDS = Input(name="ids", axes=("length",), dtype="int64", values=WORDS)
MASK = Input(name="mask", axes=("length",), dtype="int64", role="mask", covers="length")

KINDS: dict[str, Case] = {
    "values": Case(
        (Input(name="vector", axes=(3,)),),
        (Output(name="values", kind="values", axes=(2,), value_names=("east", "north"), unit="m", scale=(1.0, 1.0)),),
        _drawn(3),
        {"w": (3, 2)},
        [("MatMul", ["vector", "w"], "values", {})],
        shapes=((2,),),
    ),
    "dense_classes": Case(
        (Input(name="image", axes=(3, 6, 6)),),
        (Output(kind="dense_classes", axes=(3, 6, 6), class_names=("sky", "land", "sea"), ignore=255),),
        _drawn(3, 6, 6),
        {"w": (3, 3, 1, 1)},
        [("Conv", ["image", "w"], "logits", {})],
        shapes=((3, 6, 6),),
    ),
    "multilabel": Case(
        (IDS, MASK),
        (
            Output(name="labels", kind="multilabel", axes=(3,), class_names=("red", "green", "blue")),
            Output(name="much", kind="values", axes=(1,), value_names=("weight",), unit="kg"),
        ),
        _ids,
        {"e": (WORDS, 4), "w": (4, 3), "v": (4, 1)},
        [
            ("Gather", ["e", "ids"], "words", {}),
            ("Cast", ["mask"], "real", {"to": TensorProto.FLOAT}),
            ("Unsqueeze", ["real", "last"], "wide", {}),
            ("Mul", ["words", "wide"], "kept", {}),
            ("ReduceSum", ["kept", "one"], "sum", {"keepdims": 0}),
            ("MatMul", ["sum", "w"], "labels", {}),
            ("MatMul", ["sum", "v"], "much", {}),
        ],
        (LENGTH,),
        ((3,), (1,)),
    ),
    "token_classes": Case(
        (IDS, MASK),
        (Output(kind="token_classes", axes=("length", 3), class_names=("O", "B-PER", "I-PER")),),
        _ids,
        {"e": (WORDS, 3)},
        [
            ("Gather", ["e", "ids"], "words", {}),
            ("Cast", ["mask"], "real", {"to": TensorProto.FLOAT}),
            ("Unsqueeze", ["real", "last"], "wide", {}),
            ("Mul", ["words", "wide"], "logits", {}),
        ],
        (LENGTH,),
        (("length", 3),),
    ),
    "sequence": Case(
        (Input(name="frames", axes=("time", 4)),),
        (Output(kind="sequence", axes=("time", 4), class_names=("-", "a", "b", "c"), blank=0, frames="time"),),
        _frames,
        {"w": (4, 4)},
        [("MatMul", ["frames", "w"], "logits", {})],
        (TIME,),
        (("time", 4),),
    ),
}


def write_folder(folder: Path, kind: str) -> Path:
    """A results folder with the cases from-scratch and other, one seed, and what `bundle`, `merge` and `get` need."""
    case, draw = KINDS[kind], np.random.default_rng(0)
    decoded = folder.parent / f"{folder.name}-decoded"
    decoded.mkdir(parents=True)
    (folder / "models").mkdir(parents=True)
    for number, name in enumerate(CASES):
        onnx.save(_model(case, number), folder / f"models/{name}.onnx")
    inputs = case.draw(draw)
    task = _described(case)
    for split in ("train", "test"):
        write_split(decoded, split, inputs, tuple(_placeholder(output, inputs) for output in task.outputs))
    data = ArrayData.open(decoded, task)
    answers = {name: _answers(folder / f"models/{name}.onnx", data) for name in CASES}
    truth = tuple(_near(draw, output, given) for output, given in zip(task.outputs, answers[CASES[0]], strict=True))
    for split in ("train", "test"):
        write_split(decoded, split, inputs, truth)
    data = ArrayData.open(decoded, task)
    kept = KeptTask(
        name="drawn",
        data_key="d",
        description=task,
        test_inputs_path="inputs/test-0.npz",
        sample_path="inputs/sample-0.npz",
    )
    (folder / "inputs").mkdir()
    (folder / TASK_FILE).write_text(kept.model_dump_json())
    write_test_inputs(decoded, task, folder / "inputs/test-0.npz")
    write_sample(decoded, task, folder / "inputs/sample-0.npz")
    lines: list[Record] = [Environment(suite="small", key="e", fingerprint="f00d", facts={"cpu": "Imaginary"})]
    beside = {"baseline": sha256_of(folder / "models/from-scratch.onnx")}
    for name in CASES:
        lines += _records(folder, name, data, answers[name], beside)
    records.append(folder / "records.jsonl", lines)
    _write_plan(folder, timed_only=kind != "multilabel")
    return folder


def _described(case: Case) -> TaskDescription:
    counts = {"train": TESTED, "test": TESTED}
    return TaskDescription(inputs=case.inputs, outputs=case.outputs, axes=case.axes, example_counts=counts)


def _placeholder(output: Output, inputs: tuple[Any, ...]) -> Any:
    if output.kind in ("token_classes", "sequence"):
        return [np.zeros(len(row), np.int64) for row in inputs[0]]
    if output.kind == "dense_classes":
        return np.zeros((TESTED, *output.axes[1:]), np.int64)
    return np.zeros((TESTED, output.width), np.uint8 if output.kind == "multilabel" else np.float32)


def _near(draw: np.random.Generator, output: Output, given: Any) -> Any:
    """True answers that a file often, but not always, gives."""
    decided = decide(output.kind, given, output.blank)
    if output.kind == "values":
        return np.asarray(decided + draw.normal(size=decided.shape) / 3, np.float32)
    if output.kind == "multilabel":
        return np.where(draw.random(decided.shape) < 0.2, 1 - decided, decided).astype(np.uint8)
    if output.kind == "dense_classes":
        wrong = np.where(draw.random(decided.shape) < 0.2, (decided + 1) % 3, decided)
        wrong[:, 0] = output.ignore
        return wrong.astype(np.int64)
    if output.kind == "token_classes":
        return [np.where(draw.random(len(row)) < 0.2, (row + 1) % 3, row).astype(np.int64) for row in decided]
    return [np.append(row, 1) if place % 3 else row for place, row in enumerate(map(np.int64, decided))]


def _model(case: Case, seed: int) -> onnx.ModelProto:
    draw = np.random.default_rng(seed)
    weights = {name: draw.normal(size=shape).astype(np.float32) for name, shape in case.weights.items()}
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    constants += [numpy_helper.from_array(np.array([axis], np.int64), name) for name, axis in (("one", 1), ("last", 2))]
    types = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
    given = [helper.make_tensor_value_info(i.name, types[i.dtype], ["batch", *i.axes]) for i in case.inputs]
    outputs = [
        helper.make_tensor_value_info(output.name, TensorProto.FLOAT, ["batch", *shape])
        for output, shape in zip(case.outputs, case.shapes, strict=True)
    ]
    nodes = [helper.make_node(kind, inputs, [output], **said) for kind, inputs, output, said in case.nodes]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(nodes, "linear", given, outputs, [c for c in constants if c.name in used])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _answers(path: Path, data: ArrayData) -> list[Any]:
    session = OnnxruntimeSession(str(path), SessionSpec())
    return predicted(session, examples(data, "test", np.arange(TESTED)), PREDICTION_BATCH)


def _records(folder: Path, name: str, data: ArrayData, answers: list[Any], beside: dict[str, str]) -> list[Record]:
    task, path = data.description, folder / f"models/{name}.onnx"
    metrics = {metric: metric_named(metric) for output in task.outputs for metric in output.metrics}
    kept = predictions_of(task, "test", answers, data.split("test").targets, metrics)
    write_whole(folder / f"predictions/{name}.npz", npz_bytes(kept))
    labels: dict[str, Any] = {"suite": "small", "case": name, "seed": 0, "key": name, "target": TARGET}
    told = {"runtime": "onnxruntime 1 cpu", "predictions_path": f"predictions/{name}.npz"}
    facts = score_facts(task, "test", kept, metrics)
    bytes_ = path.stat().st_size
    size = Size(
        **labels,
        parameter_count=1,
        nonzero_parameter_count=1,
        onnx_bytes=bytes_,
        onnx_gzip_bytes=bytes_,
        mac_count=1,
        mac_rule="one",
        quantized_weight_fraction=0.0,
        onnx_path=f"models/{name}.onnx",
        onnx_sha256=sha256_of(path),
    )
    timed = ((50_000,) * 20, (51_000,) * 20, (52_000,) * 20)
    latency = [
        Latency(
            **labels,
            provider_asked="CPUExecutionProvider",
            providers_got=("CPUExecutionProvider",),
            batch_size=2,
            lengths=lengths,
            samples_ns=timed,
            reference_samples_ns=dict.fromkeys(beside.values(), timed),
            references=beside,
            round_call_count=1,
            runtime="onnxruntime",
            runtime_version="1",
            precision="fp32",
            threads_intra=1,
            graph_optimization="all",
        )
        for lengths in ([{task.axes[0].name: size} for size in (4, 9)] if task.axes else [{}])
    ]
    scores = [Score(**labels, **told, **{key: value for key, value in fact.items() if key != "kind"}) for fact in facts]
    return [size, *latency, *scores]


def _write_plan(folder: Path, timed_only: bool) -> None:
    session = {"provider": "cpu", "threads_intra": 1, "threads_inter": 1, "graph_optimization": "all"}
    entry = {
        "session": {**session, "precision": "fp32"},
        "python": None,
        "batch_sizes": [2],
        **{"processes": 1, "calls": 8, "seconds": 0, "memory": not timed_only, "start": not timed_only},
    }
    plan = {
        "suite": "small",
        "baseline": "from-scratch",
        "cases": {case: {"steps": [], "student": "linear", "baseline": "from-scratch"} for case in CASES},
        "seeds": [0],
        "targets": [TARGET],
        "measure": {TARGET: entry},
    }
    (folder / "plan.json").write_text(json.dumps(plan))

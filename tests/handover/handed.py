"""Results folders with real data and real (linear) ONNX files, evaluated as the evaluate stage does; no training."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from kdbench.files import write_whole
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import TaskDescription
from kdbench.protocols.part import PartSpec
from kdbench.results import records
from kdbench.results.records import Environment, Failed, Latency, Record, Score, Size
from kdbench.results.task_json import TASK_FILE
from kdbench.run.kept_data import kept_task, write_test_inputs
from kdbench.stages.evaluate import PREDICTION_BATCH
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.work import read_description
from kdbench.stages.worker import run_stages
from kdbench.tasks.arrays import ArrayData, preprocess_array

TARGET, OTHER = "local-cpu-1t-fp32", "local-cpu-2t-fp32"
WHEN = "2026-01-02T03:04:05+00:00"


@dataclass
class Source:
    """Decodes a task into a store and makes a results folder of it; change its fields before `write`."""

    folder: Path
    task: PartSpec = field(default_factory=lambda: PartSpec("task", "digits", 1, {}))
    seeds: tuple[int, ...] = (0, 1, 2)
    targets: tuple[str, ...] = (TARGET,)
    validation: dict[int, float] | None = None
    """Seed -> the rate to write, in place of the file's own."""
    splits: tuple[str, ...] = ("validation", "test")
    file_a_target: bool = False
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def write(self) -> Path:
        store = Store(self.folder / "store")
        spec = StageSpec("decode", 1, {"task": self.task.located()})
        (outcome,) = run_stages([spec.to_json()], str(store.root))
        assert outcome.status != "failed", outcome.reason
        self.decoded = store.folder(spec.key)
        self.description: TaskDescription = read_description(self.decoded)
        self.results.mkdir()
        kept = kept_task(spec, self.decoded)
        (self.results / TASK_FILE).write_text(kept.model_dump_json())
        for name, place in kept.companion_paths.items():
            write_whole(self.results / place, (self.decoded / name).read_bytes())
        if kept.test_inputs_path:
            (self.results / "inputs").mkdir(exist_ok=True)
            write_test_inputs(self.decoded, kept.description, self.results / kept.test_inputs_path)
        records.append(self.results / "records.jsonl", self._records())
        return self.results

    def _records(self) -> list[Record]:
        facts = {"cpu": "Imaginary Processor 9000"}
        made: list[Record] = [Environment(suite="s", key="e", fingerprint="f00d", facts=facts)]
        for seed in self.seeds:
            for target in self.targets:
                made += self._file("linear", seed, target)
        for case, reason in self.failed.items():
            labels = {"suite": "s", "case": case, "seed": 0, "key": "k", "target": TARGET}
            made.append(Failed(**labels, kind="score", reason=reason))
        return made

    def _file(self, case: str, seed: int, target: str) -> list[Record]:
        name = f"models/{seed}-{target if self.file_a_target else 'all'}.onnx"
        path = self.results / name
        path.parent.mkdir(exist_ok=True)
        onnx.save(linear(self.decoded, self.description, seed, salt=target if self.file_a_target else ""), path)
        common: dict[str, Any] = {"suite": "s", "case": case, "seed": seed, "key": f"k{seed}", "target": target}
        common |= {"created_utc": WHEN, "fingerprint": "f00d", "steps": ({"soft_distillation": {"temperature": 4.0}},)}
        data = path.read_bytes()
        size = Size(
            **common,
            parameter_count=1,
            nonzero_parameter_count=1,
            onnx_bytes=len(data),
            onnx_gzip_bytes=len(data),
            mac_count=1,
            mac_rule="one",
            quantized_weight_fraction=0.0,
            onnx_path=name,
            onnx_sha256=hashlib.sha256(data).hexdigest(),
        )
        latency = Latency(
            **common,
            provider_asked="CPUExecutionProvider",
            providers_got=("CPUExecutionProvider",),
            batch_size=1,
            samples_ns=((50_000,) * 100, (51_000,) * 100, (52_000,) * 100),
            runtime="onnxruntime",
            runtime_version="1",
            precision="fp32",
            threads_intra=1,
            graph_optimization="all",
        )
        return [size, latency, *(self._accuracy(common, path, split) for split in self.splits)]

    def _accuracy(self, common: dict[str, Any], path: Path, split: str) -> Record:
        right = answers(path, self.decoded, self.description, split)
        rates = self.validation if split == "validation" else None
        return Score(
            **common,
            metric="accuracy",
            direction="higher",
            value=rates[common["seed"]] if rates else float(right.mean()),
            correct_count=int(right.sum()),
            example_count=len(right),
            split=split,
            runtime="onnxruntime 1 cpu",
        )


def answers(path: Path, decoded: Path, description: TaskDescription, split: str) -> np.ndarray:
    """Which examples a file gets right, in the batches of the evaluate stage."""
    data = ArrayData.open(decoded, description)
    inputs = preprocess_array(data.inputs(split)[0], description.inputs[0])
    session = OnnxruntimeSession(str(path), SessionSpec())
    starts = range(0, len(inputs), PREDICTION_BATCH)
    scores = [session.run({"image": inputs[start : start + PREDICTION_BATCH]})[0] for start in starts]
    right: np.ndarray = np.concatenate(scores).argmax(1) == data.targets(split)
    return right


def linear(decoded: Path, description: TaskDescription, seed: int, salt: str = "") -> onnx.ModelProto:
    """Least squares from pixels to classes, on a few training examples (others for each seed): far from perfect."""
    data = ArrayData.open(decoded, description)
    chosen = np.random.default_rng(seed).permutation(data.count("train"))[:150]
    inputs = preprocess_array(data.inputs("train")[0][chosen], description.inputs[0]).reshape(len(chosen), -1)
    wanted = np.eye(description.class_count, dtype=np.float32)[data.targets("train")[chosen]]
    penalty = np.eye(inputs.shape[1], dtype=np.float32)
    weight = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ wanted).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])]
    shape = ["batch", *description.input_shapes[0]]
    graph = helper.make_graph(
        nodes,
        f"linear{salt}",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", description.class_count])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def write_pictures(root: Path) -> Path:
    """Noisy pictures of two classes in every size, mode, format and turn that decoding meets; one is broken."""
    draw = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 45)):
        for label, name in enumerate(("left", "right")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                _save(_picture(draw, label, number), folder, number)
    (root / "test" / "left" / "broken.png").write_bytes(b"no picture")
    (root / "test" / "left" / ".hidden.png").write_bytes(b"x")
    return root


SHAPES = ((12, 12), (12, 30), (31, 17), (100, 140))
MODES = ("RGB", "RGB", "L", "RGBA", "P")


def _picture(draw: np.random.Generator, label: int, number: int) -> Image.Image:
    height, width = SHAPES[number % len(SHAPES)]
    pixels = draw.integers(0, 200, (height, width, 3)).astype(np.uint8)
    half = slice(0, width // 2) if label == 0 else slice(width // 2, width)
    pixels[:, half] += np.uint8(8)
    return Image.fromarray(pixels).convert(MODES[number % len(MODES)])


def _save(picture: Image.Image, folder: Path, number: int) -> None:
    if number % 7 == 3:
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: turned by a quarter
        picture.convert("RGB").save(folder / f"{number}.JPG", exif=exif, quality=90)
    elif number % 7 == 5:
        picture.convert("RGB").save(folder / f"{number}.webp", lossless=True)
    else:
        picture.save(folder / f"{number}.png")

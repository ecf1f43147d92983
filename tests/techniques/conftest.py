"""A context in memory, tiny networks, and an exporter: what the tests of techniques stand on."""

import functools
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from kdbench.errors import DataError
from kdbench.functional import outputs_of
from kdbench.protocols import Batch, Layers, TaskDescription
from kdbench.protocols.recipe import Recipe
from kdbench.training import Examples, History, Training

CLASSES = 10
SHAPE = (1, 8, 8)


class FakeContext:
    """`kdbench.protocols.technique.Context` over random images whose class is the brightest of ten places."""

    def __init__(
        self,
        out: Path,
        seed: int = 0,
        teacher: nn.Module | None = None,
        epochs: int = 2,
        others: tuple[nn.Module, ...] = (),
        architecture: str = "plain",
    ) -> None:
        generator = torch.Generator().manual_seed(100)
        self.images = torch.rand(96, *SHAPE, generator=generator)
        self.targets = self.images.flatten(1)[:, :CLASSES].argmax(1)
        self.seed = seed
        self.out = out
        self.log = logging.getLogger("kdbench.test")
        self.recipe = Recipe(epochs=epochs, batch_size=32, learning_rate=0.05)
        self.task = TaskDescription.classification(
            input_names=("image",),
            input_shapes=(SHAPE,),
            class_names=tuple(str(i) for i in range(CLASSES)),
            example_counts={"train": 96},
        )
        self._teachers = [*([teacher] if teacher is not None else []), *others]
        self.architecture = architecture
        """What `fresh` makes: one of the networks below."""
        self.teacher_calls = 0
        self.roles: list[str] = []
        self.history = History()
        self.histories: list[History] = []
        self.notes: list[str] = []
        self.note = self.notes.append
        self.student_layers = self.teacher_layers = Layers()
        self.extra_images: torch.Tensor | None = None

    def fit(self, model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        self.roles.append(recipe)
        chosen = self.recipe.part(*part)
        if chosen is None:
            return model
        training = Training(model, chosen, self.task, Examples(self._epoch, None, len(self.images)), loss, extra)
        self.history = training.run()
        self.histories.append(self.history)
        return model

    def _epoch(self, epoch: int) -> Iterator[Batch]:
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(self.seed * 1000 + epoch))
        for index in order.split(32):
            yield self._batch(index)

    def _batch(self, index: torch.Tensor) -> Batch:
        return Batch((self.images[index],), (self.targets[index],), index, torch.zeros_like(index))

    def teacher(self, batch, number=0):
        self.teacher_calls += 1
        return self.answers(self._teachers[number].eval(), batch)

    @property
    def teacher_count(self):
        return len(self._teachers)

    @property
    def teacher_module(self):
        assert self._teachers, "this technique asked for a teacher it did not declare"
        return self._teachers[0].eval().requires_grad_(False)

    def answers(self, network, batch):
        with torch.no_grad():
            return outputs_of(network.eval()(*batch.inputs), network)

    def fresh(self, number, model=None):
        return make(model or self.architecture, seed=self.seed + 1000 * number)

    def unlabelled(self, batch_size):
        while True:
            images = self.extra_images[:batch_size]
            yield Batch((images,), (), *(torch.full((len(images),), -1) for _ in range(2)))

    @property
    def train(self):
        return iter([self._batch(torch.arange(len(self.images)))])

    @property
    def example(self):
        return (self.images[:2],)

    def calibration(self, sample_count):
        if sample_count > len(self.images):
            raise DataError(f"{sample_count} calibration inputs were asked for, there are {len(self.images)}.")
        return [{"image": image[None].numpy()} for image in self.images[:sample_count]]


@pytest.fixture
def context(tmp_path) -> Callable[..., FakeContext]:
    return lambda **options: FakeContext(tmp_path, **options)


class Residual(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution where the width changes."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x):
        inner = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


def plain(width: int = 32) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(width * 64, CLASSES),
    )


def residual() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        Residual(32, 32),
        Residual(32, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )


def depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 32, 1),
        nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 64, 3, padding=1),
        nn.Conv2d(64, 64, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, CLASSES)
    )


NETWORKS = {"plain": plain, "residual": residual, "depthwise": depthwise, "grouped": grouped, "mlp": mlp}


def make(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = NETWORKS[name]()
    model(torch.rand(16, *SHAPE))
    return model


def write_onnx(model: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, which are not ours to test
        torch.onnx.export(
            model.eval(),
            (torch.rand(2, *SHAPE),),
            path,
            dynamo=True,
            dynamic_shapes=({0: "batch"},),
            input_names=["image"],
            external_data=False,
            verbose=False,
        )
    file = onnx.load(path)
    for node in file.graph.node:
        del node.metadata_props[:]
    del file.metadata_props[:]
    onnx.save(file, path)
    return path


@pytest.fixture
def build() -> Callable[..., nn.Module]:
    """build("residual", seed=3): one of the networks above, its BatchNorm statistics not those of a new one."""
    return make


@pytest.fixture
def export(tmp_path) -> Callable[[nn.Module], Path]:
    """A file of a network as the export stage writes them: dynamic batch, without metadata."""
    return lambda model: write_onnx(model, tmp_path / "float.onnx")


@pytest.fixture(scope="session")
def onnx_files(tmp_path_factory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("onnx")
    return functools.cache(lambda name: write_onnx(make(name), folder / f"{name}.onnx"))


@pytest.fixture
def exported(tmp_path, onnx_files) -> Callable[[str], Path]:
    """exported("residual"): the file of a network above, exported once a session, a copy for each test."""
    return lambda name: Path(shutil.copy(onnx_files(name), tmp_path / "float.onnx"))


@pytest.fixture
def run() -> Callable[[Path, np.ndarray], np.ndarray]:
    """Logits of a file through onnxruntime."""
    import onnxruntime

    def infer(path: Path, images: np.ndarray) -> np.ndarray:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return session.run(None, {"image": images})[0]

    return infer


@pytest.fixture
def kernels(tmp_path) -> Callable[[Path], list[str]]:
    """Operator types of the graph that onnxruntime really runs."""
    import onnxruntime

    def optimized(path: Path) -> list[str]:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        options.log_severity_level = 3  # it warns that such a file belongs to this machine
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]

    return optimized

"""The trainings that are compared: which technique, and what computes in bf16."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from kdbench import registry
from kdbench import stages as kinds
from kdbench.protocols import Batch
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.protocols.recipe import Precision, Recipe
from kdbench.stages import torch_models
from kdbench.stages._folding import Folding
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.work import read_description
from kdbench.stages.worker import run_stages
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.batches import plain_batches
from kdbench.training import computing_in, decisive_metric, score

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Arm:
    """One way to train a student. Who teaches in bf16 and who learns in it may differ for stored outputs alone."""

    name: str
    technique: str
    fields: dict[str, object]
    teacher: Precision
    student: Precision


LABELS = ("soft_distillation", {"ce_weight": 1.0, "kd_weight": 0.0})
WAYS: tuple[tuple[Precision, Precision], ...] = (("fp32", "fp32"), ("bf16", "bf16"))
ARMS = [
    *(Arm("labels", *LABELS, "fp32", student) for student in ("fp32", "bf16")),
    *(Arm("soft", "soft_distillation", {}, *way) for way in (WAYS[0], ("bf16", "fp32"), WAYS[1])),
    *(Arm("fitnet", "fitnet", {}, *way) for way in WAYS),
    *(Arm("similarity", "similarity_preserving", {}, *way) for way in WAYS),
]


@dataclass(frozen=True)
class Setting:
    """The data, the networks, and how long each is trained."""

    task: PartSpec
    student: dict[str, object]
    teacher: dict[str, object]
    epochs: int
    teacher_epochs: int


def digits() -> Setting:
    """8x8 scans that ship with scikit-learn; a student that has not learned all there is to learn from its labels."""
    even = [1, 1, 1]
    student, teacher = ({"channels": channels, "strides": even} for channels in ([4, 8, 16], [16, 32, 64]))
    return Setting(_part("task", "digits", {}), student, teacher, epochs=30, teacher_epochs=20)


def cifar10(root: str) -> Setting:
    """CIFAR-10 where torchvision keeps it below `root`."""
    task = _part("task", "cifar10", {"root": root, "augment": "crop_flip"})
    return Setting(task, {"channels": [16, 32, 64]}, {"channels": [64, 128, 256]}, epochs=20, teacher_epochs=30)


class Bench:
    """kdbench's own stages on a store of their own."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        self.store, self.setting = Store(folder), setting
        self.data = self.run([StageSpec("decode", kinds.VERSIONS["decode"], {"task": setting.task})])[0]
        self.task = read_description(self.store.folder(self.data))
        self.arrays = ArrayData.open(self.store.folder(self.data), self.task)
        recipe = Recipe(epochs=setting.teacher_epochs, learning_rate=0.1, schedule="cosine")
        parts = {"task": setting.task, "model": _part("model", "cnn", setting.teacher), "recipe:train": _recipe(recipe)}
        self.teacher = self.run([StageSpec("train", 1, parts, {"data": self.data}, 0)])[0]

    def run(self, specs: list[StageSpec]) -> list[str]:
        """Run stages as a worker does; their keys."""
        for outcome in run_stages([spec.to_json() for spec in specs], str(self.store.root)):
            if outcome.status == "failed":
                raise SystemExit(f"{outcome.reason}\n{outcome.log}")
        return [spec.key for spec in specs]

    def accuracy(self, arm: Arm, seed: int) -> float:
        """A student's accuracy, computed in fp32, on every example that no training has seen."""
        setting = self.setting
        recipe = Recipe(epochs=setting.epochs, learning_rate=0.02, schedule="cosine", precision=arm.student)
        parts = {
            "task": setting.task,
            "model": _part("model", "cnn", setting.student),
            "technique": _part("technique", arm.technique, arm.fields),
            "recipe:train": _recipe(recipe),
        }
        inputs = {"data": self.data, "teacher": self.teacher}
        if arm.name == "soft":
            inputs["outputs"] = self._outputs(arm.teacher, seed)
        return self.score(self.run([StageSpec("compress", 1, parts, inputs, seed)])[0])

    def _outputs(self, precision: Precision, seed: int) -> str:
        settings: dict[str, object] = {"epochs": self.setting.epochs}
        settings |= {"precision": precision} if precision != "fp32" else {}
        inputs, parts = {"data": self.data, "teacher": self.teacher}, {"task": self.setting.task}
        spec = StageSpec("teach", 1, parts, inputs, seed=seed, settings=settings, numerics={"device": "cpu"})
        return self.run([spec])[0]

    def score(self, key: str) -> float:
        """The accuracy of a stage's network on validation and test, computed in fp32."""
        network = torch_models.load(self.store.folder(key), self.task, CPU)
        return score(network, self._unseen(), decisive_metric(self.task))

    def outputs(self, precision: Precision, folded: bool = False) -> torch.Tensor:
        """The teacher's logits (N, classes) on every example that no training has seen; where it teaches in bf16,
        BatchNorm is folded into the convolutions before it.
        """
        network = torch_models.load(self.store.folder(self.teacher), self.task, CPU)
        folding = Folding(network, next(self._unseen()).inputs)
        pairs = folding.foldable(network) if folded else frozenset()
        with torch.no_grad(), computing_in(precision, CPU), folding.at_work(network, pairs):
            return torch.cat([network(*batch.inputs).float() for batch in self._unseen()])

    @property
    def labels(self) -> torch.Tensor:
        """The true classes (N) of every example that no training has seen."""
        return torch.cat([batch.targets[0] for batch in self._unseen()])

    def _unseen(self) -> Iterator[Batch]:
        return chain.from_iterable(plain_batches(self.arrays, split, 256, CPU) for split in ("validation", "test"))


def _part(kind: str, name: str, fields: dict[str, object]) -> PartSpec:
    return spec_of(kind, name, registry.resolve(kind, name).from_fields(fields))


def _recipe(recipe: Recipe) -> PartSpec:
    return PartSpec("recipe", "recipe", Recipe.version, recipe.to_fields())

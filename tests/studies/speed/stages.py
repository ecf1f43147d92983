"""kdbench's own stages on a store of their own, run in this process as a worker runs them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from generated import SIDE, write_pictures
from torch import nn

from kdbench import registry
from kdbench import stages as kinds
from kdbench.protocols import TaskDescription
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.protocols.recipe import Precision, Recipe
from kdbench.stages import allocator, torch_models
from kdbench.stages.context import plain_arithmetic
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.work import read_description
from kdbench.stages.worker import run_stages

RATE = 1e-4
"""A rate at which nothing diverges, whatever an untrained teacher says."""
TECHNIQUES = {
    "labels": ("soft_distillation", {"ce_weight": 1.0, "kd_weight": 0.0}),
    "soft": ("soft_distillation", {"ce_weight": 1.0}),
    "attention": ("attention_transfer", {}),
    "fitnet": ("fitnet", {}),
    "similarity": ("similarity_preserving", {}),
}
"""Name in the table -> the technique and its fields. From labels alone is soft distillation of weight 0, to the bit."""
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
Costs = dict[str, float]
"""What was run -> processor seconds for the pictures of one epoch."""
ROUNDS = "rounds.json"
"""The file of each round's costs, by pair."""
ON_FEATURES = ("attention", "fitnet", "similarity")


@dataclass(frozen=True)
class Pair:
    """A student and the teacher that it learns from, as declarations."""

    student: tuple[str, dict[str, object]]
    teacher: tuple[str, dict[str, object]] = ("resnet32x4", {})


PAIRS = {"resnet8x4": Pair(("resnet8x4", {})), "small CNN": Pair(("cnn", {"channels": [16, 32, 64]}))}


class Bench:
    """Made pictures, decoded, and a teacher that nobody trained: its passes cost what a trained one's do."""

    def __init__(self, folder: Path, image_count: int, batch_size: int) -> None:
        self.pictures, self.batch_size = folder / "pictures", batch_size
        write_pictures(self.pictures, image_count)
        self.store = Store(folder / "store")
        fields = {"root": str(self.pictures), "image_size": SIDE, "augment": "crop_flip", "validation_fraction": 0}
        self.task = _part("task", "image_folder", fields).located()
        self.data = self.run([StageSpec("decode", kinds.VERSIONS["decode"], {"task": self.task})])[0]

    @cached_property
    def description(self) -> TaskDescription:
        return read_description(self.store.folder(self.data))

    def run(self, specs: list[StageSpec]) -> list[str]:
        """Run stages as a worker does, all in one list; their keys."""
        for outcome in run_stages([spec.to_json() for spec in specs], str(self.store.root)):
            if outcome.status != "done":
                raise SystemExit(f"{outcome.status}: {outcome.reason}\n{outcome.log}")
        return [spec.key for spec in specs]

    def forget(self, keys: list[str]) -> None:
        """Remove finished stages, so that they can be timed again."""
        for key in keys:
            self.store.discard(key)

    def network(self, declared: tuple[str, dict[str, object]], seed: int = 0) -> nn.Module:
        """A new network, for loops that are not kdbench's; channels last, as kdbench has it, would be no textbook."""
        return torch_models.fresh(_part("model", *declared), self.description, seed)

    def teacher(self, pair: Pair) -> str:
        """The key of the teacher, in eval mode as it was declared."""
        parts = {"task": self.task, "model": _part("model", *pair.teacher)}
        spec = StageSpec("rehearse", 1, parts, {"data": self.data}, settings={"teaches": True})
        return spec.key if self.store.has(spec.key) else self.run([spec])[0]

    def teaching(self, pair: Pair, precision: str) -> StageSpec:
        """The stage of the teacher's stored outputs for one epoch of seed 0."""
        inputs = {"data": self.data, "teacher": self.teacher(pair)}
        settings = {"epochs": 1, **({"precision": precision} if precision != "fp32" else {})}
        numerics = {"device": "cpu"}
        return StageSpec("teach", 1, {"task": self.task}, inputs, seed=0, settings=settings, numerics=numerics)

    def training(self, pair: Pair, name: str, precision: str) -> StageSpec:
        """The stage of one technique for one epoch of seed 0."""
        technique, fields = TECHNIQUES[name]
        recipe = Recipe(epochs=1, batch_size=self.batch_size, learning_rate=RATE, precision=precision)
        parts = {
            "task": self.task,
            "model": _part("model", *pair.student),
            "technique": _part("technique", technique, fields),
            "recipe:train": PartSpec("recipe", "recipe", Recipe.version, recipe.to_fields()),
        }
        inputs = {"data": self.data, "teacher": self.teacher(pair)}
        if name == "soft":
            inputs["outputs"] = self.teaching(pair, precision).key
        return StageSpec("compress", 1, parts, inputs, seed=0)

    def seconds(self, key: str) -> float:
        """Processor seconds that a finished training's epochs took, or the storing of a teacher's outputs."""
        records = self.store.read_json(key, "records.json")
        return sum(record["cpu_ns"] for record in records if record["kind"] in ("training", "teaching")) / 1e9


def _part(kind: str, name: str, fields: dict[str, object]) -> PartSpec:
    return spec_of(kind, name, registry.resolve(kind, name).from_fields(fields))


def begin() -> None:
    """What a worker and its stages do when they begin, for loops that are not kdbench's, too."""
    allocator.one_heap()
    plain_arithmetic()

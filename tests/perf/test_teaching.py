"""Does a teacher teach? Every method on features and relations against the same teacher, shuffled.

The setting, one for all methods:

- Real data that ships with scikit-learn: 1,078 handwritten digits of 8x8 pixels to learn from. Accuracy is that of the
  last epoch on the 719 digits that no training sees (validation and test: nothing is selected on either).
- A student of 1,702 weights, three convolutions of 4, 8 and 16 channels, and a teacher of four times as many channels.
- 30 epochs, 510 steps, with a rate that falls to 0: from scratch the student is not yet where it can get, so there is
  something to teach, and the last epoch is no accident.
- Published weights and default fields but for those in FIELDS.

It was found by trying eight others, on some or all of the methods. Nets with strides, whose last maps are 4x4 or 2x2,
make the published weights of attention, selectivity and factors too large by the ratio of the map sizes: the terms
drown the labels (0.47 with attention, 0.88 from scratch) and real and shuffled teachers do equal harm. So no net here
has a stride, and maps have 8x8 places, as the last stage of the CIFAR networks for which those weights were found. With
strides this student also reaches 0.97 in 24 epochs by itself. At a constant rate the differences of single seeds spread
over 0.2 (fitnet). In 16 epochs at a rate of 0.05 the term of contrastive, whose memories have to fill first, falls by a
sixth only, and it is behind its control by 0.02.

The control is the same technique with `shuffled: true`: each example learns from what the teacher says of another.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import t as student_t

from kdbench import registry
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.protocols.recipe import Recipe
from kdbench.stages import torch_models
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.work import read_description
from kdbench.stages.worker import run_stages
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.batches import plain_batches
from kdbench.training import decisive_metric, score

SEEDS = (0, 1, 2)
TASK = PartSpec("task", "digits", 1, {})
EVEN = [1, 1, 1]
STUDENT = {"channels": [4, 8, 16], "strides": EVEN}
WIDER = {"channels": [16, 32, 64], "strides": EVEN}
DEEPER = {"channels": [4, 8, 16], "strides": EVEN, "convs_per_stage": 3}
"""For flow_of_solution, which needs the student's widths."""
LESSON = Recipe(epochs=30, learning_rate=0.02, schedule="cosine")
TEACHERS_LESSON = Recipe(epochs=20, learning_rate=0.1, schedule="cosine")

FIELDS = {
    # 5 by default, from where it takes more than these 510 steps to become that of the features: nothing is said
    "variational_information": {"initial_variance": 0.2},
}

# factor_transfer with `pools_channels: true`, RepDistiller's form, compares where the energy of a factor lies and
# nothing else. At its published weight the term is learned (7.8 -> 2.9, shuffled 7.2) and keeps the labels from being
# learned: 0.572 real, 0.574 shuffled, 0.920 from scratch; at a tenth of it 0.882 and 0.874.
UNDECIDED = {"variational_information", "correlation_congruence"}
"""The term tells the teachers apart, but the accuracies differ by less than three seeds can show (+0.006 +- 0.028 and
+0.011 +- 0.024), so they are in the table and not held to it. The published loss of correlation_congruence can be
lowered by its two linear maps alone; with `trains_teacher_embedding: false` and ten times the weight the real teacher
was ahead by 0.09 to 0.16 in each seed (of a student of two stages)."""

TAUGHT = (
    "soft_distillation",
    "fitnet",
    "attention_transfer",
    "neuron_selectivity",
    "variational_information",
    "flow_of_solution",
    "activation_boundary",
    "factor_transfer",
    "review",
    "similarity_preserving",
    "relational",
    "probabilistic_transfer",
    "contrastive",
    "correlation_congruence",
)
TERMS = {"soft_distillation": "soft"}


@dataclass(frozen=True)
class Row:
    """One technique's accuracies by seed, and its term by seed and epoch."""

    technique: str
    real: np.ndarray
    shuffled: np.ndarray
    term: np.ndarray
    shuffled_term: np.ndarray

    def __str__(self) -> str:
        difference = self.real - self.shuffled
        half = student_t.ppf(0.975, len(SEEDS) - 1) * difference.std(ddof=1) / math.sqrt(len(SEEDS))
        first, last, control = self.term[:, 0].mean(), self.term[:, -1].mean(), self.shuffled_term[:, -1].mean()
        return (
            f"{self.technique:24s} {first:8.3f} -> {last:8.3f} ({control:8.3f})   {self.real.mean():.3f}"
            f"   {self.shuffled.mean():.3f}   {difference.mean():+.3f} +- {half:.3f}"
        )


class Bench:
    """kdbench's own stages on a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.data = self.run(StageSpec("decode", 1, {"task": TASK}))
        self.task = read_description(self.store.folder(self.data))
        self.arrays = ArrayData.open(self.store.folder(self.data), self.task)
        self.teachers = {name: self.train(model, TEACHERS_LESSON, 0) for name, model in self.models().items()}

    @staticmethod
    def models() -> dict[str, dict]:
        return {"wider": WIDER, "deeper": DEEPER}

    def run(self, spec: StageSpec) -> str:
        (outcome,) = run_stages([spec.to_json()], str(self.store.root))
        assert outcome.status != "failed", outcome.reason
        return spec.key

    def train(self, model: dict, recipe: Recipe, seed: int) -> str:
        parts = {"task": TASK, "model": part("model", "cnn", model), "recipe:train": lesson(recipe)}
        return self.run(StageSpec("train", 1, parts, {"data": self.data}, seed))

    def teach(self, name: str, shuffled: bool, seed: int) -> str:
        fields = {**FIELDS.get(name, {}), "shuffled": shuffled}
        parts = {
            "task": TASK,
            "model": part("model", "cnn", STUDENT),
            "technique": part("technique", name, fields),
            "recipe:train": lesson(LESSON),
        }
        teacher = self.teachers["deeper" if name == "flow_of_solution" else "wider"]
        return self.run(StageSpec("compress", 1, parts, {"data": self.data, "teacher": teacher}, seed))

    def score(self, key: str) -> float:
        """Accuracy on every example that no training has seen."""
        network = torch_models.load(self.store.folder(key), self.task, torch.device("cpu"))
        splits = (plain_batches(self.arrays, split, 512, torch.device("cpu")) for split in ("validation", "test"))
        return score(network, itertools.chain.from_iterable(splits), decisive_metric(self.task))

    def terms(self, key: str, name: str) -> list[float]:
        """The technique's term, epoch by epoch, of the go that has it."""
        label = TERMS.get(name, name)
        records = self.store.read_json(key, "records.json")
        goes = [record["terms_by_epoch"] for record in records if record["kind"] == "training"]
        (own,) = (go for go in goes if label in go[0])
        return [epoch[label] for epoch in own]

    def row(self, name: str) -> Row:
        keys = {shuffled: [self.teach(name, shuffled, seed) for seed in SEEDS] for shuffled in (False, True)}
        scores = {shuffled: np.array([self.score(key) for key in keys[shuffled]]) for shuffled in keys}
        terms = {shuffled: np.array([self.terms(key, name) for key in keys[shuffled]]) for shuffled in keys}
        return Row(name, scores[False], scores[True], terms[False], terms[True])


def part(kind: str, name: str, fields: dict) -> PartSpec:
    return spec_of(kind, name, registry.resolve(kind, name).from_fields(fields))


def lesson(recipe: Recipe) -> PartSpec:
    return PartSpec("recipe", "recipe", Recipe.version, recipe.to_fields())


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, Row]) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("teaching"))
    yield made
    teachers = {name: made.score(key) for name, key in made.teachers.items()}
    scratch = np.mean([made.score(made.train(STUDENT, LESSON, seed)) for seed in SEEDS])
    print(f"\n\nteachers {teachers}; from-scratch {scratch:.3f}; mean of {len(SEEDS)} seeds, paired 95 % interval")
    print(f"{'technique':24s} term, first -> last (shuffled)        real    shuffled difference")
    print(*rows.values(), sep="\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", TAUGHT)
def test_a_student_of_the_real_teacher_beats_one_of_the_shuffled(name: str, bench: Bench, rows: dict[str, Row]) -> None:
    rows[name] = row = bench.row(name)

    assert name in UNDECIDED or row.real.mean() > row.shuffled.mean(), str(row)
    assert row.term[:, -1].mean() < row.term[:, 0].mean(), str(row)
    assert row.term[:, -1].mean() < row.shuffled_term[:, -1].mean(), str(row)

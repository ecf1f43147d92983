"""A teacher's stored outputs: filled from the passes that students in step ask for, as they are when computed alone."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from kdbench import registry
from kdbench import stages as kinds
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.protocols.recipe import Recipe
from kdbench.stages import _data, _teacher
from kdbench.stages._stored_outputs import StoredTable
from kdbench.stages.lockstep import SMALL_BATCH
from kdbench.stages.names import RECORDS
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.teach import wanted_codes
from kdbench.stages.torch_models import WEIGHTS
from kdbench.stages.work import read_description
from kdbench.stages.worker import run_stages
from kdbench.tasks import resident

OUTPUTS = "outputs0.npy"
COUNT, BATCH = 80, 48
"""Batches of 48 and of 32 pictures."""
Forward = Callable[[Tensor], Tensor]
ATTENTION = ("attention_transfer", {})
DIVERGING = ("fitnet", {"kd_weight": 1e38, "regressor": "conv"})


def part(kind: str, name: str, **fields: object) -> PartSpec:
    return spec_of(kind, name, registry.resolve(kind, name).from_fields(fields))


class Bench:
    """Pictures with 162 views each, and a teacher of them that nobody trained."""

    def __init__(self, folder: Path) -> None:
        random = np.random.default_rng(0)
        for split, count in (("train", COUNT), ("test", 2)):
            for number in range(count):
                path = folder / split / str(number % 2) / f"{number:02d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
        self.store = Store(folder / "store")
        fields = {"root": str(folder), "image_size": 12, "augment": "crop_flip", "validation_fraction": 0}
        self.task = part("task", "image_folder", **fields).located()
        self.data = self.run(StageSpec("decode", kinds.VERSIONS["decode"], {"task": self.task}))[0]
        parts = {"task": self.task, "model": part("model", "cnn", channels=[8, 16])}
        inputs = {"data": self.data}
        self.teacher = self.run(StageSpec("rehearse", 1, parts, inputs, settings={"teaches": True}))[0]

    def run_any(self, *specs: StageSpec) -> list[str]:
        """How each of the stages ended."""
        return [outcome.status for outcome in run_stages([spec.to_json() for spec in specs], str(self.store.root))]

    def run(self, *specs: StageSpec) -> list[str]:
        assert {*self.run_any(*specs)} == {"done"}
        return [spec.key for spec in specs]

    def storing(self, epochs: int, seed: int = 5, **further: dict[str, object]) -> StageSpec:
        inputs = {"data": self.data, "teacher": self.teacher}
        settings, numerics = {"epochs": epochs, **further}, {"device": "cpu"}
        return StageSpec("teach", 1, {"task": self.task}, inputs, seed=seed, settings=settings, numerics=numerics)

    def student(self, technique: tuple[str, dict], epochs: int) -> StageSpec:
        recipe = Recipe(epochs=epochs, batch_size=BATCH, learning_rate=0.01)
        parts = {
            "task": self.task,
            "model": part("model", "cnn", channels=[4, 8]),
            "technique": part("technique", technique[0], **technique[1]),
            "recipe:train": PartSpec("recipe", "recipe", 1, recipe.to_fields()),
        }
        return StageSpec("compress", 1, parts, {"data": self.data, "teacher": self.teacher}, seed=5)

    def taken(self, spec: StageSpec, name: str) -> bytes:
        """A file of a finished stage, which is forgotten."""
        content = (self.store.folder(spec.key) / name).read_bytes()
        self.store.discard(spec.key)
        return content


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("teach"))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples went through a teacher, pass by pass."""
    counted: list[int] = []

    def count(forward: Forward, given: Tensor) -> Tensor:
        counted.append(len(given))
        return forward(given)

    around_the_teacher(monkeypatch, count)
    return counted


def around_the_teacher(monkeypatch: pytest.MonkeyPatch, answer: Callable[[Forward, Tensor], Tensor]) -> None:
    """Let `answer` give what teachers give, from their own forward and the pictures."""
    load = _teacher._network

    def changed(*given: object) -> nn.Module:
        network = load(*given)
        network.forward = partial(answer, network.forward)
        return network

    monkeypatch.setattr(_teacher, "_network", changed)


def alone(bench: Bench, storing: StageSpec) -> bytes:
    bench.run(storing)
    return bench.taken(storing, OUTPUTS)


def test_outputs_come_from_the_students_passes_and_both_are_what_they_are_alone(
    bench: Bench, passes: list[int]
) -> None:
    storing, student = bench.storing(epochs=2), bench.student(ATTENTION, epochs=2)
    outputs = alone(bench, storing)
    bench.run(student)
    weights = bench.taken(student, WEIGHTS)
    passes.clear()
    bench.run(storing, student)
    facts = bench.store.read_json(storing.key, "records.json")
    assert (bench.taken(storing, OUTPUTS), bench.taken(student, WEIGHTS)) == (outputs, weights)
    assert [count for count in passes if count > 2] == [48, SMALL_BATCH, 32, 48, 32]
    assert facts[0]["teacher_forward_count"] == len(wanted_codes(COUNT, 162, seed=5, epochs=2))


@pytest.mark.parametrize("student", [(ATTENTION, 1), (DIVERGING, 2)], ids=["shorter", "failing"])
def test_what_the_students_leave_is_computed_when_they_have_ended(
    student: tuple[tuple[str, dict], int], bench: Bench
) -> None:
    storing, going = bench.storing(epochs=2), bench.student(*student)
    outputs = alone(bench, storing)
    bench.run_any(storing, going)
    assert bench.taken(storing, OUTPUTS) == outputs
    bench.store.discard(going.key)


def test_outputs_that_depend_on_the_batch_are_not_taken_from_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    around_the_teacher(monkeypatch, lambda forward, given: forward(given) - given.mean())
    storing, student = bench.storing(epochs=1), bench.student(ATTENTION, epochs=1)
    outputs = alone(bench, storing)
    bench.run(storing, student)
    assert bench.taken(storing, OUTPUTS) == outputs
    bench.store.discard(student.key)


def test_views_that_a_finished_stage_shows_too_are_taken_from_it(bench: Bench, passes: list[int]) -> None:
    longer, shorter, other = bench.storing(3), bench.storing(2), bench.storing(40, seed=6)
    expected = [alone(bench, spec) for spec in (longer, other)]
    bench.run(shorter)
    passes.clear()
    bench.run(longer)
    new = len(wanted_codes(COUNT, 162, 5, 3)) - len(wanted_codes(COUNT, 162, 5, 2))
    assert [count for count in passes if count > 2] == [64, 64, SMALL_BATCH], "one is for comparing"
    assert bench.store.read_json(longer.key, "records.json")[0]["teacher_forward_count"] == new
    passes.clear()
    bench.run(other)
    assert [bench.taken(spec, OUTPUTS) for spec in (longer, other)] == expected
    bench.store.discard(shorter.key)


def test_outputs_of_another_seed_are_taken_unless_computing_them_gives_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = bench.storing(40, seed=5), bench.storing(40, seed=6)
    both = [set(wanted_codes(COUNT, 162, seed, 40).tolist()) for seed in (5, 6)]

    def computed() -> int:
        bench.run(first)
        bench.run(second)
        count: int = bench.store.read_json(second.key, "records.json")[0]["teacher_forward_count"]
        bench.store.discard(first.key)
        return count

    assert computed() == len(both[1] - both[0])
    bench.store.discard(second.key)
    around_the_teacher(monkeypatch, lambda forward, given: forward(given) - given.mean())
    assert computed() == len(both[1])
    assert bench.taken(second, OUTPUTS) == alone(bench, second)


@pytest.mark.parametrize("room", [1e9, 0], ids=["resident", "carried"])
def test_a_training_on_a_device_gives_the_same_weights(
    room: float, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor stands for a device that has room for the data, or for which batches are made ahead."""
    storing, student = bench.storing(epochs=1), bench.student(ATTENTION, epochs=1)
    bench.run(storing, student)
    expected = bench.taken(storing, OUTPUTS), bench.taken(student, WEIGHTS)
    monkeypatch.setattr(resident, "room_bytes", lambda device: room)
    monkeypatch.setattr(_data, "is_apart", lambda device: True)
    bench.run(storing, student)
    assert (bench.taken(storing, OUTPUTS), bench.taken(student, WEIGHTS)) == expected


def test_a_table_is_cut_at_its_bound_and_a_sentence_says_so(bench: Bench) -> None:
    row_bytes = 2 * 4  # two classes in float32
    storing = bench.storing(epochs=1, seed=77, stored={"gibibytes": 50 * row_bytes / 2**30})
    bench.run(storing)
    folder = bench.store.folder(storing.key)
    assert np.load(folder / OUTPUTS).shape == (50, 2)
    (fact,) = json.loads((folder / RECORDS).read_text(encoding="utf-8"))
    assert f"outputs for 50 of {COUNT} views were stored" in fact["notes"][0]
    bench.store.discard(storing.key)


def test_half_precision_and_the_largest_logit_are_what_a_whole_table_says(bench: Bench) -> None:
    """Where there are two classes, the logit of all others is exactly that of the one which is not stored."""
    whole, part_ = bench.storing(epochs=1), bench.storing(epochs=1, stored={"precision": "fp16", "top_k": 1})
    bench.run(whole, part_)
    task = read_description(bench.store.folder(bench.data))
    tables = [StoredTable.open(bench.store.folder(spec.key), task) for spec in (whole, part_)]
    ((given,), (kept,)) = (table.outputs(np.arange(len(table.codes)), torch.device("cpu")) for table in tables)
    assert len(given) == COUNT
    torch.testing.assert_close(kept, given, rtol=2**-11, atol=1e-6)
    assert not torch.equal(kept, given)
    sizes = [(bench.store.folder(spec.key) / OUTPUTS).stat().st_size - 128 for spec in (whole, part_)]
    assert sizes[0] == 2 * sizes[1]
    for spec in (whole, part_):
        bench.store.discard(spec.key)

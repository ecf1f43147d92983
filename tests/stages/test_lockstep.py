"""Students in step: one pass of the teacher for all, and each gives what it gives alone, to the bit."""

import contextlib
import itertools
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kdbench import registry, testing
from kdbench.protocols import Batch
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.protocols.recipe import Recipe
from kdbench.stages import _teacher, context
from kdbench.stages._shared_passes import SharedPasses
from kdbench.stages.compress import compress
from kdbench.stages.lockstep import Lockstep, Turn, in_step
from kdbench.stages.names import CHECKPOINT
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.torch_models import WEIGHTS
from kdbench.stages.work import Work
from kdbench.stages.worker import run_stages
from kdbench.training import Training

STUDENT = PartSpec("model", "cnn", 1, {"channels": [4, 8]})
TWO_EPOCHS = Recipe(epochs=2, batch_size=256, learning_rate=0.01)
STEPS = 2 * 5
"""1,078 digits in batches of 256, twice."""
ASKING = {
    "fitnet": {"stages": "two", "hint_fraction": 0.5},
    "attention_transfer": {"soft_weight": 1.0},
    "similarity_preserving": {},
    "activation_boundary": {},
}
"""Outputs, inputs of in-place ReLUs and the teacher's logits are tapped; fitnet goes over the epochs in two goes."""
DIVERGING = ("fitnet", {"kd_weight": 1e38, "regressor": "conv"})


def student(name: str, fields: dict) -> StageSpec:
    bench = testing._bench()
    parts = {
        "task": testing.TASK,
        "model": STUDENT,
        "technique": spec_of("technique", name, registry.resolve("technique", name).from_fields(fields)),
        "recipe:train": PartSpec("recipe", "recipe", 1, TWO_EPOCHS.to_fields()),
    }
    return StageSpec("compress", 1, parts, {"data": bench.data, "teacher": bench.teacher}, seed=3)


def forget(specs: list[StageSpec]) -> None:
    for spec in specs:
        testing._bench().store.discard(spec.key)


def weights(spec: StageSpec) -> bytes:
    return (testing._bench().store.folder(spec.key) / WEIGHTS).read_bytes()


def run(*specs: StageSpec) -> list[str]:
    return [outcome.status for outcome in run_stages([s.to_json() for s in specs], str(testing._bench().store.root))]


def training_records(spec: StageSpec) -> list[dict]:
    facts = testing._bench().store.read_json(spec.key, "records.json")
    return [{k: v for k, v in fact.items() if k not in ("wall_ns", "cpu_ns")} for fact in facts]


@pytest.fixture(scope="module")
def asking() -> list[StageSpec]:
    return [student(name, fields) for name, fields in ASKING.items()]


@pytest.fixture(scope="module")
def alone(asking: list[StageSpec]) -> dict[str, tuple[bytes, list[dict]]]:
    """What each student gives by itself."""
    for spec in asking:
        assert run(spec) == ["done"]
    found = {spec.key: (weights(spec), training_records(spec)) for spec in asking}
    forget(asking)
    return found


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples went through a teacher, pass by pass."""
    counted: list[int] = []
    load = _teacher._network

    def count(forward: Callable[..., object], *inputs: torch.Tensor) -> object:
        counted.append(len(inputs[0]))
        return forward(*inputs)

    def counting(*given: object) -> nn.Module:
        network = load(*given)
        network.forward = partial(count, network.forward)  # of which a copy counts its own forward
        return network

    monkeypatch.setattr(_teacher, "_network", counting)
    return counted


def test_students_in_step_share_each_pass_and_have_the_weights_and_records_that_they_have_alone(
    asking: list[StageSpec], alone: dict[str, tuple[bytes, list[dict]]], passes: list[int]
) -> None:
    assert run(*asking) == ["done"] * len(asking)
    for spec in asking:
        assert (weights(spec), training_records(spec)) == alone[spec.key]
    forget(asking)
    assert len([count for count in passes if count > 2]) == STEPS  # the rest looks at shapes, with two examples


def test_a_student_that_fails_leaves_the_others_going(
    asking: list[StageSpec], alone: dict[str, tuple[bytes, list[dict]]]
) -> None:
    diverging = student(*DIVERGING)
    assert run(asking[1], diverging, asking[2]) == ["done", "failed", "done"]
    assert weights(asking[1]) == alone[asking[1].key][0]
    assert weights(asking[2]) == alone[asking[2].key][0]
    forget(asking)


def test_a_stopped_group_goes_on_from_each_ones_checkpoint(
    asking: list[StageSpec],
    alone: dict[str, tuple[bytes, list[dict]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def group() -> list[Work]:
        store, log = testing._bench().store, logging.getLogger("test")
        for spec in asking[1:3]:
            (tmp_path / spec.key).mkdir(exist_ok=True)
        return [Work(spec, store, tmp_path / spec.key, log) for spec in asking[1:3]]

    monkeypatch.setattr(context, "CHECKPOINT_SECONDS", 0.0)
    epoch = Training._epoch

    def stopped(training: Training) -> None:
        if training.history.epoch_count == 1:
            raise SystemExit
        epoch(training)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_epoch", stopped)
        assert all(isinstance(result, SystemExit) for _, result in in_step(group(), compress))
    for work, result in in_step(group(), compress):
        assert isinstance(result, list)
        assert (work.out / WEIGHTS).read_bytes() == alone[work.spec.key][0]
        assert not list(work.out.glob(f"{CHECKPOINT}*"))


def works(tmp_path: Path, count: int) -> list[Work]:
    store = Store(tmp_path)
    return [Work(StageSpec("compress", 1, seed=n), store, tmp_path, logging.getLogger("test")) for n in range(count)]


def draws(work: Work) -> list[dict]:
    """Draw from every random state of the process, a number a batch, and say when."""
    seed = work.spec.seed or 0
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    found = []
    for step in range(4):
        work.turn.take(object(), (0, step))
        found.append({"drawn": (random.random(), np.random.rand(), float(torch.rand(())))})
    return found


def test_each_stage_finds_the_random_states_as_it_left_them(tmp_path: Path) -> None:
    by_itself = [draws(work) for work in works(tmp_path, 3)]
    assert [result for _, result in in_step(works(tmp_path, 3), draws)] == by_itself


def test_the_one_that_is_behind_goes_first_until_all_are_at_one_batch(tmp_path: Path) -> None:
    order: list[tuple[int, int]] = []

    def go(work: Work) -> list[dict]:
        number = work.spec.seed or 0
        for step in range(2 if number == 0 else 0, 4):  # the first goes on from a checkpoint
            work.turn.take(object(), (0, step))
            order.append((number, step))
        return []

    assert [result for _, result in in_step(works(tmp_path, 2), go)] == [[], []]
    assert order == [(1, 0), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)]


def test_a_stage_without_memory_goes_again_when_the_others_have_ended(tmp_path: Path) -> None:
    ended: list[int] = []

    def go(work: Work) -> list[dict]:
        number = work.spec.seed or 0
        for step in range(3):
            work.turn.take(object(), (0, step))
            if number == 1 and step == 1 and len(ended) < 2:
                raise torch.OutOfMemoryError("out of memory")
        ended.append(number)
        return [{"of": number}]

    results = {work.spec.seed: result for work, result in in_step(works(tmp_path, 3), go)}
    assert results == {0: [{"of": 0}], 1: [{"of": 1}], 2: [{"of": 2}]}
    assert ended == [0, 2, 1]


class Room:
    """A device that has room for so many stages at once."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.inside: list[int] = []
        self.most_at_the_end: list[int] = []

    def go(self, work: Work) -> list[dict]:
        number = work.spec.seed or 0
        self.inside.append(number)
        try:
            for step in range(2):
                work.turn.take(object(), (0, step))
                if len(self.inside) > self.count:
                    raise torch.OutOfMemoryError("out of memory")
            self.most_at_the_end.append(len(self.inside))
        finally:
            self.inside.remove(number)
        return [{"of": number}]


@pytest.mark.parametrize(("count", "together"), [(3, [3, 2, 1, 2, 1]), (2, [2, 1, 2, 1, 1]), (1, [1, 1, 1, 1, 1])])
def test_what_has_no_room_in_one_group_goes_in_smaller_ones(count: int, together: list[int], tmp_path: Path) -> None:
    room = Room(count)
    results = {work.spec.seed: result for work, result in in_step(works(tmp_path, 5), room.go)}
    assert results == {number: [{"of": number}] for number in range(5)}
    assert room.most_at_the_end == together


def test_a_group_of_which_none_has_room_is_halved(tmp_path: Path) -> None:
    sizes: list[int] = []

    def go(work: Work) -> list[dict]:
        size = work.turn.lockstep.count
        work.turn.take(object(), (0, 0))
        if size > 2 or work.turn.lockstep.count > 2:
            raise torch.OutOfMemoryError("out of memory")
        sizes.append(size)
        return []

    assert [result for _, result in in_step(works(tmp_path, 4), go)] == [[]] * 4
    assert sizes == [2, 2, 2, 2]


def test_a_stage_without_memory_that_is_alone_fails(tmp_path: Path) -> None:
    def go(work: Work) -> list[dict]:
        raise MemoryError

    assert all(isinstance(result, MemoryError) for _, result in in_step(works(tmp_path, 2), go))


def test_results_that_nobody_waits_for_end_the_stages_at_their_next_batch(tmp_path: Path) -> None:
    left: list[int | None] = []

    def go(work: Work) -> list[dict]:
        try:
            for step in itertools.count() if work.spec.seed == 0 else range(3):  # the first would never end
                work.turn.take(object(), (0, step))
        finally:
            left.append(work.spec.seed)
        return []

    results = in_step(works(tmp_path, 2), go)
    assert next(results)[0].spec.seed == 1
    results.close()
    assert left == [1, 0]


def test_a_clock_counts_its_own_turns_only(tmp_path: Path) -> None:
    def go(work: Work) -> list[dict]:
        before = work.turn.clock()[0]
        for step in range(3):
            work.turn.take(object(), (0, step))
            if work.spec.seed == 0:
                torch.randn(500, 500) @ torch.randn(500, 500)
        return [{"wall_ns": work.turn.clock()[0] - before}]

    slow, quick = (result[0]["wall_ns"] for _, result in in_step(works(tmp_path, 2), go))
    assert quick < slow


class Watched(nn.Module):
    """Two layers with a ReLU in place between them, and a keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.last = nn.Linear(3, 4), nn.ReLU(inplace=True), Scaled()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.relu(self.first(x)), scale=2.0)


class Scaled(nn.Module):
    def forward(self, x: torch.Tensor, scale: float) -> torch.Tensor:
        return scale * x


@contextlib.contextmanager
def pair() -> Iterator[tuple[SharedPasses, Batch, list[tuple[Turn, Watched]]]]:
    """Two copies of a network, both at the same batch."""
    lockstep, shared, copies = Lockstep(), SharedPasses(), []
    batch = Batch((torch.randn(5, 3),), (), torch.arange(5), torch.zeros(5, dtype=torch.int64))
    for _ in range(2):
        turn = lockstep.turn()
        turn.at = (batch, (0, 0))
        copies.append((turn, shared.copy(turn, Watched)))
    yield shared, batch, copies


def hook_everything(network: Watched) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []
    network.first.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    network.relu.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    network.last.register_forward_hook(
        lambda module, inputs, named, output: seen.append(named["scale"] * inputs[0]), with_kwargs=True
    )
    return seen


def test_hooks_fire_on_a_shared_pass_as_on_a_pass_of_their_own() -> None:
    with pair() as (shared, batch, ((first, one), (second, other))):
        seen, seen_too = hook_everything(one), hook_everything(other)
        answer = shared.answer(first, one, batch)
        other.forward = None  # type: ignore[assignment]  # it must not compute
        assert torch.equal(shared.answer(second, other, batch), answer)
        assert len(seen) == len(seen_too) == 3
        assert all(map(torch.equal, seen, seen_too))
        assert bool((seen_too[0] < 0).any()), "as it was before the ReLU worked in place"


def test_weights_are_shared_and_answers_are_not() -> None:
    with pair() as (shared, batch, ((first, one), (second, other))):
        assert one.first.weight.data_ptr() == other.first.weight.data_ptr()
        assert not one.first.weight.requires_grad
        answer = shared.answer(first, one, batch)
        expected = answer.clone()
        answer.zero_()
        assert torch.equal(shared.answer(second, other, batch), expected)


def test_a_batch_that_was_changed_and_a_hook_that_changes_the_pass_get_passes_of_their_own() -> None:
    with pair() as (shared, batch, ((first, one), (second, other))):
        answer = shared.answer(first, one, batch)
        turned = batch.part(slice(None, None, 1))
        assert torch.equal(shared.answer(second, other, turned), answer)
        other.first.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        assert not shared.answer(second, other, batch).any()


@pytest.mark.parametrize(
    "change",
    [
        lambda network: network.first.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output)),
        lambda network: network.last.register_forward_pre_hook(lambda module, inputs: (0 * inputs[0],)),
    ],
    ids=["output", "inputs"],
)
def test_a_pass_that_a_students_own_hook_changed_is_nobody_elses(change: Callable[[Watched], object]) -> None:
    heard: list[torch.Tensor] = []
    with pair() as (shared, batch, ((first, one), (second, other))):
        shared.listen(second, lambda batch, place, answer: heard.append(answer))
        change(one)
        assert torch.equal(shared.answer(first, one, batch), one(*batch.inputs))
        assert not heard
        assert torch.equal(shared.answer(second, other, batch), other(*batch.inputs))
        assert len(heard) == 1


def dtypes(monkeypatch: pytest.MonkeyPatch, precision: str) -> set[torch.dtype]:
    """In what a teacher's features come while a student is trained in a precision."""
    seen: set[torch.dtype] = set()
    answer = SharedPasses.answer

    def watching(shared: SharedPasses, turn: Turn, network: nn.Module, batch: Batch) -> object:
        hook = network.layer1.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
        given = answer(shared, turn, network, batch)
        hook.remove()
        return given

    monkeypatch.setattr(SharedPasses, "answer", watching)
    spec = student("similarity_preserving", {})
    recipe = PartSpec("recipe", "recipe", 1, {**TWO_EPOCHS.to_fields(), "epochs": 1, "precision": precision})
    spec = replace(spec, parts={**spec.parts, "recipe:train": recipe})
    assert run(spec) == ["done"]
    forget([spec])
    return seen


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_teacher_computes_in_the_precision_of_the_training(
    precision: str, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dtypes(monkeypatch, precision) == {expected}

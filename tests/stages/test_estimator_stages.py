"""Students that are no networks in their stages: what they are shown and taught, what is kept, what is in the file."""

import json
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from kdbench import testing
from kdbench.errors import ExportError
from kdbench.models import estimators
from kdbench.protocols import Batch, Input, Technique
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe
from kdbench.stages import _estimators
from kdbench.stages._data import TaskData
from kdbench.stages._estimator_file import difference
from kdbench.stages.context import StageContext
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.work import Work
from kdbench.stages.worker import run_stages
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.digits import Digits
from kdbench.techniques.outputs.decoupled_distillation import DecoupledDistillation
from kdbench.techniques.outputs.hard_distillation import HardDistillation
from kdbench.techniques.outputs.logit_matching import LogitMatching
from kdbench.techniques.outputs.mixed_distillation import MixedDistillation
from kdbench.techniques.outputs.soft_distillation import SoftDistillation
from kdbench.techniques.pruning.structured_pruning import StructuredPruning

pytest.importorskip("skl2onnx")

CPU = torch.device("cpu")
TREE = PartSpec("model", "decision_tree", 1, {"max_depth": 6, "copies": 1})


@pytest.fixture
def ctx(tmp_path: Path) -> StageContext:
    bench = testing._bench()
    inputs = {"data": bench.data, "teacher": bench.teacher}
    spec = StageSpec("compress", 1, {"task": testing.TASK}, inputs, seed=0)
    return StageContext(Work(spec, bench.store, tmp_path, logging.getLogger("test")))


def _data(ctx: StageContext, task: Digits | None = None) -> TaskData:
    folder = testing._bench().store.folder(testing._bench().data)
    return TaskData(task or Digits(), ctx.task, ArrayData.open(folder, ctx.task))


class Turned(Digits):
    """Digits with a second view of each, upside down."""

    def views(self) -> int:
        return 2

    def augmented(self, inputs: tuple[torch.Tensor, ...], views: torch.Tensor) -> tuple[torch.Tensor, ...]:
        turned = views.bool()[:, None, None, None]
        return tuple(torch.where(turned, tensor.flip(2), tensor) for tensor in inputs)


def _shown(data: TaskData, model: estimators.Estimator, seed: int = 0) -> Batch:
    batches = list(_estimators.shown(data, model, seed, CPU))
    return Batch(
        (torch.cat([batch.inputs[0] for batch in batches]),),
        (torch.cat([batch.targets[0] for batch in batches]),),
        *(torch.cat([getattr(batch, name) for batch in batches]) for name in ("index", "view")),
    )


def test_the_training_split_comes_first_then_noisy_copies_under_negative_places(ctx: StageContext) -> None:
    seen = _shown(_data(ctx), estimators.DecisionTree(copies=2, noise=0.5))
    count = ctx.task.example_counts["train"]
    assert len(seen) == 3 * count
    originals = torch.cat([batch.inputs[0] for batch in ctx.train])
    assert sorted(seen.index[:count].tolist()) == list(range(count))
    assert torch.equal(seen.inputs[0][:count], originals[seen.index[:count]])
    for copy in (1, 2):
        own = slice(copy * count, (copy + 1) * count)
        places = -1 - seen.index[own]
        assert sorted(places.tolist()) == list(range(count))
        noise = seen.inputs[0][own] - originals[places]
        assert float(noise.std()) == pytest.approx(0.5, abs=0.01)
        assert torch.equal(seen.targets[0][own], seen.targets[0][:count][seen.index[:count].argsort()][places])


def test_where_the_task_augments_copies_are_its_views_without_noise(ctx: StageContext) -> None:
    seen = _shown(_data(ctx, Turned()), estimators.DecisionTree(copies=1))
    count = ctx.task.example_counts["train"]
    assert set(seen.view[:count].tolist()) == {0}
    assert set(seen.view[count:].tolist()) == {0, 1}
    originals = torch.cat([batch.inputs[0] for batch in ctx.train])[seen.index[count:]]
    turned = seen.view[count:].bool()
    assert torch.equal(seen.inputs[0][count:][turned], originals[turned].flip(2))
    assert torch.equal(seen.inputs[0][count:][~turned], originals[~turned])


def test_noise_and_order_are_those_of_the_seed(ctx: StageContext) -> None:
    first, again, other = (_shown(_data(ctx), estimators.Linear(copies=1), seed) for seed in (0, 0, 1))
    assert torch.equal(first.inputs[0], again.inputs[0])
    assert not torch.equal(first.inputs[0], other.inputs[0])


def test_targets_are_decisions_softened_outputs_logits_and_means_with_the_labels(ctx: StageContext) -> None:
    batch = next(iter(ctx.train))
    (logits,) = ctx.teacher(batch)
    labels = torch.eye(10)[batch.targets[0]]
    assert torch.equal(HardDistillation().targets(batch, ctx), logits.argmax(1))
    softened = SoftDistillation(temperature=2.0).targets(batch, ctx)
    assert torch.allclose(softened, torch.exp(logits / 2) / torch.exp(logits / 2).sum(1, keepdim=True), atol=1e-6)
    mixed = MixedDistillation(temperature=2.0, kd_weight=3.0, ce_weight=1.0).targets(batch, ctx)
    assert torch.allclose(mixed, 0.75 * softened + 0.25 * labels, atol=1e-6)
    deit = HardDistillation(kd_weight=0.5, ce_weight=0.5).targets(batch, ctx)
    assert torch.allclose(deit, (torch.eye(10)[logits.argmax(1)] + labels) / 2, atol=1e-6)
    assert torch.equal(LogitMatching().targets(batch, ctx), logits)


def test_without_weight_the_teacher_is_not_asked_and_the_control_deals_out_a_neighbours_answer(
    ctx: StageContext,
) -> None:
    batch = next(iter(ctx.train))
    alone = SoftDistillation(kd_weight=0.0, ce_weight=1.0).targets(batch, ctx)
    assert torch.equal(alone, batch.targets[0])
    assert ctx.forward_count == 0
    shuffled = HardDistillation(shuffled=True).targets(batch, ctx)
    assert torch.equal(shuffled, HardDistillation().targets(batch, ctx).roll(1))


@pytest.mark.parametrize(
    ("technique", "reason"),
    [
        (StructuredPruning(channel_fraction=0.5), "works on the weights of networks"),
        (DecoupledDistillation(), "works on the weights of networks"),
        (SoftDistillation(samples="confident"), "'samples' and 'unlabelled' are for networks"),
        (LogitMatching(ce_weight=1.0), "logits and labels have no mean"),
    ],
)
def test_a_technique_without_targets_says_why(technique: Technique, reason: str) -> None:
    assert reason in (technique.no_targets() or "")
    assert HardDistillation().no_targets() is None


def _run(store: Store, spec: StageSpec) -> str:
    (outcome,) = run_stages([spec.to_json()], str(store.root))
    assert outcome.status == "done", outcome.reason
    return spec.key


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str, str, str]:
    """A store; keys of the stages: fitted to labels, fitted to decisions, and the export of the last."""
    store = Store(tmp_path_factory.mktemp("store"))
    data = _run(store, StageSpec("decode", 1, {"task": testing.TASK}))
    recipe = testing._recipe(testing.SHORTER)
    parts = {"task": testing.TASK, "recipe:train": recipe}
    teacher = _run(store, StageSpec("train", 1, {**parts, "model": testing.STUDENT}, {"data": data}, 0))
    outputs = _run(store, StageSpec("teach", 1, {"task": testing.TASK}, {"data": data, "teacher": teacher},
                                    numerics={"device": "cpu"}))  # fmt: skip
    labels = _run(store, StageSpec("train", 1, {**parts, "model": TREE}, {"data": data}, 0))
    technique = PartSpec("technique", "hard_distillation", 1, {})
    inputs = {"data": data, "teacher": teacher, "outputs": outputs}
    hard = _run(store, StageSpec("compress", 1, {**parts, "model": TREE, "technique": technique}, inputs, 0))
    given = {"data": data, "model": hard}
    exported = _run(store, StageSpec("export", 1, {"task": testing.TASK}, given, settings={"opset": 20}))
    return store, labels, hard, exported


def test_the_teacher_answers_for_the_copies_live_and_for_the_images_from_its_store(
    taught: tuple[Store, str, str, str],
) -> None:
    store, labels, hard, _ = taught
    compression, training = store.read_json(hard, "records.json")
    assert (compression["kind"], training["kind"]) == ("compression", "training")
    assert training["teacher_forward_count"] == 1078
    assert training["epoch_count"] == 2
    (alone,) = store.read_json(labels, "records.json")
    assert alone["teacher_forward_count"] == 0
    assert "terms_by_epoch" not in alone


def test_an_estimator_is_kept_beside_its_declaration(taught: tuple[Store, str, str, str]) -> None:
    store, _, hard, _ = taught
    folder = store.folder(hard)
    assert json.loads((folder / "model.json").read_text())["name"] == "decision_tree"
    assert _estimators.is_fitted(folder)
    assert _estimators.load(folder).scores(np.zeros((3, 64), np.float32)).shape == (3, 10)


def test_the_export_is_one_checked_file_with_its_counts(taught: tuple[Store, str, str, str]) -> None:
    store, _, hard, exported = taught
    folder = store.folder(exported)
    model = onnx.load(folder / "model.onnx")
    (given,), (answer,) = model.graph.input, model.graph.output
    assert (given.name, answer.name) == ("image", "logits")
    assert [axis.dim_param or axis.dim_value for axis in given.type.tensor_type.shape.dim] == ["batch", 1, 8, 8]
    facts = json.loads((folder / "export.json").read_text())
    numbers = _estimators.load(store.folder(hard)).numbers()
    assert facts["parameter_count"] == sum(array.size for array in numbers)
    assert "mac_count" not in facts
    assert facts["mac_rule"] == "none to count: trees compare and add"
    assert np.load(folder / "test_outputs0.npy").shape[1] == 10


def test_a_few_examples_may_tip_and_more_are_an_error() -> None:
    expected = np.tile(np.float32([[0.8, 0.2]]), (100, 1))
    tipped = expected.copy()
    tipped[:5] = [0.6, 0.4]
    assert difference(tipped, expected) == 0.0
    tipped[5] = [0.6, 0.4]
    with pytest.raises(
        ExportError, match=r"of 100 examples the file scores 6 otherwise than the estimator, by up to 0\.2"
    ):
        difference(tipped, expected)
    decided = expected.copy()
    decided[:2] = [0.2, 0.8]
    with pytest.raises(ExportError, match="and decides 2 otherwise"):
        difference(decided, expected)


def test_noise_is_measured_in_an_inputs_spread_and_leaves_ids_alone() -> None:
    described = (
        Input(name="numbers", axes=(2,), spread=(1.0, 100.0)),
        Input(name="categories", axes=(1,), dtype="int64", values=3),
    )
    inputs = (torch.zeros(10_000, 2), torch.ones(10_000, 1, dtype=torch.int64))
    rows = torch.arange(10_000)
    batch = Batch(inputs, (rows,), rows, torch.zeros_like(rows))
    noisy = batch.noisy(described, 0.3, torch.Generator().manual_seed(0))
    numbers, categories = noisy.inputs
    assert numbers.std(0).tolist() == pytest.approx([0.3, 30], rel=0.03)
    assert torch.equal(categories, inputs[1])


@pytest.mark.parametrize(
    "name", ["decision_tree", "random_forest", "gradient_boosting", "linear", "nearest_neighbours"]
)
def test_an_estimator_learns_values_of_a_table_and_its_file_gives_them(name: str, tmp_path: Path) -> None:
    store, task = Store(tmp_path), PartSpec("task", "sklearn_table", 1, {"name": "diabetes"})
    data = _run(store, StageSpec("decode", 1, {"task": task}))
    model = PartSpec("model", name, 1, {"copies": 0})
    parts = {"task": task, "model": model, "recipe:train": testing._recipe(Recipe(epochs=1))}
    fitted = _run(store, StageSpec("train", 1, parts, {"data": data}, 0))
    exported = _run(
        store, StageSpec("export", 1, {"task": task}, {"data": data, "model": fitted}, settings={"opset": 20})
    )
    answers = np.load(store.folder(exported) / "test_outputs0.npy")
    targets = np.load(store.folder(data) / "test_targets0.npy")
    assert answers.shape == targets.shape
    # Pearson's correlation with the disease's progression; a fully grown tree knows little of other rows
    assert np.corrcoef(answers[:, 0], targets[:, 0])[0, 1] > (0.2 if name == "decision_tree" else 0.5)
    graph = onnx.load(store.folder(exported) / "model.onnx").graph
    assert [value.name for value in graph.output] == ["values"]


def test_a_support_vector_machine_refuses_values(tmp_path: Path) -> None:
    store, task = Store(tmp_path), PartSpec("task", "sklearn_table", 1, {"name": "diabetes"})
    data = _run(store, StageSpec("decode", 1, {"task": task}))
    parts = {"task": task, "model": PartSpec("model", "svm", 1, {}), "recipe:train": testing._recipe(Recipe(epochs=1))}
    (outcome,) = run_stages([StageSpec("train", 1, parts, {"data": data}, 0).to_json()], str(store.root))
    assert "svm tells classes apart, and this task's output is values" in outcome.reason

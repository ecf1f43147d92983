"""What every technique, model, task, metric, executor and runtime must hold to: call these in your own tests, too.

Each `check_*` takes a part with its fields set and raises AssertionError with a sentence on the first promise broken.
The bench is small and real: handwritten digits, two CNN teachers and a smaller CNN student, an epoch each; of values,
Friedman's function and three networks of one hidden layer; for what works inside transformers, generated sentences and
three encoders.
"""

import logging
import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kdbench import registry
from kdbench.errors import ModelError
from kdbench.measure.decisions import agreement, decide
from kdbench.measure.runtimes.contract import Feed
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import Batch, Destination, Metric, Outputs, Technique
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe
from kdbench.stages import compress, torch_models
from kdbench.stages.context import StageContext
from kdbench.stages.export import is_rounded, parity, write_file
from kdbench.stages.names import ONNX_FILE
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.work import Work, read_description
from kdbench.stages.worker import run_stages
from kdbench.tasks.arrays import ArrayData, gathered, model_inputs
from kdbench.techniques.surgery_check import answers, difference
from kdbench.testing.executors import check_executor as check_executor
from kdbench.testing.metrics import check_values
from kdbench.testing.models import check_model as check_model
from kdbench.testing.parts import check_part as check_part
from kdbench.testing.runtimes import check_runtime as check_runtime
from kdbench.testing.tasks import check_task as check_task

OPSET = 20
TASK = PartSpec("task", "digits", 1, {})
STUDENT = PartSpec("model", "cnn", 1, {"channels": [16, 32]})
TEACHER = PartSpec("model", "cnn", 1, {"channels": [16, 64]})
"""As wide as the student in its first stage, so that weights can be carried over, and wider in its second."""


@dataclass(frozen=True)
class Parts:
    """What a bench is made of."""

    task: PartSpec
    student: PartSpec
    teacher: PartSpec


BENCHES = {
    "classes": Parts(TASK, STUDENT, TEACHER),
    "values": Parts(
        PartSpec("task", "friedman1", 1, {"train_count": 300, "validation_count": 50, "test_count": 100}),
        PartSpec("model", "table_mlp", 1, {"hidden": [16]}),
        PartSpec("model", "table_mlp", 1, {"hidden": [32]}),
    ),
}
"""The benches by the kind of their output."""
TRANSFORMERS = "transformers"
OF_TRANSFORMERS = Parts(
    PartSpec("task", "sentences", 1, {"train_count": 160, "validation_count": 32, "test_count": 96, "vocabulary": 400}),
    PartSpec("model", "encoder", 1, {"width": 16, "depth": 2, "heads": 4}),
    PartSpec("model", "encoder", 1, {"width": 16, "depth": 4, "heads": 4}),
)
"""The bench of techniques that work inside transformers; its outputs are classes."""
LONGEST, LONGER, SHORTER = Recipe(epochs=6), Recipe(epochs=3), Recipe(epochs=1)
"""A network with depthwise convolutions needs the first before its answers are sure enough to survive 8 bits."""


def check_metric(metric: Metric) -> None:
    """A metric has a value in its range whatever the order of examples, and pseudo-values whose mean it is.

    So for every kind of output that it judges. Where it has pseudo-values of its own, their spread is that of the
    jackknife with one example left out, to a tenth.
    """
    check_part(metric)
    check_values(metric)


def check_technique(technique: Technique, kinds: Collection[str] | None = None) -> None:
    """The whole contract of a technique, on the bench. Takes a few seconds a kind of output.

    kinds: those of `BENCHES` to try; by default the first of them that the technique declares. Raises ValueError where
    there is a bench of none.
    """
    check_part(technique)
    if technique.form == "artefact":  # there is nothing to apply: `check_runtime` tries conversions
        assert technique.runtime in registry.names("runtime"), f"there is no runtime '{technique.runtime}'."
        assert not technique.roles, f"{type(technique).__name__} trains nothing, and declares recipes."
        return
    tried = kinds if kinds is not None else [kind for kind in BENCHES if kind in technique.kinds][:1]
    if not tried or not set(tried) <= BENCHES.keys():
        raise ValueError(f"there is a bench for {', '.join(BENCHES)}, and none for what was asked.")
    name = type(technique).__name__
    settled = technique.settle(Destination("cpu", "x86_64"))
    assert type(settled) is type(technique), f"{name}.settle() gives a {type(settled).__name__}."
    for kind in tried:
        assert technique.kind_problem(kind) is None, f"{name} refuses {kind}: {technique.kind_problem(kind)}"
        bench = TRANSFORMERS if technique.works_on != "anything" and kind == "classes" else kind
        first, again, other = (_apply(settled, seed, bench) for seed in (0, 0, 1))
        assert first == again, f"{name} gives different results for the same seed."
        assert first != other, f"{name} gives the same result for different seeds."


def check_network(technique: PartSpec, student: PartSpec) -> str | None:
    """Let a technique work on another network, trained on the bench; the sentence with which it is refused, or None.

    A file that it makes agrees with the file it was made from. A network whose structure it changes is exported, and
    the export refuses a file that disagrees with its network.
    """
    bench = _bench()
    trained = _train(bench.store, bench.data, student, 0, LONGEST)
    declared: Technique = technique.build()
    on_file = declared.form == "onnx"
    given = _export(bench.store, bench.data, trained) if on_file else trained
    settled = replace(technique, fields=declared.settle(Destination("cpu", "x86_64")).to_fields())
    parts = {"task": TASK, "technique": settled, **_recipes(declared)}
    inputs = {"data": bench.data, "teacher": bench.teacher, "model": given}
    try:
        made = _run(bench.store, StageSpec("compress", 1, parts, inputs, 0))
        if not on_file and torch_models.restores(declared):
            _export(bench.store, bench.data, made)
    except AssertionError as refusal:
        if re.match(r"\w+(Error|Exception|Warning)\b", str(refusal)):
            raise
        return str(refusal)
    if on_file:
        before, after = (bench.store.folder(key) / ONNX_FILE for key in (given, made))
        _check_agreement(technique.name, before, after, bench.examples())
    return None


@dataclass
class _Bench:
    """A store with decoded data, two teachers, and a student for each seed."""

    parts: Parts
    folder: tempfile.TemporaryDirectory[str]
    store: Store
    data: str
    teacher: str
    second_teacher: str
    students: dict[int, str]

    def exported(self, seed: int) -> str:
        """The stage with the file of this seed's student; exported when first asked for."""
        return _export(self.store, self.data, self.students[seed], self.parts.task)

    def examples(self) -> Feed:
        """Test examples as files take them."""
        task = read_description(self.store.folder(self.data))
        arrays = ArrayData.open(self.store.folder(self.data), task)
        return model_inputs(task, *gathered(arrays, "test", np.arange(arrays.count("test"))))


def _apply(technique: Technique, seed: int, name: str) -> bytes:
    """Let a technique work on this seed's student, check what it leaves behind; the resulting model as bytes."""
    bench = _bench(name)
    model = bench.exported(seed) if technique.form == "onnx" else bench.students[seed]
    inputs = {"data": bench.data, "model": model, "teacher": bench.teacher, "teacher:1": bench.second_teacher}
    spec = StageSpec("compress", 1, {"task": bench.parts.task, **_recipes(technique)}, inputs, seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Work(spec, bench.store, Path(folder), logging.getLogger("kdbench.testing"))
        apply = _apply_to_file if technique.form == "onnx" else _apply_to_network
        return apply(technique, work, bench)


class _Declared(StageContext):
    """A context that gives of the teachers only what the technique says that it needs, as a run does."""

    def __init__(self, work: Work, technique: Technique) -> None:
        super().__init__(work)
        self._name, self._asks = type(technique).__name__, technique.asks()

    def teacher(self, batch: Batch, number: int = 0) -> Outputs:
        asked = self._asks & {"teacher", "teacher_features"}
        assert asked, f"{self._name} asks for a teacher's outputs, but its `needs` do not name 'teacher'."
        return super().teacher(batch, number)

    @property
    def teacher_module(self) -> nn.Module:
        asked = "teacher_features" in self._asks
        assert asked, f"{self._name} asks for the teacher's network, but its `needs` do not name 'teacher_features'."
        return super().teacher_module


def _apply_to_network(technique: Technique, work: Work, bench: _Bench) -> bytes:
    name = type(technique).__name__
    ctx = _Declared(work, technique)
    teacher = StageContext.teacher_module.__get__(ctx)
    before = _tensors(teacher)
    if technique.start == "fresh":
        model = torch_models.fresh(bench.parts.student, ctx.task, ctx.seed)
    else:
        model = torch_models.load(work.input("model"), ctx.task, torch.device("cpu"))
    _check_problem(name, technique.problem(model, ctx))
    compress.reseed(ctx.seed)
    result: nn.Module = technique.apply(model, ctx)
    assert isinstance(result, nn.Module), f"{name}.apply() gives {type(result).__name__}, not the network."
    assert _tensors(teacher) == before, f"{name} changes the teacher."
    assert not teacher.training, f"{name} leaves the teacher in training mode."
    for whose, network in (("student", result), ("teacher", teacher)):
        for module in network.modules():
            hooks = [*module._forward_hooks, *module._forward_pre_hooks, *module._backward_hooks]
            assert not hooks, f"{name} leaves a hook on the {whose}."
    changed_by = [technique] if torch_models.restores(technique) else []
    _check_restored(name, result.eval(), changed_by, ctx, bench.parts.student)
    if changed_by and ctx.seed == 0:  # a network as it was declared exports as it did before
        path = work.out / ONNX_FILE
        write_file(result, changed_by, ctx.example, ctx.task, path, OPSET)
        parity(result, path, ctx.task, next(iter(ctx.train)).inputs, rounded=is_rounded(changed_by))
    return b"".join(_tensors(result).values())


def _check_restored(
    name: str, result: nn.Module, changed_by: list[Technique], ctx: StageContext, student: PartSpec
) -> None:
    """What the technique gave can be built again from its declaration, the technique and its tensors."""
    try:
        again = torch_models.rebuilt(student, changed_by, result.state_dict(), ctx.task).eval()
    except ModelError as error:
        raise AssertionError(f"{name} gives a network that cannot be built again: {error}") from None
    apart = difference(answers(result, ctx.example), answers(again, ctx.example))
    assert not apart, f"{name} gives a network that answers otherwise when it is built again."


def _apply_to_file(technique: Technique, work: Work, bench: _Bench) -> bytes:
    name = type(technique).__name__
    ctx = StageContext(work)
    source = work.input("model") / ONNX_FILE
    before = source.read_bytes()
    _check_problem(name, technique.problem(source, ctx))
    compress.reseed(ctx.seed)
    result = Path(technique.apply(source, ctx))
    assert source.read_bytes() == before, f"{name} changes the file it was given."
    _check_agreement(name, source, result, bench.examples(), of_values=bench.parts is BENCHES["values"])
    return result.read_bytes()


def _check_agreement(name: str, source: Path, result: Path, examples: Feed, of_values: bool = False) -> None:
    """The same class for most examples; values that go with the source's."""
    answers = [OnnxruntimeSession(str(path), SessionSpec()).run_checked(examples)[0] for path in (source, result)]
    kind = "values" if of_values else "classes"
    agreed = agreement(kind, *(decide(kind, one) for one in answers))
    assert agreed > 0.8, f"{name}'s file agrees with its source on {agreed:.0%} of the examples only."


def _check_problem(name: str, problem: str | None) -> None:
    sentence = problem is None or (problem.strip() == problem and problem.endswith("."))
    assert sentence, f"{name}.problem() gives {problem!r}; a sentence or None was expected."
    assert problem is None, f"{name} refuses the bench: {problem}"


def _tensors(module: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


@cache
def _bench(name: str = "classes") -> _Bench:
    """Made once a process, removed when it ends."""
    folder, parts = tempfile.TemporaryDirectory(), {**BENCHES, TRANSFORMERS: OF_TRANSFORMERS}[name]
    store = Store(Path(folder.name))
    data = _run(store, StageSpec("decode", 1, {"task": parts.task}))
    first, second = (_train(store, data, parts.teacher, seed, task=parts.task) for seed in (0, 1))
    students = {seed: _train(store, data, parts.student, seed, task=parts.task) for seed in (0, 1)}
    return _Bench(parts, folder, store, data, first, second, students)


def _export(store: Store, data: str, model: str, task: PartSpec = TASK) -> str:
    inputs = {"data": data, "model": model}
    return _run(store, StageSpec("export", 1, {"task": task}, inputs, settings={"opset": OPSET}))


def _train(store: Store, data: str, model: PartSpec, seed: int, recipe: Recipe = LONGER, task: PartSpec = TASK) -> str:
    parts = {"task": task, "model": model, "recipe:train": _recipe(recipe)}
    return _run(store, StageSpec("train", 1, parts, {"data": data}, seed))


def _recipes(technique: Technique) -> dict[str, PartSpec]:
    """A short recipe for everything that a technique trains under."""
    return {f"recipe:{role}": _recipe(SHORTER) for role in technique.trains_under()}


def _recipe(recipe: Recipe) -> PartSpec:
    return PartSpec("recipe", "recipe", Recipe.version, recipe.to_fields())


def _run(store: Store, spec: StageSpec) -> str:
    (outcome,) = run_stages([spec.to_json()], str(store.root))
    if outcome.status == "failed":
        raise AssertionError(outcome.reason)
    return spec.key

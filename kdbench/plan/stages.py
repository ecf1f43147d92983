"""The stages of a plan by key: equal work is added once, whoever asks for it. Says what the keys depend on."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kdbench import registry, stages
from kdbench.errors import KdbenchError, Place
from kdbench.protocols import Model, Task, Technique
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.protocols.recipe import Recipe, Regularizer
from kdbench.stages.spec import StageSpec
from kdbench.suite.cases import Step, StudentChoice, Suite
from kdbench.suite.losses import metric_lists
from kdbench.suite.targets import Target, targets_of
from kdbench.timing.machine import Machine
from kdbench.user_files import UserCode, UserFile


class Stages:
    """Every stage that a suite needs on a machine, each after its inputs. `data` is the key of the decoded task."""

    def __init__(self, suite: Suite, machine: Machine) -> None:
        """Raises SuiteError where the task's data is not there."""
        self.suite = suite
        self.machine = machine
        targets = targets_of(suite.measure)
        self.first_target = next((target for target in targets if target.from_onnx), targets[0])
        self.by_key: dict[str, StageSpec] = {}
        self.packages = {name: package_version(name) for name in ("torch", "onnx", "onnxscript")}
        self._located: dict[str, PartSpec] = {}
        self._codes: dict[tuple[UserFile, ...], UserCode] = {}
        self._recipes: dict[tuple[str, Regularizer | None], PartSpec] = {}
        self._trained: dict[tuple[str, str, Regularizer | None, int, str], str] = {}
        try:
            self.task = suite.task.located()
        except KdbenchError as error:
            place: Place = ("split_by",) if suite.group else ("task", suite.task.name)
            raise suite.fail(place, str(error)) from None
        declared: Task = self.task.build()
        self.view_count = declared.views()
        self.takes_pictures = declared.image_form() is not None
        lists = list(metric_lists(suite.task.fields))
        self.own_metrics = self._own_metrics(name for names in lists for name in names)
        """The metrics that the task names by a file of the suite's, each under that name: their code travels along."""
        self._decisive = self._own_metrics(names[0] for names in lists)
        self.data = self.add("decode", parts={"task": self.task})
        self.everybody = (self.task, self.data)
        """The task and the key of its data that teachers are trained on."""
        if suite.everybody is not None:
            everybody = suite.everybody.located()
            self.everybody = (everybody, self.add("decode", parts={"task": everybody}))

    def _own_metrics(self, names: Iterable[str]) -> dict[str, PartSpec]:
        """Those of the names that are a file's."""
        folder, own = self.suite.folder, dict.fromkeys(filter(registry.is_file, names))
        made = {name: registry.resolve("metric", name, folder)() for name in own}
        return {name: spec_of("metric", name, metric, folder).located() for name, metric in made.items()}

    def add(self, kind: str, **fields: Any) -> str:
        """Add the stage of this kind with these fields of a StageSpec; its key."""
        number = stages.VERSIONS[kind]
        if kind in ("train", "compress"):
            number = number * 1000 + stages.LOOP_VERSION
            if any(role.startswith("recipe:") for role in fields["parts"]):  # validation is judged in training
                fields["parts"] = {**fields["parts"], **self._decisive}
        return self.keep(StageSpec(kind, number, **fields))

    def keep(self, spec: StageSpec) -> str:
        """Add a stage as it is; its key."""
        self.by_key.setdefault(spec.key, spec)
        return spec.key

    def train(
        self, choice: StudentChoice, seed: int, regularizer: Regularizer | None = None, teaches: bool = False
    ) -> str:
        """The training of a fresh network on labels; its key. One that teaches is trained on everybody's."""
        assert choice.model is not None
        task, data = self.everybody if teaches else (self.task, self.data)
        asked = (repr(choice.model), choice.recipe, regularizer, seed, data)
        if asked not in self._trained:
            parts = {
                "task": task,
                "model": self.located(choice.model),
                "recipe:train": self.recipe(choice.recipe, regularizer),
            }
            inputs, numerics = {"data": data}, self.torch(choice.model.build())
            self._trained[asked] = self.add("train", parts=parts, inputs=inputs, seed=seed, numerics=numerics)
        return self._trained[asked]

    def recipe(self, name: str, regularizer: Regularizer | None) -> PartSpec:
        """A recipe of the suite, with the case's regularizer in it. Equal recipes under two names are one."""
        found = self._recipes.get((name, regularizer))
        if found is None:
            recipe = self.suite.recipes[name]
            if regularizer is not None:
                recipe = recipe.model_copy(update={"regularizer": regularizer})
            found = PartSpec("recipe", "recipe", Recipe.version, recipe.to_fields())
            self._recipes[name, regularizer] = found
        return found

    def located(self, part: PartSpec) -> PartSpec:
        """A part keyed by the content of the files that its fields name; each part's files are read once."""
        written = repr(part)
        if written not in self._located:
            self._located[written] = part.located(self._codes)
        return self._located[written]

    def technique(self, step: Step, target: Target) -> PartSpec:
        """A step's technique, its `auto` fields settled for a target; a network is trained for the first, once."""
        settled = step.technique.settle(target.destination(self.machine.at(target.entry.node).architecture))
        try:
            return self.located(replace(step.spec, fields=settled.to_fields()))
        except KdbenchError as error:
            raise self.suite.fail(step.place, str(error)) from None

    def torch(self, *using: Technique | Model) -> dict[str, Any]:
        """The numerics of a stage that runs torch on the training device with these parts."""
        return {"torch": self.packages["torch"], "device": self.machine.device, **packages_of(*using)}


def packages_of(*using: Technique | Model) -> dict[str, str]:
    """Distribution -> installed version, for those whose version changes what these parts do."""
    return {name: package_version(name) for part in using for name in sorted(part.packages)}


@cache
def package_version(package: str) -> str:
    """The installed version of a distribution, or `absent`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"

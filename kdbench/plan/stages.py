"""The stages behind a plan's rows, from the data down to a file; equal work is added once, whoever asks for it."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kdbench import stages
from kdbench.errors import KdbenchError
from kdbench.files import sha256_of
from kdbench.protocols import Model, Task, Technique
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe, Regularizer
from kdbench.stages.names import numbered
from kdbench.stages.spec import StageSpec
from kdbench.suite.cases import Case, Step, StudentChoice, Suite, TeacherChoice
from kdbench.suite.targets import Target, targets_of
from kdbench.tasks.image_listing import digest, loose_images
from kdbench.timing.machine import Machine

OPSET = 20
"""The exporter's own default in the torch releases that are supported; earlier ones are raised to 18 silently."""


class Staging:
    """Every stage that a suite needs on a machine, by key, each after its inputs. Public methods give keys."""

    def __init__(self, suite: Suite, machine: Machine) -> None:
        """Raises SuiteError where the task's data is not there."""
        self.suite = suite
        self.machine = machine
        targets = targets_of(suite.measure)
        self.first_target = next((target for target in targets if not target.is_reference), targets[0])
        self.stages: dict[str, StageSpec] = {}
        self.located: dict[str, PartSpec] = {}
        self.packages = {name: _version(name) for name in ("torch", "onnx", "onnxscript")}
        try:
            self.task = suite.task.located()
        except KdbenchError as error:
            raise suite.fail(("task", suite.task.name), str(error)) from None
        declared: Task = self.task.build()
        self.view_count = declared.views()
        self.takes_pictures = declared.image_form() is not None
        self.data = self.add("decode", parts={"task": self.task})

    def add(self, kind: str, **fields: Any) -> str:
        """A stage of a kind; the key."""
        number = stages.VERSIONS[kind]
        if kind in ("train", "compress"):
            number = number * 1000 + stages.LOOP_VERSION
        return self.keep(StageSpec(kind, number, **fields))

    def keep(self, spec: StageSpec) -> str:
        """Add a stage as it is; its key."""
        self.stages.setdefault(spec.key, spec)
        return spec.key

    def files(self, case: Case, seed: int, target: Target) -> list[str]:
        """The file of a case's trained model as it is exported, and what each step on files makes of it, in order.

        For a reference target the second is the same network as torch runs it.
        """
        model = self.trained(case, seed)[-1]
        files = [self.export(model)]
        if target.is_reference:
            return [*files, self._trace(model)]
        for step in case.steps:
            if step.technique.form == "onnx":
                files.append(self._compress_file(step, files[-1], seed, target))
        return files

    def trained(self, case: Case, seed: int) -> list[str]:
        """Keys of the stages that make a case's torch model, in order."""
        steps = [step for step in case.steps if step.technique.form == "torch"]
        starts_trained = not steps or steps[0].technique.start == "trained"
        keys = [self._train(case.student, seed, case.regularizer)] if starts_trained else []
        for step in steps:
            keys.append(self._compress(step, case, keys[-1] if keys else None, seed))
        return keys

    def _train(self, choice: StudentChoice, seed: int, regularizer: Regularizer | None = None) -> str:
        parts = {
            "task": self.task,
            "model": self._located(choice.model),
            "recipe:train": self._recipe(choice.recipe, regularizer),
        }
        return self.add(
            "train", parts=parts, inputs={"data": self.data}, seed=seed, numerics=self._torch(choice.model.build())
        )

    def _recipe(self, name: str, regularizer: Regularizer | None = None) -> PartSpec:
        # a recipe's name is the suite's affair: equal recipes under two names are one
        recipe = self.suite.recipes[name]
        if regularizer is not None:
            recipe = recipe.model_copy(update={"regularizer": regularizer})
        return PartSpec("recipe", "recipe", Recipe.version, recipe.to_fields())

    def teacher(self, choice: TeacherChoice, seed: int) -> str:
        """The stage that holds a teacher's network (or, of an ONNX file, the file)."""
        if choice.case is not None:
            return self.trained(self.suite.cases[choice.case], seed)[-1]
        if choice.onnx is not None or choice.weights is not None:
            return self._adopt(choice)
        assert choice.model is not None
        return self._train(StudentChoice(choice.model, choice.recipe), seed if choice.per_seed else choice.seed)

    def teacher_files(self, choice: TeacherChoice, seed: int, target: Target) -> list[str]:
        """The stage that holds a teacher's ONNX file; for a reference target also the one with what torch runs."""
        found = self.teacher(choice, seed)
        if choice.onnx is not None:
            return [found]
        return [self.export(found), *([self._trace(found)] if target.is_reference else [])]

    def _adopt(self, choice: TeacherChoice) -> str:
        """A user's own file as a stage, known by its content wherever it lies."""
        path = choice.onnx or choice.weights or ""
        try:
            source = PartSpec("file", "file", 1, {"path": path}, keyed_by={"sha256": sha256_of(Path(path))})
        except OSError as error:
            raise self.suite.fail(choice.place, f"cannot read '{path}' ({error.strerror}).") from None
        parts = {"task": self.task, "source": source}
        if choice.model is not None:
            parts["model"] = self._located(choice.model)
        return self.add("adopt", parts=parts, inputs={"data": self.data}, numerics=self.packages)

    def _gather(self, folder: str, step: Step) -> str:
        """Images without labels as a stage, known by their names, sizes and times."""
        if not self.takes_pictures:
            raise self.suite.fail(
                step.place, f"further images need a task of image files, and {self.task.name} is none; leave them out."
            )
        try:
            found = digest(loose_images(Path(folder)))
        except KdbenchError as error:
            raise self.suite.fail(step.place, str(error)) from None
        source = PartSpec("folder", "folder", 1, {"path": folder}, keyed_by={"digest": found})
        return self.add("gather", parts={"task": self.task, "source": source})

    def _outputs(self, teacher: str, recipe: Recipe, seed: int) -> str:
        """The teacher's stored outputs; with one view an example they are the same for every seed and length."""
        viewed: dict[str, Any] = {"seed": seed, "settings": {"epochs": recipe.epochs}} if self.view_count > 1 else {}
        inputs = {"data": self.data, "teacher": teacher}
        return self.add("teach", parts={"task": self.task}, inputs=inputs, numerics=self._torch(), **viewed)

    def _compress(self, step: Step, case: Case, before: str | None, seed: int) -> str:
        parts = {"task": self.task, "technique": self._technique(step)}
        inputs = {"data": self.data, **({"model": before} if before else {})}
        for role, name in step.recipes.items():
            parts[f"recipe:{role}"] = self._recipe(name, case.regularizer)
        if before is None:
            parts["model"] = self._located(case.student.model)
            self._check_start(step, case)
        folder = step.technique.unlabelled_folder()
        if folder is not None:
            inputs["images"] = self._gather(folder, step)
        inputs |= self._teaching(step, case, seed)
        return self.add(
            "compress",
            parts=parts,
            inputs=inputs,
            seed=seed,
            numerics=self._torch(step.technique, case.student.model.build()),
        )

    def _teaching(self, step: Step, case: Case, seed: int) -> dict[str, str]:
        """Role -> key of the teachers that a step asks for, and of their stored outputs."""
        asked = step.technique.asks()
        found: dict[str, str] = {}
        for number, choice in enumerate(case.teachers if asked & {"teacher", "teacher_features"} else ()):
            teacher = found[numbered("teacher", number)] = self.teacher(choice, seed)
            if "teacher" in asked:
                recipes = [self.suite.recipes[name] for name in step.recipes.values()]
                longest = max(recipes, key=lambda recipe: recipe.epochs)
                found[numbered("outputs", number)] = self._outputs(teacher, longest, seed)
        return found

    def _technique(self, step: Step) -> PartSpec:
        """A step's declaration; on the network it is settled for the first target, as it trains once for all."""
        settled = step.technique.settle(self.first_target.destination(self.machine.architecture))
        try:
            return self._located(replace(step.spec, fields=settled.to_fields()))
        except KdbenchError as error:
            raise self.suite.fail(step.place, str(error)) from None

    def _check_start(self, step: Step, case: Case) -> None:
        if step.technique.start == "pretrained" and case.student.model.build().pretrained() is None:
            model = case.student.model.name
            raise self.suite.fail(
                step.place, f"{step.spec.name} starts from a weights file, and the student {model} names none."
            )

    def export(self, model: str) -> str:
        parts, inputs = {"task": self.task}, {"data": self.data, "model": model}
        return self.add("export", parts=parts, inputs=inputs, settings={"opset": OPSET}, numerics=self.packages)

    def _trace(self, model: str) -> str:
        parts, inputs = {"task": self.task}, {"data": self.data, "model": model}
        return self.add("trace", parts=parts, inputs=inputs, numerics={"torch": self.packages["torch"]})

    def _compress_file(self, step: Step, file: str, seed: int, target: Target) -> str:
        settled = step.technique.settle(target.destination(self.machine.architecture))
        parts = {"task": self.task, "technique": replace(step.spec, fields=settled.to_fields())}
        inputs = {"data": self.data, "model": file}
        numerics = {"onnx": self.packages["onnx"], **_packages(step.technique)}
        return self.add("compress", parts=parts, inputs=inputs, seed=seed, numerics=numerics)

    def _located(self, part: PartSpec) -> PartSpec:
        """A part keyed by the content of the files it names, where it names any; asked for once."""
        found = self.located.get(repr(part))
        if found is None:
            found = self.located[repr(part)] = part.located()
        return found

    def _torch(self, *using: Technique | Model) -> dict[str, Any]:
        return {"torch": self.packages["torch"], "device": self.machine.device, **_packages(*using)}


def _packages(*using: Technique | Model) -> dict[str, str]:
    return {name: _version(name) for part in using for name in sorted(part.packages)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"

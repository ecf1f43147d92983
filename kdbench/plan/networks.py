"""The stages that make networks: students, trained and compressed, and teachers, trained or from a file."""

import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import KdbenchError, Place
from kdbench.files import sha256_of
from kdbench.plan.stages import Stages, packages_of
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe
from kdbench.stages.names import PUBLISHED, numbered
from kdbench.suite.cases import Case, Step, StudentChoice, TeacherChoice
from kdbench.tasks.image_listing import digest, loose_images
from kdbench.timing.onnx_files import content_of


@dataclass(frozen=True)
class Network:
    """A case's network after its last step on networks."""

    key: str
    """The stage that holds it."""
    earlier: tuple[str, ...] = ()
    """The stages of the case that it went through before, in order."""


class Networks:
    """Adds the stages of networks to a plan's. Every network is planned once, however many cases learn from it."""

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self._known: dict[tuple[str, int, int], Network] = {}

    def of_case(self, case: Case, seed: int) -> Network:
        """The network that a case's steps on networks make."""
        seed = seed if case.trains else self.stages.suite.seeds[0]
        place = (case.name, len(case.steps), seed)  # a case up to its first compression bears the same name
        if place not in self._known:
            self._known[place] = self._chain(case, seed)
        return self._known[place]

    def of_teacher(self, choice: TeacherChoice, seed: int) -> str:
        """The stage that holds a teacher: its network, or its ONNX file where it came as one."""
        if choice.case is not None:
            return self.of_case(self.stages.suite.cases[choice.case], seed).key
        if choice.model is None or choice.weights is not None:
            return self._adopt(choice, choice.place)
        student, own = StudentChoice(choice.model, choice.recipe), seed if choice.per_seed else choice.seed
        return self.stages.train(student, own, teaches=True)

    def _chain(self, case: Case, seed: int) -> Network:
        steps = [step for step in case.steps if step.technique.form == "torch"]
        if case.student.is_given:
            made = [self._adopt(case.student, case.student.place)]
        elif steps and steps[0].technique.start != "trained":
            made = [self._compress(steps[0], case, None, seed)]
            steps = steps[1:]
        else:
            made = [self.stages.train(case.student, seed, case.regularizer)]
        for step in steps:
            made.append(self._compress(step, case, made[-1], seed))
        *earlier, last = made
        return Network(last, tuple(earlier))

    def _compress(self, step: Step, case: Case, before: str | None, seed: int) -> str:
        """The stage of a step on the network of the stage `before`, or, where that is None, on a new network."""
        stages = self.stages
        parts = {"task": stages.task, "technique": stages.technique(step, stages.first_target)}
        inputs = {"data": stages.data, **({"model": before} if before else {})}
        for role, name in step.recipes.items():
            parts[f"recipe:{role}"] = stages.recipe(name, case.regularizer)
        assert case.student.model is not None  # a step on networks was refused on an ONNX file
        student = case.student.model.build()
        if before is None:
            parts["model"] = stages.located(case.student.model)
            if step.technique.start == "pretrained" and student.pretrained() is None:
                name = case.student.model.name
                text = f"{step.spec.name} starts from a weights file, and the student {name} names none."
                raise stages.suite.fail(step.place, text)
        folder = step.technique.unlabelled_folder()
        if folder is not None:
            inputs["images"] = self._gather(folder, step)
        inputs |= self._teaching(step, case, seed)
        numerics = stages.torch(step.technique, student)
        return stages.add("compress", parts=parts, inputs=inputs, seed=seed, numerics=numerics)

    def _teaching(self, step: Step, case: Case, seed: int) -> dict[str, str]:
        """Role -> key of the teachers that a step asks for, and of their stored outputs."""
        asked = step.technique.asks()
        found: dict[str, str] = {}
        for number, choice in enumerate(case.teachers if asked & {"teacher", "teacher_features"} else ()):
            teacher = found[numbered("teacher", number)] = self.of_teacher(choice, seed)
            if "teacher" in asked:
                recipes = [self.stages.suite.recipes[name] for name in step.recipes.values()]
                longest = max(recipes, key=lambda recipe: recipe.epochs)
                found[numbered("outputs", number)] = self._outputs(teacher, choice, longest, seed)
        return found

    def _outputs(self, teacher: str, choice: TeacherChoice, recipe: Recipe, seed: int) -> str:
        """The teacher's stored outputs; with one view an example they are the same for every seed and length."""
        stages = self.stages
        settings: dict[str, Any] = {"precision": recipe.precision} if recipe.precision != "fp32" else {}
        stored = choice.stored.model_dump(exclude_defaults=True)
        settings |= {"stored": stored} if stored else {}
        viewed: dict[str, Any] = {}
        if stages.view_count > 1:
            viewed, settings = {"seed": seed}, {**settings, "epochs": recipe.epochs}
        fields = {"parts": {"task": stages.task}, "inputs": {"data": stages.data, "teacher": teacher}, **viewed}
        return stages.add("teach", **fields, settings=settings, numerics=stages.torch())

    def _adopt(self, choice: StudentChoice | TeacherChoice, place: Place) -> str:
        """A user's own file as a stage, keyed by its content wherever it lies."""
        declared = choice.model.build() if choice.model is not None else None
        if declared is not None and choice.weights is not None and declared.publishes(choice.weights):
            source = PartSpec(PUBLISHED, PUBLISHED, 1, {"path": choice.weights})
            return self._adopted(source, choice)
        path = self._beside(choice.onnx or choice.weights or "")
        try:
            content = sha256_of(Path(path)) if choice.onnx is None else content_of(Path(path))
        except OSError as error:
            raise self.stages.suite.fail(place, f"cannot read '{path}' ({error.strerror}).") from None
        except KdbenchError as error:
            raise self.stages.suite.fail(place, str(error)) from None
        return self._adopted(PartSpec("file", "file", 1, {"path": path}, keyed_by={"sha256": content}), choice)

    def _adopted(self, source: PartSpec, choice: StudentChoice | TeacherChoice) -> str:
        parts = {"task": self.stages.task, "source": source}
        numerics = self.stages.packages
        if choice.model is not None:
            parts["model"] = self.stages.located(choice.model)
            numerics = {**numerics, **packages_of(choice.model.build())}
        return self.stages.add("adopt", parts=parts, inputs={"data": self.stages.data}, numerics=numerics)

    def _beside(self, path: str) -> str:
        """The place of a user's file: from the current folder, or beside the suite where it is not found there."""
        beside = self.stages.suite.folder / path
        return str(beside) if not Path(path).exists() and beside.exists() else path

    def _gather(self, folder: str, step: Step) -> str:
        """A folder of images without labels as a stage, keyed by their names, sizes and times."""
        stages = self.stages
        if not stages.takes_pictures:
            text = f"further images need a task of image files, and {stages.task.name} is none; leave them out."
            raise stages.suite.fail(step.place, text)
        try:
            found = digest(loose_images(Path(folder)))
        except KdbenchError as error:
            raise stages.suite.fail(step.place, str(error)) from None
        source = PartSpec("folder", "folder", 1, {"path": folder}, keyed_by={"digest": found})
        return stages.add("gather", parts={"task": stages.task, "source": source})


def teachers_first(cases: Mapping[str, Case]) -> Iterator[Case]:
    """The cases whose students teach others, each after those that teach it."""
    taught_by = {name: [choice.case for choice in case.teachers if choice.case] for name, case in cases.items()}
    teaching = {name for names in taught_by.values() for name in names}
    for name in graphlib.TopologicalSorter(taught_by).static_order():
        if name in teaching:
            yield cases[name]

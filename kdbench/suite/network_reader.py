"""Reads the students and teachers of a suite, wherever in the file they stand."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kdbench.errors import Place, nearest
from kdbench.protocols.field_errors import shown
from kdbench.protocols.part import PartSpec
from kdbench.suite.cases import AS_GIVEN, StudentChoice, TeacherChoice
from kdbench.suite.faults import Faulty
from kdbench.suite.form import StudentFields, TeacherFields
from kdbench.suite.part_reader import PartReader

Teachers = tuple[TeacherChoice, ...]


class NetworkReader:
    """Reads students and teachers. Methods note what is wrong and raise Faulty."""

    def __init__(self, parts: PartReader, recipes: Mapping[str, Any] | None, teachers: Mapping[str, Any]) -> None:
        """recipes, teachers: the suite's, as written, by name; recipes are None where the file has them wrong."""
        self.parts = parts
        self.faults = parts.faults
        self.recipes = recipes
        self.written = teachers
        self.read: list[TeacherChoice] = []
        """Every teacher so far."""

    def recipe(self, name: Any, place: Place) -> str:
        """The name of one of the suite's recipes, checked."""
        if self.recipes is not None and (not isinstance(name, str) or name not in self.recipes):
            text = f"there is no recipe {shown(name)}. {nearest(str(name), self.recipes)}"
            raise self.faults.fail(place, text)
        return str(name)

    def student(self, fields: Any, place: Place) -> StudentChoice:
        """The student of a `student:` entry."""
        student = self.parts.built(StudentFields, fields, place, "a student")
        if student.onnx is not None:
            return StudentChoice(None, onnx=student.onnx, place=place)
        model = self.faults.kept(self._model, student.model, place, student.inputs)
        recipe = student.recipe
        if student.weights is None or "recipe" in student.model_fields_set:
            recipe = self.recipe(recipe, (*place, "recipe"))
        if model is None:
            raise Faulty
        if student.weights is not None and model.build().form == "estimator":
            text = f"{model.name} is no network, so there is no file of its weights; leave 'weights' out."
            raise self.faults.fail((*place, "weights"), text)
        return StudentChoice(model, recipe, student.weights, place=place)

    def teachers(self, written: Any, place: Place) -> Teachers:
        """The teachers of a `teacher:` entry: one, one by name, or a list of these."""
        if written is None:
            return ()
        if isinstance(written, list):
            if not written:
                raise self.faults.fail(place, "an empty list has no teacher; name one, or leave 'teacher' out.")
            read = [self.faults.kept(self._one, entry, (*place, index)) for index, entry in enumerate(written)]
            found = tuple(teacher for teacher in read if teacher is not None)
            if len(found) < len(read):
                raise Faulty
            return found
        return (self._one(written, place),)

    def teacher(self, written: Any, place: Place, name: str = "") -> TeacherChoice:
        """The teacher that is written out at `place`; `name` is its own among the suite's `teachers`."""
        fields = self.parts.built(TeacherFields, written, place, "a teacher")
        choice = self._teacher(fields, place, name)
        self.read.append(choice)
        return choice

    def _teacher(self, fields: TeacherFields, place: Place, name: str) -> TeacherChoice:
        said: dict[str, Any] = {"name": name, "stored": fields.stored, "place": place}
        if fields.model is None:
            return TeacherChoice(onnx=fields.onnx, case=fields.case, **said)
        model = self.faults.kept(self._model, fields.model, place, fields.inputs, fields.outputs)
        recipe = "" if fields.weights is not None else self.recipe(fields.recipe, (*place, "recipe"))
        if model is None:
            raise Faulty
        if fields.weights is not None:
            return TeacherChoice(model, weights=fields.weights, **said)
        return TeacherChoice(model, recipe, fields.seed, fields.per_seed, **said)

    def _one(self, written: Any, place: Place) -> TeacherChoice:
        if not isinstance(written, str):
            return self.teacher(written, place)
        if written not in self.written:
            if written == AS_GIVEN:
                return self.teacher({"case": AS_GIVEN}, place)
            known = nearest(written, self.written)
            raise self.faults.fail(place, f"there is no teacher '{written}' in 'teachers'. {known}")
        return self.teacher(self.written[written], ("teachers", written), written)

    def _model(
        self, written: Any, place: Place, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()
    ) -> PartSpec:
        spec, model = self.parts.part("model", self.parts.named("model", written, (*place, "model")))
        missing = model.missing() if model.form == "torch" else None
        if missing is not None:
            raise self.faults.fail((*place, "model"), f"{missing}.")
        if inputs and model.form == "estimator":
            raise self.faults.fail(
                (*place, "inputs"), f"{spec.name} is no network, and takes everything; leave it out."
            )
        return replace(spec, inputs=inputs, outputs=outputs)

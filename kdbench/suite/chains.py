"""The cases of a suite: their students and teachers, and chains of steps, each step checked where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdbench.errors import Place, nearest
from kdbench.protocols import Technique
from kdbench.protocols.field_errors import shown
from kdbench.protocols.recipe import Regularizer
from kdbench.results.records import TEACHER
from kdbench.suite.cases import Case, Step, StudentChoice, TeacherChoice
from kdbench.suite.checks import estimator_faults
from kdbench.suite.faults import Faulty
from kdbench.suite.form import CaseFields, StudentFields, TeacherFields
from kdbench.suite.grids import expanded
from kdbench.suite.orders import order_faults
from kdbench.suite.parts import Named, PartReader

Teachers = tuple[TeacherChoice, ...]


@dataclass(frozen=True)
class Common:
    """What the suite gives every case; None for what could not be read."""

    student: StudentChoice | None
    teachers: Teachers | None


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
        model = self.faults.kept(self._model, student.model, place)
        recipe = self.recipe(student.recipe, (*place, "recipe"))
        if model is None:
            raise Faulty
        return StudentChoice(model, recipe)

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
        if fields.model is None:
            return TeacherChoice(onnx=fields.onnx, case=fields.case, name=name, place=place)
        model = self.faults.kept(self._model, fields.model, place)
        recipe = "" if fields.weights is not None else self.recipe(fields.recipe, (*place, "recipe"))
        if model is None:
            raise Faulty
        if fields.weights is not None:
            return TeacherChoice(model, weights=fields.weights, name=name, place=place)
        return TeacherChoice(model, recipe, fields.seed, fields.per_seed, name=name, place=place)

    def _one(self, written: Any, place: Place) -> TeacherChoice:
        if not isinstance(written, str):
            return self.teacher(written, place)
        if written not in self.written:
            known = nearest(written, self.written)
            raise self.faults.fail(place, f"there is no teacher '{written}' in 'teachers'. {known}")
        return self.teacher(self.written[written], ("teachers", written), written)

    def _model(self, written: Any, place: Place) -> Any:
        return self.parts.part("model", self.parts.named("model", written, (*place, "model")))[0]


class CaseReader:
    """Reads the cases of a suite, one entry at a time."""

    def __init__(self, networks: NetworkReader, common: Common) -> None:
        self.networks = networks
        self.parts = networks.parts
        self.faults = networks.faults
        self.common = common
        self.compared: dict[Place, str] = {}
        """Place -> the case that is named there by `compare_with`."""

    def cases(self, name: str, entry: Any) -> dict[str, Case]:
        """The case of an entry, or one for each combination of its grids' values. Raises Faulty."""
        place: Place = ("cases", name)
        if name == TEACHER:
            text = f"the name '{TEACHER}' is reserved for the teacher's own rows; choose another."
            raise self.faults.fail(place, text)
        if not isinstance(entry, list | dict):
            text = f"a case is a list of steps, or a mapping with 'steps'; got {shown(entry)}."
            raise self.faults.fail(place, text)
        fields = self.parts.built(CaseFields, {"steps": entry} if isinstance(entry, list) else entry, place, "a case")
        if fields.compare_with is not None:
            self.compared[*place, "compare_with"] = fields.compare_with
        kept = self.faults.kept
        student = kept(self._student, fields, place)
        teachers = kept(self._teachers, fields, place)
        regularizer = kept(self._regularizer, fields, place)
        above = place if isinstance(entry, list) else (*place, "steps")
        named = [kept(self.parts.named, "technique", step, (*above, index)) for index, step in enumerate(fields.steps)]
        chain = [step for step in named if step is not None]
        cases: dict[str, Case] = {}
        for full_name, steps in expanded(name, chain, self.faults):
            made = self._chain(steps, student, teachers, fields.regularizer is not None, place)
            if made is not None and student is not None and teachers is not None:
                cases[full_name] = Case(full_name, made, student, teachers, place, regularizer, fields.compare_with)
        if len(chain) < len(named) or (regularizer is None) != (fields.regularizer is None):
            raise Faulty
        return cases

    def _student(self, fields: CaseFields, place: Place) -> StudentChoice:
        if fields.student is not None:
            student = self.networks.student(fields.student, (*place, "student"))
        elif self.common.student is not None:
            student = self.common.student
        else:
            raise Faulty  # noted where the suite has it
        if fields.recipe is not None:
            student = replace(student, recipe=self.networks.recipe(fields.recipe, (*place, "recipe")))
        return student

    def _teachers(self, fields: CaseFields, place: Place) -> Teachers:
        if fields.teacher is not None:
            return self.networks.teachers(fields.teacher, (*place, "teacher"))
        if self.common.teachers is None:
            raise Faulty  # noted where the suite has it
        return self.common.teachers

    def _regularizer(self, fields: CaseFields, place: Place) -> Regularizer | None:
        if fields.regularizer is None:
            return None
        return self.parts.built(Regularizer, fields.regularizer, (*place, "regularizer"), "a regularizer")

    def _chain(
        self,
        chain: Sequence[Named],
        student: StudentChoice | None,
        teachers: Teachers | None,
        has_regularizer: bool,
        place: Place,
    ) -> tuple[Step, ...] | None:
        """The steps of one case; None where one of them is wrong."""
        read = [self.faults.kept(self._step, named, student, teachers) for named in chain]
        steps = tuple(step for step in read if step is not None)
        if len(steps) < len(read):
            return None
        wrong = [*order_faults(steps)]
        if student is not None:
            wrong += estimator_faults(student, steps, has_regularizer, place)
        self.faults.note_all(wrong)
        return None if wrong else steps

    def _step(self, named: Named, student: StudentChoice | None, teachers: Teachers | None) -> Step:
        own = named.fields.get("recipe")
        fields = {name: value for name, value in named.fields.items() if name != "recipe"}
        spec, technique = self.parts.part("technique", replace(named, fields=fields))
        if teachers is not None:
            self._check_teachers(named, technique, teachers)
        roles = frozenset() if technique.form == "onnx" else technique.trains_under()
        if own is not None and not roles:
            text = f"{named.name} trains nothing; leave 'recipe' out."
            raise self.faults.fail((*named.inside, "recipe"), text)
        recipes = {role: self._recipe(role, own, named, student) for role in sorted(roles)}
        return Step(spec, technique, recipes, named.place)

    def _check_teachers(self, named: Named, technique: Technique, teachers: Teachers) -> None:
        """A step that needs a teacher has one, and its network where it needs features."""
        asked = technique.asks()
        text = None
        if not teachers and asked & {"teacher", "teacher_features"}:
            text = f"{named.name} needs a teacher, and the suite has none; add 'teacher'."
        elif teachers and len(teachers) < technique.least_teachers and "teacher" in asked:
            text = (
                f"{named.name} learns from {technique.least_teachers} teachers or more, and the case names one; "
                "give 'teacher' a list."
            )
        elif "teacher_features" in asked and teachers[0].onnx is not None:
            text = f"{named.name} needs the teacher's network, and an ONNX file gives outputs only; name a model."
        if text is not None:
            raise self.faults.fail(named.place, text)

    def _recipe(self, role: str, own: Any, named: Named, student: StudentChoice | None) -> str:
        """The name of the recipe that a step trains under when it asks for `role`."""
        if own is not None:
            return self.networks.recipe(own, (*named.inside, "recipe"))
        if role == "train":
            return student.recipe if student is not None else role
        known = self.networks.recipes
        if known is not None and role not in known:
            raise self.faults.fail(
                named.place,
                f"{named.name} trains under a recipe named '{role}', and the suite has only {', '.join(known)}; "
                "add it to 'recipes', or name another with the step's field 'recipe'.",
            )
        return role

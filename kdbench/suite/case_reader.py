"""Reads the cases of a suite: chains of steps, each step checked where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kdbench.errors import Place
from kdbench.protocols import Technique
from kdbench.protocols.field_errors import shown
from kdbench.protocols.recipe import Regularizer
from kdbench.results.records import TEACHER
from kdbench.suite.cases import Case, Step, StudentChoice
from kdbench.suite.checks import estimator_faults, given_faults
from kdbench.suite.faults import Faulty
from kdbench.suite.form import CaseFields
from kdbench.suite.grids import expanded
from kdbench.suite.network_reader import NetworkReader, Teachers
from kdbench.suite.orders import order_faults
from kdbench.suite.part_reader import Named


@dataclass(frozen=True)
class Common:
    """The suite's student and teachers, for every case that names no other; None where they could not be read."""

    student: StudentChoice | None
    teachers: Teachers | None


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
            if student.onnx is not None:
                text = "the student is an ONNX file, which nothing trains; leave 'recipe' out."
                raise self.faults.fail((*place, "recipe"), text)
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
            wrong += given_faults(student, steps, has_regularizer, place)
        self.faults.note_all(wrong)
        return None if wrong else steps

    def _step(self, named: Named, student: StudentChoice | None, teachers: Teachers | None) -> Step:
        own = named.fields.get("recipe")
        fields = {name: value for name, value in named.fields.items() if name != "recipe"}
        spec, technique = self.parts.part("technique", replace(named, fields=fields))
        if teachers is not None:
            self._check_teachers(named, technique, teachers)
        roles = technique.trains_under() if technique.form == "torch" else frozenset()
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
        elif technique.least_teachers > 1 and any(one.model is not None and one.model.outputs for one in teachers):
            text = (
                f"{named.name} takes the mean of teachers that tell every output, and one here has `outputs`; use "
                "soft_distillation, which learns each output from the teacher that tells it."
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
            if student is None or not student.is_given:
                return student.recipe if student is not None else role
            role = student.recipe
        known = self.networks.recipes
        if known is not None and role not in known:
            raise self.faults.fail(
                named.place,
                f"{named.name} trains under a recipe named '{role}', and the suite has "
                f"{'only ' + ', '.join(known) if known else 'none'}; "
                "add it to 'recipes', or name another with the step's field 'recipe'.",
            )
        return role

"""From a suite file to a Suite: what is compared, on what data, under which recipes, measured where. Knows no plan.

Everything wrong with a file is reported at once, one sentence a line, each with its place.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kdbench.errors import Place, SuiteError, nearest
from kdbench.protocols import Technique
from kdbench.protocols.field_errors import shown
from kdbench.protocols.recipe import Recipe, Regularizer
from kdbench.results.records import TEACHER
from kdbench.suite import yaml_lines as documents
from kdbench.suite.cases import Case, Step, StudentChoice, Suite, TeacherChoice
from kdbench.suite.checks import CHECKS
from kdbench.suite.fields import Named, Reading, is_grid
from kdbench.suite.limits import SuiteLimits
from kdbench.suite.schema import CaseFields, MeasureEntry, NetworkFields, SuiteFields, TeacherFields
from kdbench.suite.tolerances import SuiteTolerances
from kdbench.suite.yaml_lines import Document


def load(path: Path | str) -> Suite:
    """The suite in a file, grids expanded, every name resolved, every field checked; nothing heavy is imported.

    Raises SuiteError, whose message has a line for each thing that is wrong.
    """
    document = documents.read(Path(path))
    return _Reader(document).suite()


def select(suite: Suite, cases: Sequence[str] = (), seeds: Sequence[str] = ()) -> Suite:
    """The part of a suite that globs choose; no glob means all. A grid's name chooses each of its cases.

    The baseline always stays: ratios refer to it. Raises SuiteError where a glob matches nothing.
    """
    kept = matching("case", cases, list(suite.cases)) | {suite.baseline}
    kept_seeds = matching("seed", seeds, [str(seed) for seed in suite.seeds])
    return replace(
        suite,
        cases={name: case for name, case in suite.cases.items() if name in kept},
        seeds=tuple(seed for seed in suite.seeds if str(seed) in kept_seeds),
    )


def matching(kind: str, globs: Sequence[str], names: Sequence[str]) -> set[str]:
    """The names that globs choose; no glob means all. Raises SuiteError where a glob matches nothing."""
    kept = set() if globs else set(names)
    for glob in globs:
        found = {name for name in names if fnmatchcase(name, glob) or glob in (name, name.partition("/")[0])}
        if not found:
            raise SuiteError(f"no {kind} of this suite matches '{glob}'. {nearest(glob, names)}")
        kept |= found
    return kept


class _Reader(Reading):
    """Builds the suite of one document. Methods raise SuiteError; `kept` gathers what several of them raise."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self.file = self.built(SuiteFields, document.data, (), "a suite")

    def suite(self) -> Suite:
        with self.kept():
            task, _ = self.part("task", self.named("task", self.file.task, ("task",)))
        teachers: tuple[TeacherChoice, ...] = ()
        with self.kept():
            teachers = self.teachers(self.file.teacher, ("teacher",))
        for name, fields in self.file.teachers.items():
            with self.kept():
                self.teacher(fields, ("teachers", name), name)
        with self.kept():
            student = self.student(self.file.student, ("student",))
        with self.kept():
            written = {} if self.file.limits is None else self.file.limits
            limits = self.built(SuiteLimits, written, ("limits",), "limits")
        with self.kept():
            allowed = {} if self.file.check is None else self.file.check
            tolerances = self.built(SuiteTolerances, allowed, ("check",), "check")
        recipes, cases, measure = self.recipes(), self.all_cases(), self.measure()
        self.report()
        suite = Suite(
            document=self.document,
            name=self.file.name,
            about=self.file.about,
            task=task,
            seeds=self.file.seeds,
            recipes=recipes,
            teachers=teachers,
            student=student,
            baseline=self.file.baseline,
            cases=cases,
            measure=measure,
            limits=limits,
            tolerances=tolerances,
        )
        for check in CHECKS:
            with self.kept():
                check(suite)
        self.report()
        return suite

    def recipes(self) -> dict[str, Recipe]:
        recipes = {}
        for name, fields in self.file.recipes.items():
            with self.kept():
                recipes[name] = self.built(Recipe, fields, ("recipes", name), "a recipe")
        return recipes

    def all_cases(self) -> dict[str, Case]:
        cases: dict[str, Case] = {}
        for name, entry in self.file.cases.items():
            with self.kept():
                cases |= self.cases(name, entry)
        return cases

    def measure(self) -> tuple[MeasureEntry, ...]:
        entries = []
        for index, fields in enumerate(self.file.measure):
            with self.kept():
                entries.append(self.built(MeasureEntry, fields, ("measure", index), "a measure entry"))
        return tuple(entries)

    def recipe(self, name: Any, place: Place) -> str:
        """The name of one of the suite's recipes, checked."""
        if not isinstance(name, str) or name not in self.file.recipes:
            raise self.fail(place, f"there is no recipe {shown(name)}. {nearest(str(name), self.file.recipes)}")
        return name

    def student(self, fields: Any, place: Place) -> StudentChoice:
        network = self.built(NetworkFields, fields, place, "a student")
        model, _ = self.part("model", self.named("model", network.model, (*place, "model")))
        return StudentChoice(model, self.recipe(network.recipe, (*place, "recipe")))

    def teachers(self, written: Any, place: Place) -> tuple[TeacherChoice, ...]:
        """The teachers of a `teacher:` entry: one, one by name, or a list of these."""
        if written is None:
            return ()
        if isinstance(written, list):
            if not written:
                raise self.fail(place, "an empty list has no teacher; name one, or leave 'teacher' out.")
            return tuple(self.one_teacher(entry, (*place, index)) for index, entry in enumerate(written))
        return (self.one_teacher(written, place),)

    def one_teacher(self, written: Any, place: Place) -> TeacherChoice:
        if not isinstance(written, str):
            return self.teacher(written, place)
        if written not in self.file.teachers:
            known = nearest(written, self.file.teachers)
            raise self.fail(place, f"there is no teacher '{written}' in 'teachers'. {known}")
        return self.teacher(self.file.teachers[written], ("teachers", written), written)

    def teacher(self, written: Any, place: Place, name: str = "") -> TeacherChoice:
        fields = self.built(TeacherFields, written, place, "a teacher")
        if fields.model is None:
            return TeacherChoice(onnx=fields.onnx, case=fields.case, name=name, place=place)
        model, _ = self.part("model", self.named("model", fields.model, (*place, "model")))
        if fields.weights is not None:
            return TeacherChoice(model, weights=fields.weights, name=name, place=place)
        recipe = self.recipe(fields.recipe, (*place, "recipe"))
        return TeacherChoice(model, recipe, fields.seed, fields.per_seed, name=name, place=place)

    def cases(self, name: str, entry: Any) -> dict[str, Case]:
        """The case of an entry, or one for each combination of its grids' values."""
        place: Place = ("cases", name)
        if name == TEACHER:
            raise self.fail(place, f"the name '{TEACHER}' is reserved for the teacher's own rows; choose another.")
        if not isinstance(entry, list | dict):
            raise self.fail(place, f"a case is a list of steps, or a mapping with 'steps'; got {shown(entry)}.")
        written = {"steps": entry} if isinstance(entry, list) else entry
        fields = self.built(CaseFields, written, place, "a case")
        student, teachers = self.networks(fields, place)
        regularizer = None
        if fields.regularizer is not None:
            regularizer = self.built(Regularizer, fields.regularizer, (*place, "regularizer"), "a regularizer")
        above = place if isinstance(entry, list) else (*place, "steps")
        chain = [self.named("technique", step, (*above, index)) for index, step in enumerate(fields.steps)]
        cases: dict[str, Case] = {}
        for full_name, steps in self.expanded(name, chain):
            if full_name in cases:
                raise self.fail(place, f"the grid gives '{full_name}' twice; write each value once.")
            made = self.chain(steps, student, teachers)
            cases[full_name] = Case(full_name, made, student, teachers, place, regularizer)
        return cases

    def networks(self, fields: CaseFields, place: Place) -> tuple[StudentChoice, tuple[TeacherChoice, ...]]:
        """The student and the teachers of a case: its own, else the suite's."""
        if fields.student is None:
            student = self.student(self.file.student, ("student",))
        else:
            student = self.student(fields.student, (*place, "student"))
        if fields.recipe is not None:
            student = replace(student, recipe=self.recipe(fields.recipe, (*place, "recipe")))
        if fields.teacher is None:
            return student, self.teachers(self.file.teacher, ("teacher",))
        return student, self.teachers(fields.teacher, (*place, "teacher"))

    def expanded(self, name: str, chain: Sequence[Named]) -> Iterator[tuple[str, list[Named]]]:
        """(name, chain) for every combination of the grids in a chain; the chain itself where there is none."""
        axes = [(step, key) for step in chain for key, value in step.fields.items() if is_grid(value)]
        for values in itertools.product(*(self.grid(step, key) for step, key in axes)):
            chosen = [(step, key, value) for (step, key), value in zip(axes, values, strict=True)]
            label = ",".join(f"{key}={value if isinstance(value, str) else shown(value)}" for _, key, value in chosen)
            steps = [
                replace(step, fields=step.fields | {key: value for owner, key, value in chosen if owner is step})
                for step in chain
            ]
            yield f"{name}/{label}" if label else name, steps

    def grid(self, step: Named, key: str) -> list[Any]:
        written = step.fields[key]
        values = written["grid"]
        if len(written) > 1 or not isinstance(values, list) or not values:
            place = (*step.inside, key)
            raise self.fail(place, f"a grid is {{grid: [value, value, ...]}}; got {shown(written)}.")
        return values

    def chain(
        self, chain: Sequence[Named], student: StudentChoice, teachers: tuple[TeacherChoice, ...]
    ) -> tuple[Step, ...]:
        steps = tuple(self.step(named, student, teachers) for named in chain)
        for before, step in itertools.pairwise(steps):
            if before.technique.form == "onnx" and step.technique.form != "onnx":
                raise self.fail(
                    step.place,
                    f"{step.spec.name} works on a torch model but {before.spec.name} before it gives ONNX; move it up.",
                )
        return steps

    def step(self, named: Named, student: StudentChoice, teachers: tuple[TeacherChoice, ...]) -> Step:
        own = named.fields.get("recipe")
        fields = {name: value for name, value in named.fields.items() if name != "recipe"}
        spec, technique = self.part("technique", replace(named, fields=fields))
        self.check_teachers(named, technique, teachers)
        roles = frozenset() if technique.form == "onnx" else technique.trains_under()
        if own is not None and not roles:
            raise self.fail((*named.inside, "recipe"), f"{named.name} trains nothing; leave 'recipe' out.")
        recipes = {role: self.recipe_in(role, own, named, student) for role in sorted(roles)}
        return Step(spec, technique, recipes, named.place)

    def check_teachers(self, named: Named, technique: Technique, teachers: tuple[TeacherChoice, ...]) -> None:
        """A step that needs a teacher has one, and its network where it needs features."""
        if not teachers and technique.asks() & {"teacher", "teacher_features"}:
            raise self.fail(named.place, f"{named.name} needs a teacher, and the suite has none; add 'teacher'.")
        if teachers and len(teachers) < technique.least_teachers and "teacher" in technique.asks():
            raise self.fail(
                named.place,
                f"{named.name} learns from {technique.least_teachers} teachers or more, and the case names one; "
                "give 'teacher' a list.",
            )
        if "teacher_features" in technique.asks() and teachers[0].onnx is not None:
            raise self.fail(
                named.place,
                f"{named.name} needs the teacher's network, and an ONNX file gives outputs only; name a model.",
            )

    def recipe_in(self, role: str, own: Any, named: Named, student: StudentChoice) -> str:
        """The name of the recipe that a step trains under when it asks for `role`."""
        if own is not None:
            return self.recipe(own, (*named.inside, "recipe"))
        if role == "train":
            return student.recipe
        if role not in self.file.recipes:
            known = ", ".join(self.file.recipes)
            raise self.fail(
                named.place,
                f"{named.name} trains under a recipe named '{role}', and the suite has only {known}; "
                "add it to 'recipes', or name another with the step's field 'recipe'.",
            )
        return role

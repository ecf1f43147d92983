"""From a suite file to a Suite: what is compared, on what data, under which recipes, measured where. Knows no plan.

Everything wrong with a file is reported at once, one sentence a line, each with its place.
"""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kdbench import registry
from kdbench.errors import Place
from kdbench.protocols.field_errors import sentences, shown
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe
from kdbench.suite import checks, yaml_lines
from kdbench.suite.case_reader import CaseReader, Common
from kdbench.suite.cases import AS_GIVEN, FROM_SCRATCH, Case, Suite
from kdbench.suite.faults import Faults
from kdbench.suite.form import VERSION, ExportFields, MeasureEntry, SuiteFields
from kdbench.suite.grids import MOST_CASES
from kdbench.suite.limits import SuiteLimits
from kdbench.suite.losses import LossReader, metric_lists
from kdbench.suite.network_reader import NetworkReader
from kdbench.suite.part_reader import PartReader
from kdbench.suite.people import group_faults
from kdbench.suite.targets import limit_faults
from kdbench.suite.tolerances import SuiteTolerances
from kdbench.suite.yaml_lines import Document

STAND_INS: dict[str, Any] = {
    "kdbench": VERSION,
    "name": "suite",
    "task": None,
    "seeds": [0],
    "recipes": {"train": None},
    "student": None,
    "cases": {"case": None},
    "measure": [None],
}
"""Values in place of those that a file has wrong or lacks, so that the rest of it can be read."""


def load(path: Path | str) -> Suite:
    """The suite in a file, grids expanded, every name resolved, every field checked; nothing heavy is imported.

    Raises SuiteError, whose message has a line for each thing that is wrong.
    """
    return _Reader(yaml_lines.read(Path(path))).suite()


class _Reader:
    """Builds the suite of one document, and goes on after every fault so as to find them all."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.faults = Faults(document)
        self.parts = PartReader(self.faults)
        self.wrong: set[str] = set()
        """Keys of the file whose values cannot be read at all."""
        self.file = self._form()
        self.networks = NetworkReader(
            self.parts, None if "recipes" in self.wrong else self.file.recipes, self.file.teachers
        )

    def suite(self) -> Suite:
        """Raises SuiteError."""
        kept, note_all, file = self.faults.kept, self.faults.note_all, self.file
        task = kept(self._task) if "task" not in self.wrong else None
        recipes = self._recipes()
        teachers = kept(self.networks.teachers, file.teacher, ("teacher",))
        for name, fields in file.teachers.items():
            kept(self.networks.teacher, fields, ("teachers", name), name)
        student = None
        if "student" not in self.wrong:
            student = kept(self.networks.student, file.student, ("student",))
        reader = CaseReader(self.networks, Common(student, teachers))
        cases, names = self._cases(reader)
        baseline = file.baseline or FROM_SCRATCH
        if student is not None and student.is_given:
            if AS_GIVEN not in names:
                cases, names = {AS_GIVEN: Case(AS_GIVEN, (), student, (), ("student",)), **cases}, [AS_GIVEN, *names]
            baseline = file.baseline or AS_GIVEN
        note_all(checks.as_given_faults(cases))
        export = kept(self.parts.built, ExportFields, _or_empty(file.export), ("export",), "export")
        measure = self._measure()
        own = [name for names in metric_lists(file.task) for name in names if registry.is_file(name)]
        losses = LossReader(own, self.parts.folder)
        said = self._without("limits", losses.limits(file.limits, SuiteLimits.model_fields))
        limits = kept(self.parts.built, SuiteLimits, said, ("limits",), "limits")
        said = self._without("check", losses.tolerances(file.check, SuiteTolerances.model_fields))
        tolerances = kept(self.parts.built, SuiteTolerances, said, ("check",), "check")

        if "cases" not in self.wrong:
            unread = file.baseline is None and file.student is not None and student is None
            compared = reader.compared if unread else {("baseline",): baseline, **reader.compared}
            note_all(checks.comparison_faults(compared, names))
        note_all(checks.transformer_faults(cases.values()))
        note_all(checks.teaching_faults(cases, self.networks.read, names))
        note_all(checks.size_faults(len(cases), len(file.seeds), measure))
        if task is not None:
            note_all(checks.selection_faults(recipes, task))
            note_all(group_faults(task, file.split_by))
            note_all(checks.kind_faults(cases.values(), task.build().kinds()))
            note_all(checks.length_faults(measure, task.build()))
        if limits is not None and measure and len(measure) == len(file.measure):
            note_all((("limits", *place), text) for place, text in limit_faults(limits, measure))
        if tolerances is not None and "cases" not in self.wrong:
            note_all((("check", "cases", name), text) for name, text in tolerances.unknown_cases(names))
        self.faults.report()
        assert task is not None  # as for what follows: else its fault was reported
        assert student is not None
        assert teachers is not None
        assert export is not None
        assert limits is not None
        assert tolerances is not None
        return Suite(
            document=self.document,
            name=file.name,
            about=file.about,
            task=task,
            seeds=file.seeds,
            recipes=recipes,
            teachers=teachers,
            student=student,
            baseline=baseline,
            cases=cases,
            opset=export.opset,
            measure=measure,
            limits=limits,
            tolerances=tolerances,
            split_by=file.split_by,
        )

    def _without(self, key: str, wrong: Iterable[tuple[Place, str]]) -> Any:
        """The data under a key of the file without what is wrong, which is noted."""
        rest = copy.deepcopy(_or_empty(getattr(self.file, key)))
        for place, sentence in wrong:
            self.faults.note((key, *place), sentence)
            *before, last = place
            here = rest
            for step in before:
                here = here[step]
            here.pop(last)
        return rest

    def _form(self) -> SuiteFields:
        """The file's keys. Values that are wrong are noted, and left out."""
        data = self.document.data
        if not isinstance(data, dict):
            self.faults.note((), f"a suite is a mapping of {', '.join(STAND_INS)} ..., got {shown(data)}.")
            self.faults.report()
        try:
            return SuiteFields.from_fields(data)
        except ValidationError as error:
            self.faults.note_all(sentences(error, SuiteFields, "a suite", data))
            wrong = [fault["loc"] for fault in error.errors()]
        right = {key: value for key, value in data.items() if key in SuiteFields.model_fields}
        for key, *inner in wrong:
            if inner and isinstance(data.get(key), dict):  # one entry of several
                right[str(key)] = {name: value for name, value in right[str(key)].items() if name != inner[0]}
            else:
                right.pop(str(key), None)
        if not right.get("cases"):
            right.pop("cases", None)
        missing, form = STAND_INS.keys() - right.keys(), SuiteFields.model_fields
        self.wrong = {key for key in missing if key in data or form[key].is_required()}
        found = SuiteFields.from_fields({**{key: STAND_INS[key] for key in self.wrong}, **right})
        nothing: dict[str, Any] = {"recipes": {}, "cases": {}, "measure": ()}
        return found.model_copy(update={key: nothing[key] for key in self.wrong & nothing.keys()})

    def _task(self) -> PartSpec:
        return self.parts.part("task", self.parts.named("task", self.file.task, ("task",)))[0]

    def _recipes(self) -> dict[str, Recipe]:
        kept, built = self.faults.kept, self.parts.built
        read = {
            name: kept(built, Recipe, fields, ("recipes", name), "a recipe")
            for name, fields in self.file.recipes.items()
        }
        return {name: recipe for name, recipe in read.items() if recipe is not None}

    def _cases(self, reader: CaseReader) -> tuple[dict[str, Case], list[str]]:
        """The cases that are right, and the names of all that others may name."""
        cases: dict[str, Case] = {}
        names: list[str] = []
        for name, entry in self.file.cases.items():
            found = self.faults.kept(reader.cases, name, entry)
            cases |= found or {}
            names += found or [name]
        if len(cases) > MOST_CASES:
            self.faults.note(("cases",), f"these are {len(cases):,} cases, and a suite may have {MOST_CASES:,}.")
        return cases, names

    def _measure(self) -> tuple[MeasureEntry, ...]:
        kept, built = self.faults.kept, self.parts.built
        read = [
            kept(built, MeasureEntry, self._beside(fields), ("measure", index), "a measure entry")
            for index, fields in enumerate(self.file.measure)
        ]
        return tuple(entry for entry in read if entry is not None)

    def _beside(self, fields: Any) -> Any:
        """A measure entry whose runtime, where it is a `file.py:Class`, is looked up beside the suite file."""
        name = fields.get("runtime") if isinstance(fields, dict) else None
        if not isinstance(name, str) or not registry.is_file(name):
            return fields
        return {**fields, "runtime": str((self.parts.folder / name).absolute())}


def _or_empty(fields: Any) -> Any:
    return {} if fields is None else fields

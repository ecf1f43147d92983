"""A suite after reading: students, teachers, cases, each a chain of steps. Knows no file format and no plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kdbench.errors import Place, SuiteError
from kdbench.protocols import Technique
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe, Regularizer
from kdbench.protocols.stored_outputs import StoredOutputs
from kdbench.suite.form import MeasureEntry
from kdbench.suite.limits import SuiteLimits
from kdbench.suite.tolerances import SuiteTolerances
from kdbench.suite.yaml_lines import Document


@dataclass(frozen=True)
class StudentChoice:
    """A student, fresh or given, by the fields that are set.

    `model`: a fresh one, which `recipe` trains. `model` and `weights`: a given network, with the weights of a file or
    with published ones by their name. `onnx`: a given ONNX file. What trains a given network further uses `recipe`.
    """

    model: PartSpec | None
    recipe: str = "train"
    weights: str | None = None
    onnx: str | None = None
    place: Place = field(default=("student",), compare=False, repr=False)

    @property
    def is_given(self) -> bool:
        """Whether it comes with weights, so that nothing has to be trained."""
        return self.weights is not None or self.onnx is not None

    @property
    def title(self) -> str:
        """The student's name in tables: its model, or its file."""
        return self.model.name if self.model is not None else Path(self.onnx or "").name

    @property
    def form(self) -> str:
        """What its steps work on at first: `torch`, `estimator` or `onnx`."""
        return "onnx" if self.model is None else str(self.model.build().form)


@dataclass(frozen=True)
class TeacherChoice:
    """A teacher of one of four kinds, by the fields that are set.

    `model` and `recipe`: a network trained here, with `seed` for all of a suite's seeds, or one a seed (`per_seed`).
    `model` and `weights`: a network with the weights of a file. `onnx`: an ONNX file. `case`: the student of another
    case, seed by seed.
    """

    model: PartSpec | None = None
    recipe: str = ""
    seed: int = 0
    per_seed: bool = False
    weights: str | None = None
    onnx: str | None = None
    case: str | None = None
    name: str = ""
    """Its name among the suite's `teachers`, where it has one."""
    stored: StoredOutputs = field(default_factory=StoredOutputs)
    """How its outputs are stored for the students."""
    place: Place = field(default=("teacher",), compare=False)

    @property
    def title(self) -> str:
        """The teacher's name in tables: its model, its case, or its file."""
        if self.model is not None:
            return self.model.name
        return self.case or Path(self.onnx or "").name


@dataclass(frozen=True)
class Step:
    """One technique in a chain."""

    spec: PartSpec
    technique: Technique = field(compare=False)
    recipes: Mapping[str, str]
    """Role in which the technique trains -> name of a recipe of the suite; empty where it trains nothing."""
    place: Place = field(compare=False)

    @property
    def compresses(self) -> bool:
        """Whether the step makes a trained student smaller: it neither starts afresh nor teaches."""
        return self.technique.start == "trained" and self.technique.family != "distillation"


@dataclass(frozen=True)
class Case:
    """A named chain of steps that makes one student.

    Without steps a fresh student is trained on labels alone, and a given one is as it was given.
    """

    name: str
    steps: tuple[Step, ...]
    student: StudentChoice
    teachers: tuple[TeacherChoice, ...]
    place: Place = field(compare=False)
    """Where the suite file has the case; cases of one grid share it."""
    regularizer: Regularizer | None = None
    compare_with: str | None = None
    """The case that its ratios and differences refer to, where the suite names one for it."""

    @property
    def plain(self) -> bool:
        """Whether the case trains a student on labels, or takes a given one, and does nothing else."""
        return not self.steps and self.regularizer is None

    @property
    def trains(self) -> bool:
        """Whether anything is trained in it; else it has one row, whatever the suite's seeds."""
        return not self.student.is_given or any(step.recipes for step in self.steps)

    @property
    def uncompressed(self) -> "Case | None":
        """The case up to its first step that compresses, whose file the compressed one came from; None without one."""
        for place, step in enumerate(self.steps):
            if step.compresses:
                return replace(self, steps=self.steps[:place])
        return None


FROM_SCRATCH, AS_GIVEN = "from-scratch", "as-given"
"""The baselines: a fresh student trained on labels alone, and a given student as it is."""


@dataclass(frozen=True)
class Suite:
    """A suite file, read and checked."""

    document: Document = field(compare=False, repr=False)
    """The file itself: its path, its text, the line of every key."""
    name: str
    about: str
    task: PartSpec
    seeds: tuple[int, ...]
    recipes: Mapping[str, Recipe]
    teachers: tuple[TeacherChoice, ...]
    """The teachers of every case that names no other."""
    student: StudentChoice
    baseline: str
    cases: Mapping[str, Case]
    opset: int
    """The version of ONNX's operators that files are written in."""
    measure: tuple[MeasureEntry, ...]
    limits: SuiteLimits
    tolerances: SuiteTolerances
    split_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column of the task -> the groups that the suite is run for, one after the other; empty: for all together."""
    everybody: PartSpec | None = None
    """The task of all, on which teachers are trained, in the suite of one group."""
    group: str = ""
    """The group whose examples `task` has alone; empty: all."""

    def seeds_of(self, case: Case) -> tuple[int, ...]:
        """The seeds of a case's rows: the suite's, or the first of them where no training draws anything by a seed."""
        return self.seeds if case.trains else self.seeds[:1]

    @property
    def folder(self) -> Path:
        """The suite file's folder, where a user's own `file.py:Class` is looked up."""
        return self.document.path.parent

    def fail(self, place: Place, message: str) -> SuiteError:
        """An error at a key path, to be raised: `FILE:LINE: key.path: message`."""
        return self.document.fail(place, message)

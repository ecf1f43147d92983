"""What a suite is once it is read: students, teachers, chains of steps, cases. Knows no file format and no plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kdbench.errors import Place, SuiteError
from kdbench.protocols import Technique
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe, Regularizer
from kdbench.suite.form import MeasureEntry
from kdbench.suite.limits import SuiteLimits
from kdbench.suite.tolerances import SuiteTolerances
from kdbench.suite.yaml_lines import Document


@dataclass(frozen=True)
class StudentChoice:
    """A model and the name of the recipe that trains it."""

    model: PartSpec
    recipe: str


@dataclass(frozen=True)
class TeacherChoice:
    """A teacher, of one of four kinds.

    A `model` that `recipe` trains, one for all of a suite's seeds with `seed`, or (`per_seed`) one each; a `model` with
    the weights of a file; an `onnx` file; the student of another `case`, seed by seed.
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
    place: Place = field(default=("teacher",), compare=False)

    @property
    def title(self) -> str:
        """What a reader calls it."""
        if self.model is not None:
            return self.model.name
        return self.case or Path(self.onnx or "").name


@dataclass(frozen=True)
class Step:
    """One technique in a chain. `recipes`: role -> name of the suite's recipe; empty where nothing is trained."""

    spec: PartSpec
    technique: Technique = field(compare=False)
    recipes: Mapping[str, str]
    place: Place = field(compare=False)

    @property
    def compresses(self) -> bool:
        """Whether it works on a student that is trained already, other than by teaching it further."""
        return self.technique.start == "trained" and self.technique.family != "distillation"


@dataclass(frozen=True)
class Case:
    """A named chain; no step in it is a student trained on labels alone. `place` is where the file has it."""

    name: str
    steps: tuple[Step, ...]
    student: StudentChoice
    teachers: tuple[TeacherChoice, ...]
    place: Place = field(compare=False)
    regularizer: Regularizer | None = None
    compare_with: str | None = None
    """The case that its ratios and differences refer to, where the suite names one for it."""

    @property
    def plain(self) -> bool:
        """Whether it is a student trained on labels, and nothing else."""
        return not self.steps and self.regularizer is None

    @property
    def uncompressed(self) -> "Case | None":
        """The case up to its first step that compresses: what a compressed file came from; None where none does."""
        for place, step in enumerate(self.steps):
            if step.compresses:
                return replace(self, steps=self.steps[:place])
        return None


@dataclass(frozen=True)
class Suite:
    """A suite file, read and checked. `document` is the file itself: its path, its text, the line of every key."""

    document: Document = field(compare=False, repr=False)
    name: str
    about: str
    task: PartSpec
    seeds: tuple[int, ...]
    recipes: Mapping[str, Recipe]
    teachers: tuple[TeacherChoice, ...]
    """Of every case that names no other."""
    student: StudentChoice
    baseline: str
    cases: Mapping[str, Case]
    measure: tuple[MeasureEntry, ...]
    limits: SuiteLimits
    tolerances: SuiteTolerances

    @property
    def folder(self) -> Path:
        """Where the user's own `file.py:Class` are looked up."""
        return self.document.path.parent

    def fail(self, place: Place, message: str) -> SuiteError:
        """An error at a key path, to be raised: `FILE:LINE: key.path: message`."""
        return self.document.fail(place, message)

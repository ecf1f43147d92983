"""plan.json of a results folder: what was asked, as one class that is written, edited and read.

`kdbench.plan.plan.Plan` says what there is to compute; this says of a folder what its records mean.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from kdbench.errors import StoreError
from kdbench.files import write_whole
from kdbench.results.records import TEACHER, Labelled

PLAN_FILE = "plan.json"
REFERENCE, CHAIN, OTHER = "reference", "chain", "other"
GUESSED = ("distillation", "pruning", "quantization")
"""Families that the names of some techniques end in."""


class RecordedCase(BaseModel):
    """One case as it was planned."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(exclude=True)
    """The key under which plan.json has the case."""
    steps: tuple[str, ...] = ()
    """Names of its techniques, in order."""
    family: str
    """The family of its technique; "reference" without steps, "chain" with several."""
    student: str = ""
    teacher: str = ""
    teacher_row: str = TEACHER
    """The row of its teacher: the suite's, a further teacher's, or the case that teaches it."""
    baseline: str | None = None
    """The case that it is compared with; see `baseline_of`."""
    given: bool = False
    """Whether it starts from weights of a file, which may have been trained on any of the task's examples."""
    trained: bool = True
    """Whether anything was trained in it; else it has one row, which stands for every seed."""
    has_unused_weights: bool = False
    """Whether its student names a file of weights and nothing in the case starts from it."""
    uncompressed_step_count: int | None = None
    """How many of its steps come before the first that compresses; None: none does, or nothing says so."""


class RecordedTarget(BaseModel):
    """How a target was measured, so that its files can be measured again."""

    model_config = ConfigDict(frozen=True, extra="allow")

    session: dict[str, Any] = {}
    """Provider, threads and what else a session of the runtime is made with."""
    python: str | None = None
    """The interpreter that measures; None: the one that ran the suite."""
    batch_sizes: tuple[int, ...] = ()
    processes: int | None = None
    calls: int | None = None
    seconds: float | None = None
    memory: bool | None = None
    start: bool | None = None


class RecordedDevice(BaseModel):
    """A target of another device, whose record was merged; nobody can measure it again here."""

    model_config = ConfigDict(frozen=True, extra="allow")

    session: dict[str, Any]
    batch_sizes: tuple[int, ...]
    device: str
    example_count: int
    split_example_count: int


class RecordedPlan(BaseModel):
    """plan.json, or what the records say where there is none."""

    model_config = ConfigDict(frozen=True, extra="allow")

    suite: str = ""
    about: str = ""
    baseline: str = "from-scratch"
    """The case that the suite's cases are compared with."""
    cases: dict[str, RecordedCase] = {}
    """In the suite's order, without the teachers."""
    teachers: tuple[str, ...] = (TEACHER,)
    """The rows of teachers: the suite's own first."""
    seeds: tuple[int, ...] = ()
    targets: tuple[str, ...] = ()
    measure: dict[str, RecordedTarget] = {}
    """The targets that can be measured again here."""
    devices: dict[str, RecordedDevice] = {}
    """The targets of other devices."""
    joined: tuple[str, ...] = ()
    """The devices of the published files that the folder was made of; empty for a run's own."""
    limits: dict[str, Any] = {}
    """The suite's limits, as it writes them. `choose` reads them."""
    check: dict[str, Any] = {}
    """How much worse than a reference a case may be. `check` reads it."""
    command: str = ""
    """The command that was typed."""
    versions: dict[str, str] = {}
    warnings: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _migrated(cls, data: Any) -> Any:
        """Files of earlier versions as they would be written today."""
        if not isinstance(data, dict):
            return data
        said = {name: value for name, value in data.items() if value is not None}
        cases = said.get("cases")
        if isinstance(cases, dict):
            said["cases"] = {name: _migrated(name, case) for name, case in cases.items() if name != TEACHER}
        return said

    @field_validator("teachers")
    @classmethod
    def _with_the_suites_own(cls, teachers: tuple[str, ...]) -> tuple[str, ...]:
        """Earlier versions wrote the further teachers alone."""
        return (TEACHER, *(row for row in teachers if row != TEACHER))

    def measured(self, target: str) -> dict[str, Any]:
        """How a target was measured, as plain data without what is not known; empty for one that was not."""
        known = self.measure.get(target)
        return known.model_dump(exclude_none=True) if known else {}

    def baseline_of(self, case: RecordedCase) -> str | None:
        """The case that `case` is compared with: the suite's baseline for its student, else that student's own."""
        if case.baseline:
            return case.baseline
        first = self.cases.get(self.baseline)
        if first is None or first.student == case.student:
            return self.baseline
        same = [other.name for other in self.cases.values() if not other.steps and other.student == case.student]
        return same[0] if same else None

    def completed(self, rows: Sequence[Labelled]) -> "RecordedPlan":
        """The plan with what it lacks as the records of its folder say it."""
        chains = {row.case: {"steps": row.steps} for row in rows if row.case != TEACHER}
        cases = {name: RecordedCase.model_validate(_migrated(name, chain)) for name, chain in chains.items()}
        seeds = sorted({row.seed for row in rows if row.case not in self.teachers})
        lacking = {"suite": next((row.suite for row in rows), ""), "cases": cases, "seeds": tuple(seeds)}
        return self.model_copy(update={name: value for name, value in lacking.items() if not getattr(self, name)})

    def write(self, folder: Path) -> None:
        """Replace the folder's plan.json. Raises OSError."""
        write_whole(folder / PLAN_FILE, self.model_dump_json(indent=1, exclude_none=True, exclude_unset=True))


def read_plan(folder: Path) -> RecordedPlan | None:
    """The folder's plan; None where it has no plan.json. Raises StoreError where that is damaged."""
    path = folder / PLAN_FILE
    if not path.is_file():
        return None
    try:
        return RecordedPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"cannot read '{path}' ({error.strerror}).") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = f"{'.'.join(map(str, first['loc']))}: " if first["loc"] else ""
        told = f"{place}{first['msg'][0].lower()}{first['msg'][1:]}"
        raise StoreError(f"'{path}' is damaged ({told}); remove it, then the records alone are read.") from None


def family_of(steps: Sequence[str], family: str = OTHER) -> str:
    """The family of a chain whose technique, if it has one alone, is of the family given."""
    if len(steps) == 1:
        return family
    return CHAIN if steps else REFERENCE


def _migrated(name: str, case: Any) -> Any:
    """A case as it would be written today: steps were {name: fields} once, and the family was not always said."""
    if not isinstance(case, dict):
        return case
    said = {field: value for field, value in case.items() if value is not None}
    steps = said.get("steps", ())
    if isinstance(steps, list | tuple):
        said["steps"] = tuple(next(iter(step), "") if isinstance(step, dict) else step for step in steps)
        last = str(said["steps"][0]).rpartition("_")[2] if said["steps"] else ""
        said.setdefault("family", family_of(said["steps"], last if last in GUESSED else OTHER))
    return {**said, "name": name}

"""A plan: the stages to compute, and labels that say whose rows each of them feeds."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from kdbench.results.records import TEACHER
from kdbench.stages.spec import StageSpec
from kdbench.suite.cases import Case, Suite
from kdbench.suite.targets import Target
from kdbench.timing.machine import Machine

COMPARED = ("baseline", "teacher", "origin", "answers")
"""Roles of inputs that an evaluation or a measurement compares with; its own model does not rest on them."""


@dataclass(frozen=True)
class Label:
    """Says that a stage's facts belong to the row of a case, seed and target. A stage may have many labels, or none."""

    case: str
    seed: int
    key: str
    target: str | None = None


@dataclass(frozen=True)
class Plan:
    """Stages by key, each after its inputs, and their labels."""

    suite: Suite
    machine: Machine
    targets: list[Target]
    stages: dict[str, StageSpec]
    labels: list[Label]
    skipped: dict[Label, str]
    """Rows that a target cannot have by their nature, and why; their key is that of a stage that they would rest on."""
    cases: dict[str, Case]
    """The suite's cases, and the baselines that were added for further students."""
    references: dict[str, str]
    """Case -> the case that its ratios and differences refer to."""
    taught: dict[str, str]
    """Case -> the row of its (first) teacher: `teacher`, a further teacher's row, or another case."""
    rehearsals: dict[str, StageSpec] = field(default_factory=dict)
    """The rehearsals by key, each after its inputs; no other stage rests on one."""
    rehearsed: dict[str, str] = field(default_factory=dict)
    """Row (a case or a teacher) -> the key of its rehearsal, where it has one."""

    @property
    def teachers(self) -> tuple[str, ...]:
        """The rows of teachers, the suite's own first; those beside a case's first one last."""
        rows = [TEACHER, *self.taught.values(), *(label.case for label in self.labels)]
        return tuple(dict.fromkeys(row for row in rows if row not in self.cases))

    def needed(self, labels: Iterable[Label], have: Callable[[str], bool]) -> list[StageSpec]:
        """The stages to run for these labels, each after its inputs; `have(key)` says whether the store has one."""
        return self.missing((label.key for label in labels), have)

    def missing(self, keys: Iterable[str], have: Callable[[str], bool]) -> list[StageSpec]:
        """The stages and rehearsals to run so that these are there, each after its inputs."""
        every = {**self.stages, **self.rehearsals}
        wanted: set[str] = set()
        queue = [*keys]
        while queue:
            key = queue.pop()
            if key not in wanted and not have(key):
                wanted.add(key)
                queue.extend(every[key].inputs.values())
        return [spec for key, spec in every.items() if key in wanted]

    def lineage(self, key: str) -> tuple[str, ...]:
        """Every stage that a stage's model rests on, from the data to the stage itself."""
        seen: set[str] = set()
        queue = [key]
        while queue:
            at = queue.pop()
            if at not in seen:
                seen.add(at)
                spec = self.stages[at]
                beside = COMPARED if spec.kind in ("evaluate", "measure") else ()
                queue.extend(found for role, found in spec.inputs.items() if role not in beside)
        return tuple(sorted(seen, key=self._places.__getitem__))

    def labels_of(self, key: str) -> Sequence[Label]:
        """The rows that a stage's facts belong to."""
        return self._labels_by_key.get(key, ())

    @cached_property
    def _labels_by_key(self) -> dict[str, list[Label]]:
        found: dict[str, list[Label]] = {}
        for label in self.labels:
            found.setdefault(label.key, []).append(label)
        return found

    @cached_property
    def _places(self) -> dict[str, int]:
        """Key -> the stage's place in the plan's order."""
        return {key: place for place, key in enumerate(self.stages)}

    def chosen(self, selected: Suite) -> list[Label]:
        """The labels of a selected part of the suite, always with those of its teachers and baselines."""
        cases = {*selected.cases, *(self.references[case] for case in selected.cases)}
        teachers = {TEACHER, *(self.taught[case] for case in selected.cases if case in self.taught)} & {*self.teachers}
        teachers |= {row for row in self.teachers if row not in self.taught.values()}
        seeds = {*selected.seeds}
        untrained = {name for name, case in self.cases.items() if not case.trains}
        return [
            label
            for label in self.labels
            if label.case in teachers or (label.case in cases and (label.seed in seeds or label.case in untrained))
        ]

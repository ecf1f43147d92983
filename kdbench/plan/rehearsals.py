"""The rehearsals of a plan: before anything is trained, each row's chain is tried on new networks and one batch.

No result rests on a rehearsal, so it is in no other stage's key: stages only wait for those of the rows that want them.
"""

from collections.abc import Container, Iterable
from itertools import takewhile

from kdbench import stages
from kdbench.plan.networks import Networks
from kdbench.plan.plan import Label, Plan
from kdbench.plan.stages import Stages
from kdbench.protocols.part import PartSpec
from kdbench.stages.names import numbered
from kdbench.stages.spec import StageSpec
from kdbench.suite.cases import Case, Step, TeacherChoice

WAIT = frozenset({"train", "teach", "compress"})
"""The kinds of stage that wait for rehearsals; the others rest on these, or take no time."""


class Rehearsals:
    """Adds a rehearsal for every student and teacher that is a network. Equal ones are one, whatever their recipes."""

    def __init__(self, stages: Stages, networks: Networks) -> None:
        self.stages = stages
        self.networks = networks
        self.by_key: dict[str, StageSpec] = {}
        self._known: dict[str, str | None] = {}
        self._teaching = {
            choice.case for case in stages.suite.cases.values() for choice in case.teachers if choice.case is not None
        }

    def of_case(self, case: Case) -> str | None:
        """The rehearsal of a case's steps on networks, one after the other; None where its student is no network.

        A case that trains nothing costs as little as its rehearsal; it has one where it teaches others.
        """
        if case.name not in self._known:
            self._known[case.name] = self._chain(case)
        return self._known[case.name]

    def of_teacher(self, choice: TeacherChoice) -> str | None:
        """The stage that holds the teacher in a rehearsal: one of its own network, or its file as it is adopted."""
        if choice.case is not None:
            return self.of_case(self.stages.suite.cases[choice.case])
        if choice.model is None or choice.weights is not None:
            return self.networks.of_teacher(choice, choice.seed)
        return self._add(choice.model, (), {}, teaches=True)

    def _chain(self, case: Case) -> str | None:
        if case.student.model is None or not (case.trains or case.name in self._teaching):
            return None
        steps = tuple(step for step in case.steps if step.technique.form == "torch")
        teachers: dict[str, str] = {}
        if any(_taught(step) for step in steps):
            held = [self.of_teacher(choice) for choice in case.teachers]
            teachers = {numbered("teacher", number): key for number, key in enumerate(held) if key is not None}
            if len(teachers) < len(held):  # a teacher that is no network: nothing stands for it before it is fitted
                steps = tuple(takewhile(lambda step: not _taught(step), steps))
        return self._add(case.student.model, steps, teachers, teaches=case.name in self._teaching)

    def _add(self, model: PartSpec, steps: Iterable[Step], teachers: dict[str, str], teaches: bool) -> str | None:
        declared = model.build()
        if declared.form != "torch":
            return None
        steps = list(steps)
        parts = {"task": self.stages.task, "model": self.stages.located(model)}
        for number, step in enumerate(steps):
            parts[f"step:{number}"] = self.stages.technique(step, self.stages.first_target)
        spec = StageSpec(
            "rehearse",
            stages.VERSIONS["rehearse"],
            parts=parts,
            inputs={"data": self.stages.data, **teachers},
            settings={"teaches": teaches},
            numerics=self.stages.torch(declared, *(step.technique for step in steps)),
        )
        return self.by_key.setdefault(spec.key, spec).key


def _taught(step: Step) -> bool:
    return bool(step.technique.asks() & {"teacher", "teacher_features"})


def awaited(plan: Plan, labels: Iterable[Label], keys: Container[str]) -> dict[str, list[str]]:
    """Key of a stage, one of `keys` -> the rehearsals of the rows among `labels` whose networks rest on it."""
    found: dict[str, dict[str, None]] = {}
    for label in labels:
        rehearsal = plan.rehearsed.get(label.case)
        for key in plan.lineage(label.key) if rehearsal is not None else ():
            if key in keys and plan.stages[key].kind in WAIT:
                found.setdefault(key, {})[rehearsal or ""] = None
    return {key: [*rehearsals] for key, rehearsals in found.items()}

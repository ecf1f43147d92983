"""Makes the plan of a suite: the rows, and what each of them is measured beside. Computes nothing."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kdbench import registry, stages
from kdbench.plan.baselines import baselines_of
from kdbench.plan.files import File, Files, code_of, no_form
from kdbench.plan.networks import Networks, teachers_first
from kdbench.plan.opsets import too_old
from kdbench.plan.plan import Label, Plan
from kdbench.plan.rehearsals import Rehearsals
from kdbench.plan.stages import Stages
from kdbench.results.records import TEACHER
from kdbench.stages.names import numbered
from kdbench.stages.spec import StageSpec
from kdbench.suite.cases import Case, Suite, TeacherChoice
from kdbench.suite.targets import Target, targets_of
from kdbench.timing.machine import Machine

ONNX_TEACHER = "the teacher came as an ONNX file, and what this target runs begins with a network."

Repeats = Callable[[StageSpec], int]
"""A measurement as it is for the first time -> the number of the repeat that is meant: 0 for the first timing."""


def _first(measurement: StageSpec) -> int:
    return 0


def make_plan(suite: Suite, machine: Machine, repeats: Repeats = _first) -> Plan:
    """The plan of a whole suite. Raises SuiteError where parts do not fit together, DataError where data is missing."""
    return _Planner(suite, machine, repeats).plan()


@dataclass(frozen=True)
class _Row:
    """A case (or teacher) and seed on a target: its file, and those that it is evaluated and timed beside."""

    case: str
    seed: int
    target: Target
    file: File
    baseline: File | None
    """The file that its ratios refer to; None where the target cannot run that."""
    teacher: File | None
    origin: File | None = None
    """The student's file before its first step that compresses; None where no step does."""
    leads: bool = False
    """It is of the first seed, whose files stand for the others' where a measurement takes long."""


class _Planner:
    """Gives every row its stages."""

    def __init__(self, suite: Suite, machine: Machine, repeats: Repeats) -> None:
        self.suite = suite
        self.machine = machine
        self.repeats = repeats
        self.targets = targets_of(suite.measure)
        self._check_targets()
        self._check_opset()
        self.baselines = baselines_of(suite)
        added = {case.name: case for case in self.baselines.values() if case.name not in suite.cases}
        self.baselines |= added
        self.cases = {**suite.cases, **added}
        self.stages = Stages(suite, machine)
        self.networks = Networks(self.stages)
        self.files = Files(self.stages, self.networks, suite.opset)
        self.rehearsals = Rehearsals(self.stages, self.networks)
        self.rehearsed: dict[str, str | None] = {}
        self.labels: dict[Label, None] = {}
        self.skipped: dict[Label, str] = {}
        self.taught: dict[str, str] = {}

    def plan(self) -> Plan:
        """Every stage and label, the teachers' rows first."""
        for case in teachers_first(self.suite.cases):
            self.rehearsals.of_case(case)
            for seed in self.suite.seeds_of(case):
                self.networks.of_case(case, seed)
        self._teachers_rows()
        for case in self.cases.values():
            self.rehearsed[case.name] = self.rehearsals.of_case(case)
            for seed in self.suite.seeds_of(case):
                self._case_rows(case, seed)
        return Plan(
            suite=self.suite,
            machine=self.machine,
            targets=self.targets,
            stages=self.stages.by_key,
            labels=list(self.labels),
            skipped=self.skipped,
            cases=self.cases,
            references={name: case.name for name, case in self.baselines.items()},
            taught=self.taught,
            rehearsals=self.rehearsals.by_key,
            rehearsed={row: key for row, key in self.rehearsed.items() if key in self.rehearsals.by_key},
        )

    def _check_opset(self) -> None:
        """Raises SuiteError where a target's runtime is known to be too old for the files that it is to read."""
        for target in filter(lambda target: target.from_onnx, self.targets):
            runtime = self.machine.at(target.entry.node).runtime(target.entry.python, target.runtime.name)
            sentence = too_old(self.suite.opset, runtime["runtime"], runtime["runtime_version"])
            if sentence is not None:
                raise self.suite.fail(("export", "opset"), f"{target.id}: {sentence}")

    def _check_targets(self) -> None:
        seen: set[str] = set()
        for target in self.targets:
            if target.id in seen:
                text = f"a second target would be named '{target.id}'; give this entry a 'name' of its own."
                raise self.suite.fail(("measure", target.index), text)
            seen.add(target.id)

    def _label(self, case: str, seed: int, key: str, target: str | None = None) -> None:
        """Give a row a stage, once."""
        self.labels[Label(case, seed, key, target)] = None

    def _case_rows(self, case: Case, seed: int) -> None:
        """Every stage and label of a case and a seed."""
        network = self.networks.of_case(case, seed)
        for key in (*network.earlier, network.key):
            self._label(case.name, seed, key)
        uncompressed = case.uncompressed
        for target in self.targets:
            without = no_form(case, target)
            if without is not None:
                self.skipped[Label(case.name, seed, self.files.export(network.key), target.id)] = without
                continue
            file = self.files.of_case(case, seed, target)
            for key in file.steps:
                self._label(case.name, seed, key, target.id)
            row = _Row(
                case.name,
                seed,
                target,
                file,
                baseline=self._baseline_file(self.baselines[case.name], target),
                teacher=self._teacher_file(case.teachers[0], seed, target) if case.teachers else None,
                origin=self.files.of_case(uncompressed, seed, target) if uncompressed else None,
                leads=seed == self.suite.seeds[0],
            )
            self._evaluate_and_measure(row)

    def _teachers_rows(self) -> None:
        """The teachers as rows of their own: the suite's first one, then those that cases name beside it.

        A teacher that is another case has that case's rows.
        """
        rows: dict[str, TeacherChoice] = dict(zip([TEACHER], self.suite.teachers, strict=False))
        for case in self.cases.values():
            for number, choice in enumerate(case.teachers):
                row = _teacher_row(choice, rows, case.name, number)
                rows.setdefault(row, choice)
                if number == 0:
                    self.taught[case.name] = row
        for name, choice in rows.items():
            if choice.case is None:
                self.rehearsed[name] = self.rehearsals.of_teacher(choice)
                for seed in self.suite.seeds if choice.per_seed else (choice.seed,):
                    self._teacher_rows(name, choice, seed)

    def _teacher_rows(self, name: str, choice: TeacherChoice, seed: int) -> None:
        """Every stage and label of a teacher and a seed."""
        network = self.networks.of_teacher(choice, seed)
        self._label(name, seed, network)
        leads = seed == (self.suite.seeds[0] if choice.per_seed else choice.seed)
        baseline = self.suite.cases[self.suite.baseline]
        for target in self.targets:
            file = self._teacher_file(choice, seed, target)
            if file is None:
                self.skipped[Label(name, seed, network, target.id)] = ONNX_TEACHER
                continue
            base = self._baseline_file(baseline, target)
            self._evaluate_and_measure(_Row(name, seed, target, file, base, teacher=file, leads=leads))

    def _teacher_file(self, choice: TeacherChoice, seed: int, target: Target) -> File | None:
        """None where the target cannot run the teacher."""
        if choice.onnx is not None and not target.from_onnx:
            return None
        if choice.case is not None and no_form(self.suite.cases[choice.case], target) is not None:
            return None
        return self.files.of_teacher(choice, seed, target)

    def _baseline_file(self, baseline: Case, target: Target) -> File | None:
        """The first seed's file of a baseline; None where the target cannot run it."""
        if no_form(baseline, target) is not None:
            return None
        return self.files.of_case(baseline, self.suite.seeds[0], target)

    def _evaluate_and_measure(self, row: _Row) -> None:
        """Add a row's evaluation and its timing, each beside the files that the row is compared with."""
        beside: dict[str, str] = {}
        taught: tuple[str, ...] = ()
        if row.teacher is not None:
            answered = self._evaluate(row.teacher, row.target, {})
            if row.file.deployed != row.teacher.deployed:
                beside["teacher"], taught = answered, row.teacher.tells
        if row.origin is not None:
            beside["origin"] = self._evaluate(row.origin, row.target, dict(beside), taught)
        evaluated = self._evaluate(row.file, row.target, beside, taught)
        self._label(row.case, row.seed, evaluated, row.target.id)
        self._label(row.case, row.seed, self._measure(row, evaluated), row.target.id)

    def _evaluate(self, file: File, target: Target, beside: Mapping[str, str], taught: tuple[str, ...] = ()) -> str:
        """The evaluation of a file; `beside`: role -> the evaluation that it is compared with.

        taught: the outputs that the teacher beside it tells, where these are not all.
        """
        inputs = {"data": self.stages.data, "model": file.deployed, "export": file.exported, **beside}
        runtime = self.machine.at(target.entry.node).runtime(target.entry.python, target.runtime.name)
        numerics = {"runtime": runtime["runtime"], "runtime_version": runtime["runtime_version"]}
        numerics["metrics"] = {name: registry.resolve("metric", name).version for name in self._metrics()}
        numerics |= code_of(target)
        if target.entry.plugin:
            numerics["plugins"] = runtime["facts"].get("plugins", [])
        settings = _settings(target)
        settings |= {name: told for name, told in (("tells", file.tells), ("taught", taught)) if told}
        parts = self.stages.own_metrics
        return self.stages.add("evaluate", parts=parts, inputs=inputs, settings=settings, numerics=numerics)

    def _metrics(self) -> Iterator[str]:
        """The metrics that the task may be judged by.

        They are known once it is decoded. A task of kdbench's own names none of another package but in its fields.
        """
        task, fields = self.suite.task, json.dumps(self.suite.task.fields)
        foreign = task.name not in registry.TABLE["task"]
        for name in registry.names("metric"):
            if foreign or name in registry.TABLE["metric"] or f'"{name}"' in fields:
                yield name

    def _measure(self, row: _Row, evaluated: str) -> str:
        """The timing of a row's file that counts, beside its references; `evaluated` is its own evaluation."""
        references = {"baseline": row.baseline, "teacher": row.teacher, "origin": row.origin}
        inputs = {
            "data": self.stages.data,
            "model": row.file.deployed,
            **{role: file.deployed for role, file in references.items() if file is not None},
            "answers": evaluated,
        }
        entry = row.target.entry
        settings = {
            **_settings(row.target),
            "batch_sizes": entry.batch_sizes,
            **({"lengths": entry.lengths} if entry.lengths else {}),
            "processes": entry.processes,
            "calls": entry.calls,
            "seconds": entry.seconds,
            "memory": entry.memory and row.target.runtime.in_process,
            "start": entry.start and row.leads,
            "energy": entry.energy and row.leads,
            "repeat": 0,
        }
        runtime = self.machine.at(entry.node).runtime(entry.python, row.target.runtime.name)
        numerics = {"fingerprint": runtime["fingerprint"], **code_of(row.target)}
        spec = StageSpec("measure", stages.VERSIONS["measure"], inputs=inputs, settings=settings, numerics=numerics)
        return self.stages.keep(spec.repeated(self.repeats(spec)))


def _teacher_row(choice: TeacherChoice, rows: Mapping[str, TeacherChoice], case: str, number: int) -> str:
    """The name of the row of a case's teacher: the one it has already, its own name, else one from the case's name."""
    known = [row for row, other in rows.items() if other == choice]
    if known:
        return known[0]
    return choice.case or f"{TEACHER}/{choice.name or numbered(case, number)}"


def _settings(target: Target) -> dict[str, object]:
    node = {"node": target.entry.node} if target.entry.node else {}
    return {"target": {"session": target.session, "python": target.entry.python, **node}}

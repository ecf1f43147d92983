"""From a suite and what was probed to its plan: the rows, and what each is measured beside. No work is done."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from kdbench import stages
from kdbench.models.estimators import Estimator
from kdbench.plan.plan import Label, Plan
from kdbench.plan.stages import Staging
from kdbench.results.records import TEACHER
from kdbench.stages.names import numbered
from kdbench.stages.spec import StageSpec
from kdbench.suite.cases import Case, Suite, TeacherChoice
from kdbench.suite.targets import Target, targets_of
from kdbench.timing.machine import Machine

FROM_SCRATCH = "from-scratch"
ONNX_TEACHER = "the teacher came as an ONNX file: torch, which is timed for reference, cannot run it."


Repeats = Callable[[StageSpec], int]
"""A measurement as it was the first time -> the number of the repeat that is meant."""


def _first(measurement: StageSpec) -> int:
    return 0


def make_plan(suite: Suite, machine: Machine, repeats: Repeats = _first) -> Plan:
    """The plan of a whole suite. Raises SuiteError where parts do not fit together, DataError where data is missing."""
    return _Planner(suite, machine, repeats).plan()


class _Planner:
    """Gives every row its stages."""

    def __init__(self, suite: Suite, machine: Machine, repeats: Repeats) -> None:
        self.suite = suite
        self.machine = machine
        self.repeats = repeats
        self.out = Plan(suite, machine, targets_of(suite.measure))
        self.staging = Staging(suite, machine)

    def plan(self) -> Plan:
        self._distinct_targets()
        baselines = self._own_baselines()
        self.out.references = {name: case.name for name, case in baselines.items()}
        added = {case.name: case for case in baselines.values() if case.name not in self.suite.cases}
        self.out.cases = {**self.suite.cases, **added}
        self.out.references |= {name: name for name in added}
        self._teachers_rows()
        for case in self.out.cases.values():
            for seed in self.suite.seeds:
                self._case(case, baselines.get(case.name, case), seed)
        self.out.stages = self.staging.stages
        return self.out

    def label(self, case: str, seed: int, key: str, target: str | None = None) -> None:
        """Give a row a stage, once."""
        label = Label(case, seed, key, target)
        if label not in self.out.labels:
            self.out.labels.append(label)

    def _distinct_targets(self) -> None:
        seen: set[str] = set()
        for target in self.out.targets:
            if target.id in seen:
                text = f"a second target would be named '{target.id}'; give this entry a 'name' of its own."
                raise self.suite.fail(("measure", target.index), text)
            seen.add(target.id)

    def _own_baselines(self) -> dict[str, Case]:
        """Case name -> what it is compared with. A further student gets a from-scratch case of its own.

        That is the suite's case without steps for that student, where it has one, else `CASE/from-scratch`.
        """
        baseline = self.suite.cases[self.suite.baseline]
        plain = [case for case in self.suite.cases.values() if case.plain]
        found: dict[str, Case] = {}
        for case in self.suite.cases.values():
            if case.student == baseline.student:
                found[case.name] = baseline
                continue
            known = [other for other in (*plain, *found.values()) if other.student == case.student]
            added = replace(case, name=f"{case.name}/{FROM_SCRATCH}", steps=(), regularizer=None)
            found[case.name] = known[0] if known else added
        return found

    def _case(self, case: Case, baseline: Case, seed: int) -> None:
        """Every stage and label of a case and a seed."""
        for key in self.staging.trained(case, seed):
            self.label(case.name, seed, key)
        uncompressed = case.uncompressed
        for target in self.out.targets:
            without = no_torch_form(case) if target.is_reference else None
            if without is not None:
                key = self.staging.export(self.staging.trained(case, seed)[-1])
                self.out.skipped[Label(case.name, seed, key, target.id)] = without
                continue
            files = self.staging.files(case, seed, target)
            for key in files[1:]:
                if self.staging.stages[key].kind == "compress":
                    self.label(case.name, seed, key, target.id)
            teacher = case.teachers[0] if case.teachers else None
            origin = self.staging.files(uncompressed, seed, target) if uncompressed else None
            self._rows(case.name, seed, files, target, baseline, teacher, seed == self.suite.seeds[0], origin)

    def _teachers_rows(self) -> None:
        """The teachers as rows of their own: the suite's first one, then those that cases name beside it.

        A teacher that is another case has that case's rows.
        """
        rows: dict[str, TeacherChoice] = dict(zip([TEACHER], self.suite.teachers, strict=False))
        for case in self.out.cases.values():
            for number, choice in enumerate(case.teachers):
                row = _row(choice, rows, case.name, number)
                rows.setdefault(row, choice)
                if number == 0:
                    self.out.taught[case.name] = row
        for row, choice in rows.items():
            if choice.case is None:
                for place, seed in enumerate(self.suite.seeds if choice.per_seed else (choice.seed,)):
                    self._teacher_rows(choice, row, seed, place == 0)

    def _teacher_rows(self, choice: TeacherChoice, row: str, seed: int, leads: bool) -> None:
        """A teacher as a row of its own."""
        self.label(row, seed, self.staging.teacher(choice, seed))
        for target in self.out.targets:
            files = self._teacher_files(choice, seed, target)
            if not files:
                self.out.skipped[Label(row, seed, self.staging.teacher(choice, seed), target.id)] = ONNX_TEACHER
                continue
            self._rows(row, seed, files, target, self.suite.cases[self.suite.baseline], choice, leads)

    def _rows(
        self,
        case: str,
        seed: int,
        files: list[str],
        target: Target,
        baseline: Case,
        teacher: TeacherChoice | None,
        leads: bool,
        origin: list[str] | None = None,
    ) -> None:
        """Evaluate and measure the last of a row's files, beside its baseline, its teacher and what it came from.

        `files`, `origin`: stages, the first that of the export.
        `leads`: it is of the first seed, whose files stand for the others' where a measurement takes long.
        """
        taught = self._teacher_files(teacher, seed, target) if teacher else []
        teacher_file = taught[-1] if taught else None
        beside: dict[str, str] = {}
        if teacher_file is not None:
            answered = self._evaluate(taught[0], teacher_file, target, {})
            beside = {} if files[-1] == teacher_file else {"teacher": answered}
        if origin is not None:
            beside = {**beside, "origin": self._evaluate(origin[0], origin[-1], target, beside)}
        base = self._baseline_file(baseline, target)
        own = self._evaluate(files[0], files[-1], target, beside)
        self.label(case, seed, own, target.id)
        references = {"baseline": base, "teacher": teacher_file, "origin": origin[-1] if origin else None}
        given = {role: key for role, key in references.items() if key is not None}
        self.label(case, seed, self._measure(files[-1], target, {**given, "answers": own}, leads), target.id)

    def _teacher_files(self, choice: TeacherChoice, seed: int, target: Target) -> list[str]:
        """Stages, the first that of the export; none where the target cannot run the teacher."""
        if target.is_reference:
            case = self.suite.cases[choice.case] if choice.case is not None else None
            if choice.onnx is not None or (case is not None and no_torch_form(case) is not None):
                return []
        return self.staging.teacher_files(choice, seed, target)

    def _baseline_file(self, baseline: Case, target: Target) -> str | None:
        """What a row is timed beside; None where the target cannot run it."""
        if target.is_reference and no_torch_form(baseline) is not None:
            return None
        return self.staging.files(baseline, self.suite.seeds[0], target)[-1]

    def _evaluate(self, exported: str, file: str, target: Target, beside: Mapping[str, str]) -> str:
        """The evaluation of a file; `beside`: role -> the evaluation that it is compared with."""
        inputs = {"data": self.staging.data, "model": file, "export": exported, **beside}
        runtime = self.machine.runtime(target.entry.python, target.is_reference)
        numerics = {"runtime": runtime["runtime"], "runtime_version": runtime["runtime_version"]}
        if target.entry.plugin:
            numerics["plugins"] = runtime["facts"].get("plugins", [])
        return self.staging.add("evaluate", inputs=inputs, settings=_settings(target), numerics=numerics)

    def _measure(self, file: str, target: Target, beside: Mapping[str, str], leads: bool) -> str:
        """The newest timing of a file; `beside`: role -> the references' files, and the file's own evaluation."""
        inputs = {"data": self.staging.data, "model": file, **beside}
        entry = target.entry
        settings = {
            **_settings(target),
            "batch_sizes": entry.batch_sizes,
            "processes": entry.processes,
            "calls": entry.calls,
            "seconds": entry.seconds,
            "memory": entry.memory,
            "start": entry.start and leads,
            "energy": entry.energy and leads,
            "repeat": 0,
        }
        numerics = {"fingerprint": self.machine.runtime(target.entry.python, target.is_reference)["fingerprint"]}
        spec = StageSpec("measure", stages.VERSIONS["measure"], inputs=inputs, settings=settings, numerics=numerics)
        return self.staging.keep(spec.repeated(self.repeats(spec)))


def no_torch_form(case: Case) -> str | None:
    """Why torch cannot run what a case makes: a sentence; None where it can."""
    if isinstance(case.student.model.build(), Estimator):
        return f"{case.student.model.name} is no network: torch, which is timed for reference, cannot run it."
    for step in case.steps:
        name = step.spec.name
        if step.technique.form == "onnx":
            return f"{name} changes the ONNX file: torch, which is timed for reference, has no form of what it makes."
        if "rounding" in step.technique.effects:
            return f"{name} gives integers in the ONNX file only: torch, timed for reference, would simulate them."
    return None


def _row(choice: TeacherChoice, rows: Mapping[str, TeacherChoice], case: str, number: int) -> str:
    """What the row of a case's teacher is called: as it is already, by its name, else by the case."""
    known = [row for row, other in rows.items() if other == choice]
    if known:
        return known[0]
    return choice.case or f"{TEACHER}/{choice.name or numbered(case, number)}"


def _settings(target: Target) -> dict[str, object]:
    return {"target": {"session": target.session, "python": target.entry.python}}

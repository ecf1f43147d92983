"""From a suite and what was probed to its plan: the rows, and what each is measured beside. No work is done."""

from collections.abc import Mapping
from dataclasses import replace

from kdbench.cases import Case, Suite, TeacherChoice
from kdbench.plan import Label, Machine, Plan
from kdbench.records import TEACHER
from kdbench.stages.names import numbered
from kdbench.staging import Staging
from kdbench.targets import Target, targets_of

FROM_SCRATCH = "from-scratch"


def make_plan(suite: Suite, machine: Machine) -> Plan:
    """The plan of a whole suite. Raises SuiteError where parts do not fit together, DataError where data is missing."""
    return _Planner(suite, machine).plan()


class _Planner:
    """Gives every row its stages."""

    def __init__(self, suite: Suite, machine: Machine) -> None:
        self.suite = suite
        self.machine = machine
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
                raise self.suite.fail(("measure", target.index), f"a second target would be named '{target.id}'.")
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
            files = self.staging.files(case, seed, target)
            for key in files[1:]:
                self.label(case.name, seed, key, target.id)
            teacher = case.teachers[0] if case.teachers else None
            origin = self.staging.files(uncompressed, seed, target)[-1] if uncompressed else None
            self._rows(case.name, seed, files, target, baseline, teacher, origin)

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
                for seed in self.suite.seeds if choice.per_seed else (choice.seed,):
                    self._teacher_rows(choice, row, seed)

    def _teacher_rows(self, choice: TeacherChoice, row: str, seed: int) -> None:
        """A teacher as a row of its own."""
        self.label(row, seed, self.staging.teacher(choice, seed))
        file = self.staging.teacher_file(choice, seed)
        for target in self.out.targets:
            self._rows(row, seed, [file], target, self.suite.cases[self.suite.baseline], choice)

    def _rows(
        self,
        case: str,
        seed: int,
        files: list[str],
        target: Target,
        baseline: Case,
        teacher: TeacherChoice | None,
        origin: str | None = None,
    ) -> None:
        """Evaluate and measure the last of a row's files, beside its baseline, its teacher and what it came from."""
        teacher_file = self.staging.teacher_file(teacher, seed) if teacher else None
        beside: dict[str, str] = {}
        if teacher_file is not None:
            answered = self._evaluate(teacher_file, teacher_file, target, {})
            beside = {} if files[-1] == teacher_file else {"teacher": answered}
        if origin is not None:
            beside = {**beside, "origin": self._evaluate(origin, origin, target, beside)}
        base = self.staging.files(baseline, self.suite.seeds[0], target)[-1]
        own = self._evaluate(files[0], files[-1], target, beside)
        self.label(case, seed, own, target.id)
        self.label(case, seed, self._measure(files[-1], target, base, teacher_file), target.id)

    def _evaluate(self, exported: str, file: str, target: Target, beside: Mapping[str, str]) -> str:
        """The evaluation of a file; `beside`: role -> the evaluation that it is compared with."""
        inputs = {"data": self.staging.data, "model": file, "export": exported, **beside}
        runtime = self.machine.runtimes[target.entry.python]
        numerics = {"runtime": runtime["runtime"], "runtime_version": runtime["runtime_version"]}
        return self.staging.add("evaluate", inputs=inputs, settings=_settings(target), numerics=numerics)

    def _measure(self, file: str, target: Target, baseline: str, teacher: str | None) -> str:
        inputs = {"data": self.staging.data, "model": file, "baseline": baseline}
        if teacher is not None:
            inputs["teacher"] = teacher
        entry = target.entry
        settings = {
            **_settings(target),
            "batch_sizes": entry.batch_sizes,
            "processes": entry.processes,
            "calls": entry.calls,
            "seconds": entry.seconds,
            "memory": entry.memory,
            "repeat": 0,
        }
        fingerprint = self.machine.runtimes[entry.python]["fingerprint"]
        return self.staging.add("measure", inputs=inputs, settings=settings, numerics={"fingerprint": fingerprint})


def _row(choice: TeacherChoice, rows: Mapping[str, TeacherChoice], case: str, number: int) -> str:
    """What the row of a case's teacher is called: as it is already, by its name, else by the case."""
    known = [row for row, other in rows.items() if other == choice]
    if known:
        return known[0]
    return choice.case or f"{TEACHER}/{choice.name or numbered(case, number)}"


def _settings(target: Target) -> dict[str, object]:
    return {"target": {"session": target.session, "python": target.entry.python}}

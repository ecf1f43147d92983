"""From a suite and what was probed to its plan: stages from the data down, equal work once. No work is done."""

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kdbench import stages
from kdbench.errors import KdbenchError
from kdbench.parts import PartSpec
from kdbench.plan import Label, Machine, Plan
from kdbench.protocols import Task
from kdbench.recipe import Recipe
from kdbench.records import TEACHER
from kdbench.specs import StageSpec
from kdbench.suite import Case, Step, StudentChoice, Suite, TeacherChoice
from kdbench.targets import Target, targets_of

OPSET = 20
"""The exporter's own default in the torch releases that are supported; earlier ones are raised to 18 silently."""

FROM_SCRATCH = "from-scratch"


def make_plan(suite: Suite, machine: Machine) -> Plan:
    """The plan of a whole suite. Raises SuiteError where parts do not fit together, DataError where data is missing."""
    return _Planner(suite, machine).plan()


class _Planner:
    """Adds stages from the data down; equal work is added once, whoever asks."""

    def __init__(self, suite: Suite, machine: Machine) -> None:
        self.suite = suite
        self.machine = machine
        self.out = Plan(suite, machine, targets_of(suite.measure))
        self.models: dict[str, PartSpec] = {}
        self.packages = {name: _version(name) for name in ("torch", "onnx", "onnxscript")}
        try:
            self.task = suite.task.located()
        except KdbenchError as error:
            raise suite.fail(("task", suite.task.name), str(error)) from None
        declared: Task = self.task.build()
        self.view_count = declared.views()
        self.data = self.add("decode", parts={"task": self.task})

    def plan(self) -> Plan:
        self._distinct_targets()
        baselines = self._own_baselines()
        self.out.references = {name: case.name for name, case in baselines.items()}
        if self.suite.teacher is not None:
            own = self.suite.teacher
            for seed in self.suite.seeds if own.per_seed else (own.seed,):
                self._teacher_rows(own, seed)
        added = {case.name: case for case in baselines.values() if case.name not in self.suite.cases}
        self.out.cases = {**self.suite.cases, **added}
        self.out.references |= {name: name for name in added}
        for case in self.out.cases.values():
            for seed in self.suite.seeds:
                self._case(case, baselines.get(case.name, case), seed)
        return self.out

    def add(self, kind: str, **fields: Any) -> str:
        """A stage of a kind; the key."""
        number = stages.VERSIONS[kind]
        if kind in ("train", "compress"):
            number = number * 1000 + stages.LOOP_VERSION
        spec = StageSpec(kind, number, **fields)
        self.out.stages.setdefault(spec.key, spec)
        return spec.key

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
        plain = [case for case in self.suite.cases.values() if not case.steps]
        found: dict[str, Case] = {}
        for case in self.suite.cases.values():
            if case.student == baseline.student:
                found[case.name] = baseline
                continue
            known = [other for other in (*plain, *found.values()) if other.student == case.student]
            added = replace(case, name=f"{case.name}/{FROM_SCRATCH}", steps=())
            found[case.name] = known[0] if known else added
        return found

    def _case(self, case: Case, baseline: Case, seed: int) -> None:
        """Every stage and label of a case and a seed."""
        trained = self._trained(case, seed)
        for key in trained:
            self.label(case.name, seed, key)
        exported = self._export(trained[-1])
        for target in self.out.targets:
            files = self._files(case, exported, seed, target)
            for key in files[1:]:
                self.label(case.name, seed, key, target.id)
            teacher = self._teacher(case.teacher, seed) if case.teacher else None
            self._rows(case.name, seed, exported, files[-1], target, baseline, teacher)

    def _teacher_rows(self, choice: TeacherChoice, seed: int) -> None:
        """The teacher as a row of its own."""
        trained = self._teacher(choice, seed)
        exported = self._export(trained)
        self.label(TEACHER, seed, trained)
        for target in self.out.targets:
            self._rows(TEACHER, seed, exported, exported, target, self.suite.cases[self.suite.baseline], trained)

    def _rows(
        self, case: str, seed: int, exported: str, file: str, target: Target, baseline: Case, teacher: str | None
    ) -> None:
        """Evaluate and measure the file of a row, beside its baseline and its teacher (the key of its training)."""
        teacher_file = self._export(teacher) if teacher else None
        answered = self._evaluate(teacher_file, teacher_file, target, None) if teacher_file else None
        first = self.suite.seeds[0]
        base = self._files(baseline, self._export(self._trained(baseline, first)[-1]), first, target)[-1]
        own = self._evaluate(exported, file, target, None if file == teacher_file else answered)
        self.label(case, seed, own, target.id)
        self.label(case, seed, self._measure(file, target, base, teacher_file), target.id)

    def _files(self, case: Case, exported: str, seed: int, target: Target) -> list[str]:
        """Keys of the exported file and of what each step on files makes of it for a target, in order."""
        files = [exported]
        for step in case.steps:
            if step.technique.form == "onnx":
                files.append(self._compress_file(step, files[-1], seed, target))
        return files

    def _trained(self, case: Case, seed: int) -> list[str]:
        """Keys of the stages that make a case's torch model, in order."""
        steps = [step for step in case.steps if step.technique.form == "torch"]
        starts_trained = not steps or steps[0].technique.start == "trained"
        keys = [self._train(case.student, seed)] if starts_trained else []
        for step in steps:
            keys.append(self._compress(step, case, keys[-1] if keys else None, seed))
        return keys

    def _train(self, choice: StudentChoice, seed: int) -> str:
        recipe = self.suite.recipes[choice.recipe]
        parts = {
            "task": self.task,
            "model": self._located(choice.model),
            "recipe:train": _recipe(choice.recipe, recipe),
        }
        return self.add("train", parts=parts, inputs={"data": self.data}, seed=seed, numerics=self._torch())

    def _teacher(self, choice: TeacherChoice, seed: int) -> str:
        return self._train(StudentChoice(choice.model, choice.recipe), seed if choice.per_seed else choice.seed)

    def _outputs(self, teacher: str, recipe: Recipe, seed: int) -> str:
        """The teacher's stored outputs; with one view an example they are the same for every seed and length."""
        viewed: dict[str, Any] = {"seed": seed, "settings": {"epochs": recipe.epochs}} if self.view_count > 1 else {}
        inputs = {"data": self.data, "teacher": teacher}
        return self.add("teach", parts={"task": self.task}, inputs=inputs, numerics=self._torch(), **viewed)

    def _compress(self, step: Step, case: Case, before: str | None, seed: int) -> str:
        parts = {"task": self.task, "technique": step.spec}
        inputs = {"data": self.data, **({"model": before} if before else {})}
        for role, name in step.recipes.items():
            parts[f"recipe:{role}"] = _recipe(name, self.suite.recipes[name])
        if before is None:
            parts["model"] = self._located(case.student.model)
            self._check_start(step, case)
        if step.technique.needs & {"teacher", "teacher_features"} and case.teacher:
            inputs["teacher"] = self._teacher(case.teacher, seed)
        if "teacher" in step.technique.needs and case.teacher:
            longest = max(
                (self.suite.recipes[name] for name in step.recipes.values()), key=lambda recipe: recipe.epochs
            )
            inputs["outputs"] = self._outputs(inputs["teacher"], longest, seed)
        return self.add("compress", parts=parts, inputs=inputs, seed=seed, numerics=self._torch(step))

    def _check_start(self, step: Step, case: Case) -> None:
        if step.technique.start == "pretrained" and case.student.model.build().pretrained() is None:
            model = case.student.model.name
            raise self.suite.fail(
                step.place, f"{step.spec.name} starts from a weights file, and the student {model} names none."
            )

    def _export(self, model: str) -> str:
        parts, inputs = {"task": self.task}, {"data": self.data, "model": model}
        return self.add("export", parts=parts, inputs=inputs, settings={"opset": OPSET}, numerics=self.packages)

    def _compress_file(self, step: Step, file: str, seed: int, target: Target) -> str:
        settled = step.technique.settle(target.destination(self.machine.architecture))
        parts = {"task": self.task, "technique": replace(step.spec, fields=settled.to_fields())}
        inputs = {"data": self.data, "model": file}
        numerics = {"onnx": self.packages["onnx"], **_packages(step)}
        return self.add("compress", parts=parts, inputs=inputs, seed=seed, numerics=numerics)

    def _evaluate(self, exported: str, file: str, target: Target, teacher: str | None) -> str:
        inputs = {"data": self.data, "model": file, "export": exported}
        if teacher is not None:
            inputs["teacher"] = teacher
        runtime = self.machine.runtimes[target.entry.python]
        numerics = {"runtime": runtime["runtime"], "runtime_version": runtime["runtime_version"]}
        return self.add("evaluate", inputs=inputs, settings=_settings(target), numerics=numerics)

    def _measure(self, file: str, target: Target, baseline: str, teacher: str | None) -> str:
        inputs = {"data": self.data, "model": file, "baseline": baseline}
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
        return self.add("measure", inputs=inputs, settings=settings, numerics={"fingerprint": fingerprint})

    def _located(self, model: PartSpec) -> PartSpec:
        """A model keyed by its weights file's content, where it has one; asked for once."""
        found = self.models.get(repr(model))
        if found is None:
            found = self.models[repr(model)] = model.located()
        return found

    def _torch(self, step: Step | None = None) -> dict[str, Any]:
        numerics = {"torch": self.packages["torch"], "device": self.machine.device}
        return {**numerics, **_packages(step)} if step is not None else numerics


def _recipe(name: str, recipe: Recipe) -> PartSpec:
    # a recipe's name is the suite's affair: equal recipes under two names are one
    return PartSpec("recipe", "recipe", Recipe.version, recipe.to_fields())


def _settings(target: Target) -> dict[str, Any]:
    return {"target": {"session": target.session, "python": target.entry.python}}


def _packages(step: Step) -> dict[str, str]:
    return {name: _version(name) for name in sorted(step.technique.packages)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"

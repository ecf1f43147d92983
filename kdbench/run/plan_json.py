"""From a plan to plan.json of a results folder: what was asked, for whoever reads its records later."""

from importlib.metadata import version

from kdbench import __version__
from kdbench.plan.plan import Plan
from kdbench.protocols import Technique
from kdbench.results.plan_json import RecordedCase, RecordedPlan, RecordedTarget, family_of
from kdbench.results.records import TEACHER
from kdbench.suite.cases import Case
from kdbench.suite.targets import Target

PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime", "numpy")


def recorded_plan(plan: Plan, command: str, warnings: list[str]) -> RecordedPlan:
    """`command` is what was typed."""
    suite = plan.suite
    return RecordedPlan(
        suite=suite.name,
        about=suite.about,
        baseline=suite.baseline,
        cases={name: _case(case, plan) for name, case in plan.cases.items()},
        teachers=plan.teachers,
        seeds=tuple(suite.seeds),
        targets=tuple(target.id for target in plan.targets),
        measure={target.id: _measured(target) for target in plan.targets},
        limits=suite.limits.as_written(),
        check=suite.tolerances.as_written(),
        command=command,
        versions={"kdbench": __version__, **{name: version(name) for name in PACKAGES}},
        warnings=tuple(warnings),
    )


def _case(case: Case, plan: Plan) -> RecordedCase:
    steps = tuple(step.spec.name for step in case.steps)
    return RecordedCase(
        name=case.name,
        steps=steps,
        family=family_of(steps, case.steps[0].technique.family if steps else ""),
        student=case.student.title,
        teacher=", ".join(choice.title for choice in case.teachers),
        teacher_row=plan.taught.get(case.name, TEACHER),
        baseline=plan.references[case.name],
        given=case.student.is_given
        or _is_pretrained(case)
        or any(_has_source_file(step.technique) for step in case.steps),
        trained=case.trains,
        has_unused_weights=_has_unused_weights(case),
        uncompressed_step_count=None if case.uncompressed is None else len(case.uncompressed.steps),
    )


def _is_pretrained(case: Case) -> bool:
    """Whether its first step starts from the student's own file of weights."""
    return bool(case.steps) and case.steps[0].technique.start == "pretrained"


def _has_unused_weights(case: Case) -> bool:
    """Whether its fresh student names a file of weights, from which nothing starts."""
    model = case.student.model
    return not (case.student.is_given or _is_pretrained(case) or model is None) and (
        model.build().pretrained() is not None
    )


def _has_source_file(technique: Technique) -> bool:
    """It begins anew and does not ask for the teacher it could learn from: its weights come from a file."""
    return "restart" in technique.effects and bool(technique.needs - technique.asks())


def _measured(target: Target) -> RecordedTarget:
    entry = target.entry
    return RecordedTarget(
        session=target.session,
        python=entry.python,
        batch_sizes=tuple(entry.batch_sizes),
        processes=entry.processes,
        calls=entry.calls,
        seconds=entry.seconds,
        memory=entry.memory,
        start=entry.start,
    )

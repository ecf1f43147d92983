"""plan.json of a results folder: what was asked, for whoever reads its records later. Writes no file."""

from importlib.metadata import version
from typing import Any

from kdbench import __version__
from kdbench.plan.plan import Plan
from kdbench.results.records import TEACHER
from kdbench.suite.cases import Case
from kdbench.suite.targets import Target

PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime", "numpy")


def about(plan: Plan, command: str, warnings: list[str]) -> dict[str, Any]:
    """As JSON data; `command` is what was typed."""
    suite = plan.suite
    return {
        "suite": suite.name,
        "about": suite.about,
        "baseline": suite.baseline,
        "cases": {name: _case(case, plan) for name, case in plan.cases.items()},
        "teachers": [row for row in plan.teachers if row != TEACHER],
        "seeds": list(suite.seeds),
        "targets": [target.id for target in plan.targets],
        "measure": {target.id: _measured(target) for target in plan.targets},
        "limits": suite.limits.as_written(),
        "check": suite.tolerances.as_written(),
        "command": command,
        "versions": {"kdbench": __version__, **{name: version(name) for name in PACKAGES}},
        "warnings": warnings,
    }


def _case(case: Case, plan: Plan) -> dict[str, Any]:
    family = {"family": case.steps[0].technique.family} if len(case.steps) == 1 else {}
    origin = case.uncompressed
    return {
        "steps": [step.spec.name for step in case.steps],
        **family,
        **({"uncompressed_step_count": len(origin.steps)} if origin is not None else {}),
        "student": case.student.model.name,
        "teacher": ", ".join(choice.title for choice in case.teachers),
        "teacher_row": plan.taught.get(case.name, TEACHER),
        "baseline": plan.references[case.name],
    }


def _measured(target: Target) -> dict[str, Any]:
    """How a target is measured, for whoever measures its files again."""
    entry = target.entry
    asked = {name: getattr(entry, name) for name in ("processes", "calls", "seconds", "memory", "start")}
    return {"session": target.session, "python": entry.python, "batch_sizes": list(entry.batch_sizes), **asked}

"""What must hold of a suite as a whole, beyond each of its entries. Raises SuiteError; changes nothing."""

import itertools

from kdbench.errors import SuiteError, nearest
from kdbench.models.estimators import Estimator
from kdbench.suite.cases import Case, Step, Suite, TeacherChoice
from kdbench.suite.targets import limit_faults


def check_baseline(suite: Suite) -> None:
    if suite.baseline not in suite.cases:
        known = nearest(suite.baseline, suite.cases)
        raise suite.fail(("baseline",), f"there is no case '{suite.baseline}' to compare with. {known}")


def check_teaching_cases(suite: Suite) -> None:
    """A case that teaches exists, ends in a torch model, and does not learn from itself."""
    for case in suite.cases.values():
        for choice in case.teachers:
            _check_teaching(suite, choice)
        if case.name in _all_teaching(suite, case):
            raise suite.fail((*case.place, "teacher"), f"'{case.name}' would learn from itself; name another case.")


def _teaching(case: Case) -> list[str]:
    return [choice.case for choice in case.teachers if choice.case is not None]


def _all_teaching(suite: Suite, case: Case) -> set[str]:
    """The cases that teach a case, those that teach them, and so on."""
    found: set[str] = set()
    waiting = _teaching(case)
    while waiting:
        name = waiting.pop()
        if name not in found and name in suite.cases:
            found.add(name)
            waiting += _teaching(suite.cases[name])
    return found


def _check_teaching(suite: Suite, choice: TeacherChoice) -> None:
    name = choice.case
    if name is None:
        return
    if name not in suite.cases:
        raise suite.fail(choice.place, f"there is no case '{name}' to learn from. {nearest(name, suite.cases)}")
    onnx = [step.spec.name for step in suite.cases[name].steps if step.technique.form == "onnx"]
    if onnx:
        raise suite.fail(
            choice.place, f"'{name}' ends in an ONNX file ({onnx[0]}), which cannot teach; name one without."
        )


def check_selection(suite: Suite) -> None:
    """Without a validation split nothing can be chosen: choosing on the test split is never done."""
    for name, recipe in suite.recipes.items():
        if recipe.needs_validation and suite.task.fields.get("validation_fraction") == 0:
            raise suite.fail(
                ("recipes", name),
                "with validation_fraction 0 nothing can be selected on validation; raise it, or leave out "
                "select, stop_at and patience.",
            )


def check_limits(suite: Suite) -> None:
    faults = [suite.fail(("limits", *place), text) for place, text in limit_faults(suite.limits, suite.measure)]
    if faults:
        raise SuiteError("\n".join(map(str, faults)))


def check_tolerances(suite: Suite) -> None:
    faults = [suite.fail(("check", "cases", name), text) for name, text in suite.tolerances.unknown_cases(suite.cases)]
    if faults:
        raise SuiteError("\n".join(map(str, faults)))


def check_estimators(suite: Suite) -> None:
    """A student that is no network is fitted once, by a step that has targets for it; and it teaches nobody."""
    for case in suite.cases.values():
        model = case.student.model.build()
        if isinstance(model, Estimator):
            _check_estimator(suite, case, model)
        for choice in case.teachers:
            other = suite.cases.get(choice.case) if choice.case is not None else None
            teacher = other.student.model if other is not None else choice.model
            if teacher is not None and isinstance(teacher.build(), Estimator):
                raise suite.fail(choice.place, f"{teacher.name} is no network, and cannot teach.")


def _check_estimator(suite: Suite, case: Case, model: Estimator) -> None:
    name = case.student.model.name
    missing = model.missing()
    if missing is not None:
        raise suite.fail(case.place, f"the student {name} cannot be fitted here: {missing}.")
    if case.regularizer is not None:
        raise suite.fail((*case.place, "regularizer"), f"{name} has no weights to penalise; leave it out.")
    for number, step in enumerate(case.steps):
        reason = step.technique.no_targets()
        if reason is not None:
            raise suite.fail(step.place, f"{step.spec.name} cannot teach the student {name}: {reason}")
        if number > 0:
            raise suite.fail(step.place, f"{name} is fitted once, by {case.steps[0].spec.name}; leave this step out.")


def check_orders(suite: Suite) -> None:
    """No step undoes, or cannot work on, what an earlier one of its case left; all that do are told at once."""
    faults = [
        suite.fail(later.place, f"{later.spec.name} makes no sense after {earlier.spec.name}: {reason}")
        for case in suite.cases.values()
        for earlier, later in itertools.combinations(case.steps, 2)
        if (reason := _senseless(earlier, later)) is not None
    ]
    if faults:
        raise SuiteError("\n".join(dict.fromkeys(map(str, faults))))  # a grid's cases share their steps' places


def _senseless(earlier: Step, later: Step) -> str | None:
    """Why a step cannot come after another: what follows from their effects, then the technique's own reason."""
    before, after = earlier.technique.effects, later.technique.effects
    if "rounding" in before & after:
        return "its numbers are rounded to fewer bits already, and that is done once; leave one of the two out."
    if "rounding" in before and "surgery" in after:
        return "its rounding ranges belong to the layers and weights they were learned with; move it up."
    if "restart" in after:
        return "it starts over, so what was done before it would be lost, or be in one network only; put it first."
    if "teaching" in before and "retraining" in after:
        return "it trains through a whole recipe, in which what the teacher taught is lost; leave one of the two out."
    trains = bool(later.recipes)
    if trains and "sharing" in before:
        return "its training spreads the shared weights apart again; move it up."
    if trains and "zeros" in before and not after & {"zeros", "sharing"}:
        return "its training fills the zeros again; move it up."
    return later.technique.refuses_after(earlier.technique)


CHECKS = (
    *(check_baseline, check_teaching_cases, check_orders, check_estimators),
    *(check_selection, check_limits, check_tolerances),
)
"""All of them, in the order in which their faults are reported."""

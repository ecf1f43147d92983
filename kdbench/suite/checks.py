"""Checks between the entries of a suite. Each gives (place, sentence) for every fault that it finds."""

import graphlib
from collections.abc import Collection, Iterator, Mapping

from kdbench.errors import Place, nearest
from kdbench.protocols import Model, Task
from kdbench.protocols.data import NOTHING_VARIES
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe
from kdbench.suite.cases import AS_GIVEN, FROM_SCRATCH, Case, Step, StudentChoice, TeacherChoice
from kdbench.suite.form import MeasureEntry

MOST_ROWS = 50_000
"""Cases x seeds x targets of a suite: planning 50,000 takes about a minute."""

ESTIMATOR_KINDS = frozenset({"classes", "values"})
"""The kinds of output that a student which is no network can give."""
Found = Iterator[tuple[Place, str]]


def size_faults(case_count: int, seed_count: int, entries: Collection[MeasureEntry]) -> Found:
    """A suite that means more rows than anybody waits for is refused before they are planned."""
    targets = sum(len(entry.threads) * len(entry.precisions) for entry in entries)
    rows = case_count * seed_count * targets
    if rows > MOST_ROWS:
        yield (
            (),
            f"{case_count:,} cases x {seed_count:,} seeds x {targets:,} targets (threads x precisions) are {rows:,} "
            f"rows, each a file to evaluate and to time; a suite may have {MOST_ROWS:,}.",
        )


def comparison_faults(compared: Mapping[Place, str], names: Collection[str]) -> Found:
    """Cases that others are compared with must exist. compared: where the file names one, `baseline` included."""
    for place, name in compared.items():
        if name not in names:
            yield place, f"there is no case '{name}' to compare with. {nearest(name, names)}"


def teaching_faults(cases: Mapping[str, Case], teachers: Collection[TeacherChoice], names: Collection[str]) -> Found:
    """A case that teaches exists, ends in a torch model, and does not learn from itself.

    cases: those that could be read; names: theirs, and those of all others; teachers: every one in the file.
    """
    for choice in teachers:
        yield from _teacher_faults(choice, cases, names)
    taught_by = {name: [choice.case for choice in case.teachers if choice.case] for name, case in cases.items()}
    try:
        graphlib.TopologicalSorter(taught_by).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        place = (*cases[circle[0]].place, "teacher")
        through = f", through {', '.join(circle[1:-1])}" if len(circle) > 2 else ""
        yield place, f"'{circle[0]}' would learn from itself{through}; name another case."


def _teacher_faults(choice: TeacherChoice, cases: Mapping[str, Case], names: Collection[str]) -> Found:
    if choice.case is not None and choice.case not in names:
        yield choice.place, f"there is no case '{choice.case}' to learn from. {nearest(choice.case, names)}"
    case = cases.get(choice.case or "")
    if case is not None:
        files = [step.spec.name for step in case.steps if step.technique.form != "torch"]
        if files:
            text = f"'{case.name}' ends in a file ({files[0]}), which cannot teach; name one without."
            yield choice.place, text
        if case.student.onnx is not None:
            yield choice.place, f"'{case.name}' is an ONNX file; name the file itself: `teacher: {{onnx: FILE}}`."
    teacher = case.student.model if case is not None else choice.model
    if teacher is not None and teacher.build().form == "estimator":
        yield choice.place, f"{teacher.name} is no network, and cannot teach."


def estimator_faults(student: StudentChoice, steps: Collection[Step], has_regularizer: bool, place: Place) -> Found:
    """A student that is no network is fitted once, by a step that has targets for it."""
    if student.model is None or student.form != "estimator":
        return
    model = student.model.build()
    name = student.model.name
    missing = model.missing()
    if missing is not None:
        yield place, f"the student {name} cannot be fitted here: {missing}."
    if has_regularizer:
        yield (*place, "regularizer"), f"{name} has no weights to penalise; leave it out."
    first = ""
    for step in steps:
        reason = step.technique.no_targets()
        if reason is not None:
            yield step.place, f"{step.spec.name} cannot teach the student {name}: {reason}"
        elif first:
            yield step.place, f"{name} is fitted once, by {first}; leave this step out."
        first = first or step.spec.name


def given_faults(student: StudentChoice, steps: Collection[Step], has_regularizer: bool, place: Place) -> Found:
    """A given student keeps the weights that it came with: nothing starts over, or trains what cannot be trained."""
    if not student.is_given:
        return
    if place == ("cases", FROM_SCRATCH) and not steps:
        yield (
            place,
            f"'{FROM_SCRATCH}' is a student trained on labels, and this one is given; call the case '{AS_GIVEN}', or "
            "give it a fresh student of its own (`student: {model: NAME}`).",
        )
    if has_regularizer and not any(step.recipes for step in steps):
        text = "nothing in this case trains the given student, so no penalty can act; leave it out."
        yield (*place, "regularizer"), text
    for step in steps:
        name = step.spec.name
        if student.onnx is not None and step.technique.form != "onnx":
            yield (
                step.place,
                f"{name} works on a torch model, and the student is an ONNX file; give its network "
                "(`student: {model: NAME, weights: FILE}`), or leave the step out.",
            )
        elif "restart" in step.technique.effects or step.technique.start == "pretrained":
            yield (
                step.place,
                f"{name} starts from other weights, and the student is given with its own; leave the step out, or make "
                "the student fresh (`student: {model: NAME}`).",
            )


def as_given_faults(cases: Mapping[str, Case]) -> Found:
    """The name `as-given` belongs to a given student without any step."""
    case = cases.get(AS_GIVEN)
    if case is not None and not (case.plain and case.student.is_given):
        what = "has steps" if case.student.is_given else "has a student that is trained here"
        yield case.place, f"'{AS_GIVEN}' is a given student as it is, and this case {what}; choose another name."


def kind_faults(cases: Collection[Case], kinds: Collection[str]) -> Found:
    """Steps that make no sense for the task's kinds of output, as far as the task tells these before it is decoded."""
    for case in cases:
        student = case.student.model
        for kind in kinds:
            if student is not None and case.student.form == "estimator" and kind not in ESTIMATOR_KINDS:
                yield (
                    case.place,
                    f"{student.name} gives classes or values, and the task's outputs are {kind}; take a network.",
                )
            for step in case.steps:
                problem = step.technique.kind_problem(kind)
                if problem is not None:
                    yield step.place, f"{step.spec.name} makes no sense for a task whose outputs are {kind}: {problem}"


def transformer_faults(cases: Collection[Case]) -> Found:
    """Steps that work inside transformers need networks whose architectures say where their blocks are."""
    for case in cases:
        for step in case.steps:
            if step.technique.works_on != "transformers":
                continue
            networks = {"student": case.student.model}
            if step.technique.asks() and case.teachers:
                networks["teacher"] = case.teachers[0].model
            for whose, model in networks.items():
                if model is not None and not _may_have_blocks(model.build()):
                    yield (
                        step.place,
                        f"{step.spec.name} works inside transformers, and the {whose} {model.name} does not say where "
                        "its attention is; take encoder, or transformers with the folder of a BERT, RoBERTa or "
                        "DistilBERT, or let layers() of your own model name its `blocks`.",
                    )


def _may_have_blocks(model: Model) -> bool:
    """Whether an architecture names blocks, or may do so once its files are there."""
    return model.layers_from_files or bool(model.layers().blocks)


def length_faults(entries: Collection[MeasureEntry], task: Task) -> Found:
    """Lengths to time at, where every example has the same size, as far as the task tells before it is decoded."""
    for number, entry in enumerate(entries):
        if entry.lengths and task.varies() is False:
            yield ("measure", number, "lengths"), NOTHING_VARIES


def selection_faults(recipes: Mapping[str, Recipe], task: PartSpec) -> Found:
    """Without a validation split nothing can be chosen: choosing on the test split is never done."""
    for name, recipe in recipes.items():
        if recipe.needs_validation and task.fields.get("validation_fraction") == 0:
            yield (
                ("recipes", name),
                "with validation_fraction 0 nothing can be selected on validation; raise it, or leave out "
                "select, stop_at and patience.",
            )

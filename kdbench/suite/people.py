"""One suite a group: the same cases on the examples of one person, sensor or site at a time. Knows no plan."""

from collections.abc import Iterator
from dataclasses import replace

from kdbench.errors import Place
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.suite.cases import Suite

FIELD = "only"
"""The field of a task that keeps the examples of some groups: {column: [value, ...]}."""


def of_groups(suite: Suite) -> list[Suite]:
    """The suite of each group, named SUITE-GROUP; the suite itself where it names no groups.

    The students' task is the group's examples alone; the teachers that are trained are trained on everybody's.
    """
    if not suite.split_by:
        return [suite]
    ((column, groups),) = suite.split_by.items()
    return [
        replace(
            suite,
            name=f"{suite.name}-{group}",
            about=f"{suite.about} ({column} {group})".strip(),
            task=_restricted(suite.task, column, group),
            everybody=suite.task,
            group=group,
        )
        for group in groups
    ]


def _restricted(task: PartSpec, column: str, group: str) -> PartSpec:
    part = type(task.build()).from_fields({**task.fields, FIELD: {column: [group]}})
    made = spec_of(task.kind, task.name, part)
    return replace(made, code=task.code)


def group_faults(suite_task: PartSpec, split_by: dict[str, tuple[str, ...]]) -> Iterator[tuple[Place, str]]:
    """A suite is split by one column, of a task that can keep some of its examples."""
    if not split_by:
        return
    if len(split_by) > 1:
        named = ", ".join(split_by)
        yield ("split_by",), f"a suite is split by one column, and {named} are {len(split_by)}; choose one."
    if FIELD not in suite_task.fields:
        name = suite_task.name
        yield (
            ("split_by",),
            f"{name} cannot keep one group's examples: it has no field '{FIELD}', as audio_folder and table have.",
        )
    elif suite_task.fields[FIELD]:
        yield ("split_by",), f"the task keeps some examples by its own field '{FIELD}' already; leave one of them out."
    for column, groups in split_by.items():
        if len(groups) < 2:
            text = f"groups to compare are two or more, and this is {len(groups)}; use the task's field '{FIELD}'."
            yield ("split_by", column), text

"""Shapes of a task's inputs, as models need them before they are built. Knows no torch."""

from math import prod

from kdbench.errors import ModelError
from kdbench.protocols import Input, TaskDescription
from kdbench.protocols.columns import TableColumns


def feature_count(model: str, task: TaskDescription) -> int:
    """How many numbers the task's single input holds. Raises ModelError when the task has several inputs."""
    return prod(_single_shape(model, task))


def image_shape(model: str, task: TaskDescription) -> tuple[int, int, int]:
    """(channels, height, width) of the task's single image input. Raises ModelError when it is no image."""
    shape = _single_shape(model, task)
    if len(shape) != 3:
        text = "x".join(str(size) for size in shape)
        raise ModelError(f"{model} takes images (channels, height, width), got inputs of shape {text}; use mlp.")
    channels, height, width = shape
    return channels, height, width


def text_inputs(model: str, task: TaskDescription) -> tuple[Input, Input]:
    """The task's ids, of varying length, and their mask. Raises ModelError where it has none."""
    by_role = {one.role: one for one in task.inputs}
    ids, mask = by_role.get("values"), by_role.get("mask")
    if ids is None or mask is None or ids.dtype != "int64" or ids.values is None or ids.symbolic is None:
        raise ModelError(f"{model} takes ids of varying length and a mask, as the task text_file gives them; use mlp.")
    return ids, mask


def _single_shape(model: str, task: TaskDescription) -> tuple[int, ...]:
    if TableColumns.of(task) is not None:
        raise ModelError(f"{model} takes one input of scaled numbers, the task has a table's columns; use table_mlp.")
    if len(task.input_shapes) != 1:
        names = ", ".join(task.input_names)
        raise ModelError(
            f"{model} takes one input, the task has {len(task.input_shapes)} ({names}); use another model."
        )
    return task.input_shapes[0]

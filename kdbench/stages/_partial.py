"""Networks that take some of a task's inputs, or give some of its outputs, in the place of one that takes all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kdbench import functional as F
from kdbench.errors import ModelError, TrainingError, nearest
from kdbench.protocols import Batch, Loss, Model, Output, Outputs, TaskDescription
from kdbench.protocols.part import PartSpec
from kdbench.protocols.recipe import Recipe


def built(model: Model, part: PartSpec, task: TaskDescription) -> nn.Module:
    """The network of a declaration, which takes all of the task's inputs and gives all of its outputs.

    Where the part names some of them, the network is that of a task with these alone; it is handed these, and zeros
    stand for the outputs that it does not tell. Raises ModelError for names that the task does not have.
    """
    if not part.inputs and not part.outputs:
        return model.build(task)
    own = part_of(task, part)
    network = model.build(own)
    cls = type(network)
    network.__class__ = type(cls.__name__, (_Partial, cls), {"__module__": cls.__module__})
    names = list(task.input_names)
    network.input_places = [names.index(one.name) for one in own.inputs]  # type: ignore[assignment]
    told = [output.name for output in own.outputs]
    network.missing = [None if output.name in told else output for output in task.outputs]  # type: ignore[assignment]
    return network


class _Partial(nn.Module):
    """Stands before a network's class: modules keep their paths, and tensors their names."""

    input_places: list[int]
    missing: list[Output | None]

    def forward(self, *inputs: Tensor) -> Any:
        answer = super().forward(*(inputs[place] for place in self.input_places))
        if not any(self.missing):
            return answer
        given = iter(F.outputs_of(answer, self))
        count = len(inputs[0])
        return tuple(next(given) if one is None else _nothing(one, count, inputs[0]) for one in self.missing)


def _nothing(output: Output, count: int, like: Tensor) -> Tensor:
    return torch.zeros(count, *output.axes, device=like.device)  # type: ignore[arg-type]  # `part_of` refuses others


def part_of(task: TaskDescription, part: PartSpec) -> TaskDescription:
    """The task as a network sees it that takes and tells what the part names. Raises ModelError."""
    for what, named, known in (("input", part.inputs, task.input_names), ("output", part.outputs, task.output_names)):
        for name in named:
            if name not in known:
                raise ModelError(f"the task has no {what} '{name}' for {part.name}. {nearest(name, known)}")
    axes = {axis for one in task.inputs if one.name in part.inputs for axis in one.axes}
    inputs = [one for one in task.inputs if not part.inputs or one.name in part.inputs or _tells_of(one.covers, axes)]
    outputs = [output for output in task.outputs if not part.outputs or output.name in part.outputs]
    left = next((o for o in task.outputs if o not in outputs and any(isinstance(axis, str) for axis in o.axes)), None)
    if left is not None:
        raise ModelError(
            f"'{left.name}' varies in length, so that a teacher cannot leave it out; name it in `outputs`."
        )
    used = {axis for one in inputs for axis in (*one.axes, one.covers)}
    return task.model_copy(
        update={
            "inputs": tuple(inputs),
            "outputs": tuple(outputs),
            "axes": tuple(axis for axis in task.axes if axis.name in used),
        }
    )


def _tells_of(covered: str | None, axes: set[int | str]) -> bool:
    return covered is not None and covered in axes


def labels_loss(part: PartSpec, task: TaskDescription, recipe: Recipe | None = None) -> Loss | None:
    """The loss on the labels of the outputs that a network tells; None where it tells all.

    Raises TrainingError where the recipe would choose by an output that it does not tell.
    """
    if not part.outputs:
        return None
    first = task.outputs[0].name
    if first not in part.outputs and recipe is not None and recipe.needs_validation:
        raise TrainingError(
            f"the recipe selects or stops on validation, which goes by '{first}', and the network does not tell that; "
            "give it a recipe without select, stop_at and patience."
        )
    places = [place for place, output in enumerate(task.outputs) if output.name in part.outputs]
    own = task.model_copy(update={"outputs": tuple(task.outputs[place] for place in places)})

    def chosen(of: Sequence[Tensor]) -> Outputs:
        return tuple(of[place] for place in places)

    def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
        return F.labels_loss(own, replace(batch, targets=chosen(batch.targets)), chosen(outputs))

    return loss

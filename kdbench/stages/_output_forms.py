"""The form in which one output of a teacher is stored: whole or its largest logits, in float32 or half precision."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kdbench.errors import TechniqueError
from kdbench.protocols import Output, TaskDescription
from kdbench.protocols.stored_outputs import CLASS_AXIS, NUMBERS, StoredOutputs, class_numbers
from kdbench.ragged import Array, Ragged, Stored


class OutputForm:
    """How one output is stored: as one array of rows, or, of the k largest logits, as two."""

    def __init__(self, output: Output, stored: StoredOutputs) -> None:
        self.output, self._numbers = output, np.dtype(NUMBERS[stored.precision])
        self.top_k = stored.top_k if output.kind in CLASS_AXIS else None
        self._axis = CLASS_AXIS.get(output.kind, 1)
        self._class_count = output.class_count
        self._classes = class_numbers(output)

    @property
    def file_names(self) -> tuple[str, ...]:
        """What the files of an output are called, before its number."""
        return ("outputs",) if self.top_k is None else ("outputs", "classes")

    def packed(self, given: Tensor) -> list[Array]:
        """What is stored of an output (B, ...): numbers (B, ...), or k + 1 logits and k classes along the last axis.

        Raises TechniqueError where half precision does not hold a number.
        """
        if self.top_k is None:
            return [self._cast(given)]
        logits = given.movedim(self._axis, -1)
        largest, classes = logits.topk(self.top_k, dim=-1)
        others = logits.scatter(-1, classes, -torch.inf).logsumexp(-1, keepdim=True)
        even = others - float(np.log(self._class_count - self.top_k))
        return [self._cast(torch.cat([largest, even], -1)), classes.cpu().numpy().astype(self._classes)]

    def unpacked(self, arrays: Sequence[Array], device: torch.device) -> Tensor:
        """The output (B, ...) that `packed` stored, in float32."""
        numbers, *classes = (torch.from_numpy(array).to(device) for array in arrays)
        numbers = numbers.float()
        if not classes:
            return numbers
        logits = numbers[..., -1:].expand(*numbers.shape[:-1], self._class_count).clone()
        logits.scatter_(-1, classes[0].long(), numbers[..., :-1])
        return logits.movedim(-1, self._axis)

    def _cast(self, given: Tensor) -> Array:
        if self._numbers == np.float32:
            return given.cpu().numpy()
        cast = given.half()
        if not torch.equal(cast.isfinite(), given.isfinite()):
            raise TechniqueError(
                f"the teacher's '{self.output.name}' reaches {float(given.abs().max()):.4g}, and half precision ends "
                "at 65,504; leave `precision` out of the teacher's `stored`."
            )
        return cast.cpu().numpy()


def forms_of(task: TaskDescription, stored: StoredOutputs) -> list[OutputForm]:
    """A form for each of a task's outputs. Raises TechniqueError where the choice does not fit them."""
    fault = stored.misfit(task.outputs)
    if fault is not None:
        raise TechniqueError(f"the top_k of a teacher's `stored`: {fault}")
    return [OutputForm(output, stored) for output in task.outputs]


def rows_at(stored: Stored, places: Array) -> Array:
    """Some rows in that order; those of unequal length are padded with zeros to the longest."""
    return stored.padded(places, 0) if isinstance(stored, Ragged) else np.asarray(stored[places])

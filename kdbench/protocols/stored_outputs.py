"""How a teacher's outputs are stored, in the words of a suite."""

from collections.abc import Sequence
from math import prod
from typing import Literal

import numpy as np
from pydantic import Field

from kdbench.protocols.data import Output, TaskDescription
from kdbench.protocols.part import Part

CLASS_AXIS = {"classes": 1, "dense_classes": 1, "token_classes": 2, "sequence": 2}
"""Kind of output -> the axis of a batch's logits along which a softmax makes probabilities."""
NUMBERS = {"fp32": "float32", "fp16": "float16"}
"""Precision -> numpy's name for its numbers."""


class StoredOutputs(Part):
    """How a teacher's outputs are stored for its students, once for every view that they are shown.

    Without any of these fields they are stored as the teacher gave them, to the bit. `precision` and `top_k` change
    what students see; what is computed as they train, where the store has no room, is given to them in the same form.
    """

    precision: Literal["fp32", "fp16"] = "fp32"
    """fp16: half precision, in half the bytes. A number keeps 11 bits, and one beyond 65,504 is refused."""
    top_k: int | None = Field(None, ge=1)
    """Of outputs that tell classes, symbols or tokens, the k largest logits are stored, and one more: the logit that
    each of the other classes then has. It gives the k classes exactly the teacher's probabilities, and shares the rest
    out evenly (Shen & Xing 2022, "FKD", marginal smoothing with top-k). At a temperature other than 1 the k logits are
    still the teacher's, and only the others are even. Outputs of other kinds are stored whole."""
    gibibytes: float = Field(4.0, gt=0)
    """How much disk the outputs of one seed may take. Where they need more, the teacher computes those of the other
    views as each student trains, which costs time and changes no number beyond rounding."""

    def row_bytes(self, task: TaskDescription) -> int:
        """How many bytes the outputs for one view take; an axis that varies counts with its median."""
        median = {axis.name: axis.median for axis in task.axes}
        return sum(
            self._bytes(output, prod(size if isinstance(size, int) else median.get(size, 1) for size in output.axes))
            for output in task.outputs
        )

    def _bytes(self, output: Output, number_count: int) -> int:
        width = np.dtype(NUMBERS[self.precision]).itemsize
        if self.top_k is None or output.kind not in CLASS_AXIS:
            return number_count * width
        places = number_count // output.class_count
        return places * ((self.top_k + 1) * width + self.top_k * class_numbers(output).itemsize)

    def misfit(self, outputs: Sequence[Output]) -> str | None:
        """What is wrong with `top_k` for a task's outputs, in words that follow it; None where it fits."""
        if self.top_k is None:
            return None
        counts = [output.class_count for output in outputs if output.kind in CLASS_AXIS]
        if not counts:
            kinds = ", ".join(dict.fromkeys(output.kind for output in outputs))
            return f"no output of the task tells classes ({kinds}); leave it out."
        if self.top_k >= min(counts):
            return f"{self.top_k} of {min(counts)} classes leaves none out; store fewer, or leave it out."
        return None


def class_numbers(output: Output) -> np.dtype:
    """The numbers that stand for the classes of an output."""
    return np.dtype(np.uint8 if output.class_count <= 256 else np.int32)

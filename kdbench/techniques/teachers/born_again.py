"""Born-again networks: a student teaches the next one of its own architecture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.protocols import Context, Effect
from kdbench.techniques.teachers._succession import Succession

if TYPE_CHECKING:
    from torch import nn


class BornAgain(Succession):
    """Teach a student by the teacher, a second one of the same architecture by the first, and so on.

    teacher -> generation 1 -> ... -> the last generation, which is the student; each arrow a training of its own with

    loss = kd_weight * T^2 * KL(softmax(t / T) || softmax(s / T)) + ce_weight * CE(s, labels)

    s: logits of the one that learns, t: of the generation before it, (B, K); summed over the K classes, averaged over
    the B examples. Every generation starts from new weights and gets the whole budget of the recipe; n generations
    cost n trainings, each recorded as one. With one generation and the same T this is `soft_distillation`.

    Paper: Furlanello et al. 2018, "Born-Again Neural Networks", sections 3 and 3.1. There the teacher has the
    student's architecture too (so does the suite's, where it names the same model for both); here it may be another
    one, and later generations are like the student. Its equations know neither labels nor a temperature, hence the
    defaults; its tables also have a sum with the labels (`ce_weight: 1`). The average of all generations as one
    larger model (BANE) is left out.
    """

    paper: ClassVar[str] = "Furlanello et al. 2018, Born-Again Neural Networks, sections 3 and 3.1"
    effects: ClassVar[frozenset[Effect]] = frozenset({"teaching", "restart"})

    temperature: float = Field(1.0, gt=0)
    """T, of every generation; 1, as in the paper, leaves the outputs as they are."""
    generations: int = Field(2, ge=1)
    """Number of students trained, one after the other; the last one is the result."""

    def between(self, ctx: Context) -> Iterator[nn.Module]:
        for number in range(1, self.generations):
            yield ctx.fresh(number)

"""A chain of teachers: the base of techniques in which one network teaches the next."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kdbench.protocols import Batch, Context, Loss, Outputs, TaskDescription
from kdbench.techniques.distillation import Distillation
from kdbench.techniques.output_kinds import SOFTENED

if TYPE_CHECKING:
    from torch import nn


class Succession(Distillation):
    """The teacher teaches a first network, that one the next, and so on; the student comes last.

    Every one of them learns with kd_weight * soft distillation + ce_weight * CE(labels) under the whole recipe, in
    a training of its own. A method says which networks stand between teacher and student (`between`).
    """

    temperature: float = Field(4.0, gt=0)
    """T, of every network in the chain; 1 leaves the outputs as they are."""

    by_kind: ClassVar[Mapping[str, str]] = SOFTENED

    def between(self, ctx: Context) -> Iterator[nn.Module]:
        """The networks between teacher and student with new weights, in the order in which they learn."""
        raise TypeError(f"{type(self).__name__} has no between()")

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        if self.kd_weight == 0:
            return super().apply(model, ctx)
        answers: Callable[[Batch], Outputs] = ctx.teacher
        for network in itertools.chain(self.between(ctx), [model]):
            taught = ctx.fit(network, self._weighted(self._from(answers, ctx.task), ctx.task))
            answers = partial(ctx.answers, taught)
        return taught

    def _from(self, answers: Callable[[Batch], Outputs], task: TaskDescription) -> Loss:
        """Soft distillation from a network that gives these answers."""
        from kdbench import functional as F

        soft = partial(F.soft_distillation, temperature=self.temperature)
        return lambda batch, outputs: self.matched("soft", task, batch, outputs, answers(batch), soft)

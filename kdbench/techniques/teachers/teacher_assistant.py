"""Teacher assistants: networks of sizes in between carry a large teacher's knowledge to a small student."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.protocols import Context, Effect
from kdbench.techniques.teachers._architectures import Architecture, identity
from kdbench.techniques.teachers._succession import Succession

if TYPE_CHECKING:
    from torch import nn


class TeacherAssistant(Succession):
    """Teach assistants of falling size one after another, and the student by the last of them.

    teacher -> assistants[0] -> assistants[1] -> ... -> student, each arrow a training of its own with

    loss = kd_weight * T^2 * KL(softmax(t / T) || softmax(s / T)) + ce_weight * CE(s, labels)

    s: logits of the one that learns, t: of the one before it in the chain, (B, K); summed over the K classes,
    averaged over the B examples. Every assistant gets the whole budget of the recipe, as the student does: n
    assistants cost n trainings more, each recorded as one, and the passes of assistants that teach are counted.

    Paper: Mirzadeh et al. 2020, "Improved Knowledge Distillation via Teacher Assistant", which also has several
    assistants in a chain. It weighs the divergence with lambda and the labels with 1 - lambda and searches lambda and
    T; here one setting holds for the whole chain, by default that of `soft_distillation`, so that the two differ in
    the assistants alone.
    """

    paper: ClassVar[str] = "Mirzadeh et al. 2020, Improved Knowledge Distillation via Teacher Assistant"
    effects: ClassVar[frozenset[Effect]] = frozenset({"teaching", "retraining"})

    assistants: tuple[Architecture, ...] = Field(min_length=1)
    """From large to small, each a registered model: a name, or one {name: {fields}}."""

    def identity(self) -> dict[str, Any]:
        """Assistants stand as their declarations with every field. Raises KdbenchError where a weights file is gone."""
        return {**self.to_fields(), "assistants": [identity(assistant) for assistant in self.assistants]}

    def between(self, ctx: Context) -> Iterator[nn.Module]:
        for number, assistant in enumerate(self.assistants, start=1):
            yield ctx.fresh(number, assistant)

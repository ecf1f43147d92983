"""Longer training: the control that spends a teacher's compute on more epochs from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from kdbench.protocols import Context, Effect, Technique

if TYPE_CHECKING:
    from torch import Tensor, nn


class LongerTraining(Technique):
    """Train on labels alone for as many more epochs as a live teacher would have cost in distillation.

    factor = (3 * student + teacher) / (3 * student)

    student, teacher: multiply-accumulates of one forward pass (convolutions, matrix products and recurrent layers, as
    sizes are reported). A step of a student is a forward pass and a backward pass, which counts as
    two of them; a live teacher adds one forward pass of its own. The recipe's epochs are multiplied by the factor and
    rounded up, its milestones and warm-up with them. The compute that trained the teacher is not counted, and a
    distillation that reads stored teacher outputs costs less than this control spends: it is generous.

    Paper: none that proposes it; Beyer et al. 2022, "Knowledge distillation: A good teacher is patient and
    consistent", is why it is needed: there students gain from thousands of epochs, so equal length must be shown.
    """

    paper: ClassVar[str] = "Beyer et al. 2022, Knowledge distillation: A good teacher is patient and consistent"
    version: ClassVar[int] = 2
    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "fresh"
    needs: ClassVar[frozenset[str]] = frozenset({"teacher_features"})
    effects: ClassVar[frozenset[Effect]] = frozenset({"retraining"})

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        from kdbench.units import three_digits

        student = forward_macs(model, ctx.example)
        teacher = forward_macs(ctx.teacher_module, ctx.example)
        factor = (3 * student + teacher) / (3 * student)
        ctx.note(
            f"Trained on labels for {three_digits(factor)} times the recipe's epochs (rounded up to whole ones), "
            "the compute of distillation from a live teacher."
        )
        return ctx.fit(model, part=(0.0, factor))


def forward_macs(network: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Multiply-accumulates of a forward pass in eval mode; the network is left as it came."""
    import copy

    from kdbench.techniques.controls._mac_counter import counted

    asked = copy.deepcopy(network).cpu().eval()
    return counted(lambda: asked(*(tensor.cpu() for tensor in inputs)))

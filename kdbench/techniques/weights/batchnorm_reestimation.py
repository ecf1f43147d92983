"""BatchNorm re-estimation: the statistics of a network's activations are measured again; nothing is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.protocols import Context, Technique
from kdbench.streams import stream

if TYPE_CHECKING:
    from torch import nn


class BatchnormReestimation(Technique):
    """Measure the running mean and variance of every BatchNorm anew, on training images; no weight changes.

    mean = the mean over batches of a batch's mean, var = the mean over batches of its unbiased variance

    Each batch is normalised with its own statistics while it passes, as in training; dropout and the like are off.
    The images are drawn and mixed with the seed, each once, and not augmented: they are what the network will see. What
    is left over from whole batches is not used. Examples of unequal length are filled up; the networks of sound here
    count their own frames alone.

    Papers: Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3 (PreciseBN; it adds to the mean variance
    within batches the variance between their means, for which the unbiased one makes up here); Li et al. 2020,
    "EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning", section 3 (adaptive batch normalisation:
    after pruning, on a part of the training set).

    What it is for: pruning and short trainings leave statistics behind that belong to another network, and that alone
    can cost nearly all accuracy. It is the control that a fine-tuning has to beat. `structured_pruning:
    {finetuned: false}` before it shows what it mends by itself.
    """

    paper: ClassVar[str] = "Wu, Johnson 2021, Rethinking 'Batch' in BatchNorm, section 3; Li et al. 2020, EagleEye"
    roles: ClassVar[frozenset[str]] = frozenset()

    sample_count: int = Field(1024, ge=2)
    """Training images to measure on; all of them where the training split has fewer."""
    batch_size: int = Field(64, ge=2)
    """Images of one batch; where there are fewer in all, one batch holds all of them."""

    def refuses_after(self, earlier: Technique) -> str | None:
        if "sharing" in earlier.effects:
            return "export multiplies its new statistics into the shared weights, which parts them again; move it up."
        return None

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        from kdbench.techniques.weights._batchnorm import reestimate

        found = ctx.calibration(min(self.sample_count, ctx.task.example_counts["train"]))
        samples = [one for one in found if len(next(iter(one.values()))) == 1]  # else the same ones, padded together
        order = stream("order of calibration", ctx.seed).permutation(len(samples))  # they may come class by class
        return reestimate(model, [samples[i] for i in order], self.batch_size, ctx.task.input_names)

    def problem(self, model: Any, ctx: Context) -> str | None:
        from kdbench.techniques.weights._batchnorm import tracking

        if tracking(model):
            return None
        return "the model has no BatchNorm with running statistics, so there is nothing to re-estimate."

"""Mixed distillation: soft targets and labels together, both weights written."""

from typing import ClassVar

from pydantic import Field

from kdbench.techniques.outputs.soft_distillation import SoftDistillation


class MixedDistillation(SoftDistillation):
    """Match the teacher's softened outputs and the labels together.

    loss = kd_weight * T^2 * KL(softmax(t / T) || softmax(s / T)) + ce_weight * CE(s, labels)

    s, t: logits of student and teacher, (B, K); summed over the K classes, averaged over the B examples. Both weights
    are written in the suite, because code bases give the same letter alpha to one or to the other.
    `divergence` puts something else in the place of KL, as in `soft_distillation`.

    At T = 1, kd_weight = lambda and ce_weight = 1 - lambda, the gradient is that of one soft target,
    CE(s, lambda * softmax(t) + (1 - lambda) * one_hot(label)); the losses differ by lambda times the teacher's entropy.
    At any other T they are different methods: only the teacher's part is softened.

    Paper: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2, which asks for a
    considerably lower weight on the labels and gives no value. `ce_weight: 0.1, kd_weight: 0.9` with T = 4 is the
    setting of Tian et al. 2020 (CRD) for CIFAR-100.
    """

    paper: ClassVar[str] = "Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, section 2"

    kd_weight: float = Field(ge=0)
    """Weight of the divergence, T^2 included."""
    ce_weight: float = Field(ge=0)
    """Weight of the cross-entropy to the labels."""

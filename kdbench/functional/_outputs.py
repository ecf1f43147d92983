"""Losses on the outputs of two networks; knows logits only, neither layers nor labels."""

import torch.nn.functional as F
from torch import Tensor


def soft_distillation(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """How far the student's softened outputs are from the teacher's: T^2 * KL(softmax(t / T) || softmax(s / T)).

    student_logits s, teacher_logits t: (B, K). The divergence is summed over the K classes and averaged over the
    B examples ("batchmean"; a mean over B * K elements would be K times smaller). T^2 keeps the size of the gradient
    while T grows: for logits of zero mean it tends to (s - t) / (K * B).

    Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2 and 2.1. There the
    loss is the cross-entropy to the softened teacher; it differs by the teacher's entropy, which has no gradient
    in s, and so this one is zero where the student agrees.
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def hard_distillation(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Cross-entropy to the teacher's decision: mean over the batch of -log softmax(s)[argmax t].

    student_logits s, teacher_logits t: (B, K). Of equal teacher logits the first class counts.

    Source: Touvron et al. 2021, "Training data-efficient image transformers & distillation through attention"
    (DeiT), section 4, hard-label distillation.
    """
    return F.cross_entropy(student_logits, teacher_logits.argmax(dim=1))

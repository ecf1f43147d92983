"""Losses on the outputs of one or two networks; knows logits and labels only, no layers."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "decoupled_distillation",
    "dist",
    "hard_distillation",
    "logit_matching",
    "probability_matching",
    "soft_cross_entropy",
    "soft_distillation",
    "standardized_distillation",
    "teacher_free",
]


def soft_distillation(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence of the student's softened outputs from the teacher's: T^2 * KL(softmax(t / T) || softmax(s / T)).

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


def soft_cross_entropy(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Cross-entropy to the teacher's softened outputs: T^2 * mean over B of -sum over K of p log q.

    student_logits s, teacher_logits t: (B, K); p = softmax(t / T), q = softmax(s / T). It is `soft_distillation` plus
    T^2 times the teacher's entropy: the same gradient in s, so the same training, but a value that says less, since
    it is not zero where the student agrees.

    Source: Hinton, Vinyals, Dean 2015, "Distilling the Knowledge in a Neural Network", section 2 and 2.1.
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.softmax(teacher_logits / temperature, dim=1)
    return -(teacher * student).sum(dim=1).mean() * temperature**2


def probability_matching(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Mean squared error on softened probabilities: T^2 * mean over B * K of (q - p)^2.

    student_logits s, teacher_logits t: (B, K); p = softmax(t / T), q = softmax(s / T). The error reaches s through
    the softmax, so that its gradient is 2 T / (B K) * q * (d - sum(q d)) with d = q - p, where the divergence has
    T / B * d: a student that is sure and wrong learns next to nothing, and neither does a class that it holds
    impossible. It is also weaker: for logits of zero mean and large T it tends to 2 (s - t) / (K^3 B), which is
    2 / K^2 of the divergence's.

    Source: none of the papers; introductory texts put it in the place of the divergence, and KD_Lib 0.0.32 computes
    this very form, T^2 included. For an error on the logits themselves see `logit_matching`.
    """
    student = F.softmax(student_logits / temperature, dim=1)
    teacher = F.softmax(teacher_logits / temperature, dim=1)
    return F.mse_loss(student, teacher) * temperature**2


def hard_distillation(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Cross-entropy to the teacher's decision: mean over the batch of -log softmax(s)[argmax t].

    student_logits s, teacher_logits t: (B, K). Of equal teacher logits the first class counts.

    Source: Touvron et al. 2021, "Training data-efficient image transformers & distillation through attention"
    (DeiT), section 4, hard-label distillation.
    """
    return F.cross_entropy(student_logits, teacher_logits.argmax(dim=1))


def logit_matching(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean squared error on the logits: mean over B * K of (s - t)^2.

    student_logits s, teacher_logits t: (B, K). Unlike losses on probabilities it also sees a constant added to all
    logits of an example.

    Source: Ba and Caruana 2014, "Do Deep Nets Really Need to be Deep?", section 2.2, which sums over the classes,
    averages over the examples and halves: K / 2 times this. The mean over all elements is what the field's code has.
    """
    return F.mse_loss(student_logits, teacher_logits)


def decoupled_distillation(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    temperature: float,
    target_weight: float = 1.0,
    nontarget_weight: float = 1.0,
) -> Tensor:
    """Soft distillation in two parts, each with a weight: T^2 * (w * KL(b_t || b_s) + v * KL(n_t || n_s)).

    student_logits s, teacher_logits t: (B, K); targets y: int64 (B,), the labels; w: target_weight, v:
    nontarget_weight. With p = softmax(z / T) of either network, b = (p_y, 1 - p_y); n, of K - 1 classes, is the
    softmax over the others alone. Summed over classes, averaged over the B examples. With w = 1, and the teacher's
    1 - p_y of each example in the place of v, it would be `soft_distillation`.

    Source: Zhao et al. 2022, "Decoupled Knowledge Distillation", section 3, where w is alpha and v is beta. The
    authors' code (mdistiller) keeps the labelled class in the second softmax with 1000 taken off its logit, and takes
    the logarithm of a probability that can round to zero; here that class is left out and every logarithm is computed
    as such. The values agree, but here they and their gradients stay finite for logits of any size.
    """
    student, student_rest = _label_and_others(student_logits / temperature, targets)
    teacher, teacher_rest = _label_and_others(teacher_logits / temperature, targets)
    target = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    nontarget = F.kl_div(student_rest, teacher_rest, reduction="batchmean", log_target=True)
    return (target_weight * target + nontarget_weight * nontarget) * temperature**2


def _label_and_others(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the label against all others, (B, 2), and among the others, (B, K - 1)."""
    places = torch.arange(logits.shape[1] - 1, device=logits.device)
    others = places + (places >= targets[:, None]).long()
    every, rest = logits.log_softmax(dim=1), logits.gather(1, others)
    odds = torch.stack([every.gather(1, targets[:, None])[:, 0], every.gather(1, others).logsumexp(dim=1)], dim=1)
    return odds, rest.log_softmax(dim=1)


def dist(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
    inter_weight: float = 1.0,
    intra_weight: float = 1.0,
) -> Tensor:
    """Keep the order, not the size: T^2 * (b * (1 - mean_i r(q_i, p_i)) + g * (1 - mean_k r(q^k, p^k))).

    student_logits, teacher_logits: (B, K); q, p: softmax(logits / T) of student and teacher; r: Pearson's
    correlation, over the K classes of an example i (b: inter_weight) and over the B examples of a class k (g:
    intra_weight). Zero but for rounding where the student agrees; each r is blind to scale and offset. What does not
    vary (every class of a batch of one, say) has r = 0.

    Source: Huang et al. 2022, "Knowledge Distillation from A Stronger Teacher", section 4. The paper names T but no
    T^2; the authors' code for CIFAR and ImageNet multiplies by it, and the published weights belong to that.
    Also theirs is the 1e-8 added to the product of the norms; torchdistill bounds each norm from below instead, and
    agrees to about 1e-6.
    """
    student = F.softmax(student_logits / temperature, dim=1)
    teacher = F.softmax(teacher_logits / temperature, dim=1)
    inter = 1 - _correlations(student, teacher).mean()
    intra = 1 - _correlations(student.t(), teacher.t()).mean()
    return (inter_weight * inter + intra_weight * intra) * temperature**2


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation of each row of a with that of b."""
    a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    sizes: Tensor = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    return (a * b).sum(dim=1) / (sizes + 1e-8)


def standardized_distillation(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """`soft_distillation` of standardized logits: each example's z becomes (z - mean z) / (std z + 1e-7).

    student_logits, teacher_logits: (B, K); mean and standard deviation (unbiased, K - 1) over the K classes. The
    student need not have logits of the teacher's size or offset, only of its shape. Summed over classes, averaged over
    the B examples, times T^2.

    Source: Sun et al. 2024, "Logit Standardization in Knowledge Distillation", the Z-score pre-process. The unbiased
    deviation, 1e-7 and T^2 are those of the authors' code.
    """
    return soft_distillation(_standardized(student_logits), _standardized(teacher_logits), temperature)


def _standardized(logits: Tensor) -> Tensor:
    return (logits - logits.mean(dim=1, keepdim=True)) / (logits.std(dim=1, keepdim=True) + 1e-7)


def teacher_free(student_logits: Tensor, targets: Tensor, correct_probability: float, temperature: float) -> Tensor:
    """Divergence from a virtual teacher that is always right: mean over B of KL(softmax(u / T) || softmax(s)).

    student_logits s: (B, K); targets: int64 (B,); u: correct_probability at the label and the rest shared equally by
    the other K - 1 classes. Summed over classes. The student is not softened, and there is no T^2.

    Source: Yuan et al. 2020, "Revisiting Knowledge Distillation via Label Smoothing Regularization", section 5
    (Tf-KD by regularization). How probabilities without logits are softened is the authors' code's: u itself stands
    in for the logits. With T = 20 this teacher is close to uniform. Their code takes the mean over B * K elements and
    a multiplier, which for ResNet18 on CIFAR-100 is K: this function.
    """
    shared = (1 - correct_probability) / (student_logits.shape[1] - 1)
    virtual = torch.full_like(student_logits, shared).scatter(1, targets[:, None], correct_probability)
    teacher = F.log_softmax(virtual / temperature, dim=1)
    return F.kl_div(F.log_softmax(student_logits, dim=1), teacher, reduction="batchmean", log_target=True)

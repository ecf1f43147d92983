"""Losses on values, where a teacher may be wrong in a way that can be measured; knows numbers only, no network."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdbench.functional._rows import squared_errors

__all__ = ["attentive_imitation", "teacher_bounded"]


def teacher_bounded(
    student: Tensor, teacher: Tensor, targets: Tensor, bound_weight: float = 0.5, margin: float = 0.0
) -> Tensor:
    """Learn the labels, and more so where the teacher is nearer to them: smooth L1(s, y) + nu * L_b, averaged over B.

    L_b of an example is e_s = mean over D of (s - y)^2 where e_s + margin > e_t, the teacher's, and 0 elsewhere: the
    teacher is a bound to be reached, never a target. student s, teacher t, targets y: (B, D), in units of their spread;
    nu: bound_weight. Smooth L1 is averaged over B * D; it is d^2 / 2 for differences below 1, |d| - 1/2 beyond.

    Source: Chen et al. 2017, "Learning Efficient Object Detection Models with Knowledge Distillation", section 3.3.
    There both are sums over the D coordinates of a box; the means are those times 1 / D, and so is the margin.
    """
    error = squared_errors(student, targets)
    behind = error + margin > squared_errors(teacher, targets)
    return F.smooth_l1_loss(student, targets) + bound_weight * (error * behind).mean()


def attentive_imitation(student: Tensor, teacher: Tensor, targets: Tensor, error_range: float) -> Tensor:
    """Squared error to the teacher's values, less where the teacher is wrong: mean over B of phi * e(s, t).

    e(s, t) = mean over D of (s - t)^2; phi = 1 - e(t, y) / error_range. student s, teacher t, targets y: (B, D), in
    units of their spread. error_range: the largest of the teacher's e(t, y) over the training split less the smallest;
    0 where it is wrong by the same everywhere, and then phi is 1.

    Source: Saputra et al. 2019, "Distilling Knowledge From a Deep Pose Regressor Network", section 3.2, its second
    part (the first is the labels' own loss). Squared norms there, means over D here. As there phi is not cut at 0: it
    is below 0 by at most the smallest error over the range.
    """
    attention = 1 - squared_errors(teacher, targets) / error_range if error_range > 0 else torch.ones(len(student))
    return (attention.to(student) * squared_errors(student, teacher)).mean()

"""Losses on values, by hand."""

import pytest
import torch
from torch import tensor

from kdbench import functional as F

STUDENT = tensor([[1.0, 1.0], [0.5, 0.0], [3.0, 0.0]])
TEACHER = tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
LABELS = tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
"""Errors of the student: 1, 1/8, 9/2; of the teacher: 1/2, 1, 0. So in the second example the student is nearer."""


def test_a_student_beyond_the_bound_is_left_to_the_labels() -> None:
    smooth = (0.5 + 0.5 + 0.125 + 0 + 2.5 + 0) / 6
    assert F.teacher_bounded(STUDENT, TEACHER, LABELS).item() == pytest.approx(smooth + 0.5 * (1 + 0 + 4.5) / 3)
    with_margin = F.teacher_bounded(STUDENT, TEACHER, LABELS, bound_weight=2.0, margin=1.0).item()
    assert with_margin == pytest.approx(smooth + 2 * (1 + 0.125 + 4.5) / 3)


def test_beyond_the_bound_only_the_labels_have_a_gradient_and_the_teacher_never_has() -> None:
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    F.teacher_bounded(student, teacher, LABELS).backward()
    smooth = tensor([[1.0, 1.0], [0.5, 0.0], [1.0, 0.0]]) / 6
    bound = 0.5 / 3 * tensor([[1.0, 1.0], [0.0, 0.0], [3.0, 0.0]])  # d e / d s = 2 (s - y) / D
    torch.testing.assert_close(student.grad, smooth + bound)
    assert teacher.grad is None


def test_a_teacher_is_imitated_the_less_the_more_it_is_wrong() -> None:
    student = STUDENT.clone().requires_grad_()
    term = F.attentive_imitation(student, TEACHER, LABELS, error_range=2.0)
    attention = tensor([0.75, 0.5, 1.0])  # 1 - e(t, y) / 2
    apart = tensor([0.5, (0.25 + 1) / 2, 4.5])
    assert term.item() == pytest.approx(float((attention * apart).sum()) / 3)
    term.backward()
    torch.testing.assert_close(student.grad, attention[:, None] * (STUDENT - TEACHER) / 3)


def test_a_teacher_that_is_wrong_by_the_same_everywhere_is_imitated_everywhere() -> None:
    assert F.attentive_imitation(STUDENT, TEACHER, LABELS, 0.0).item() == pytest.approx((0.5 + 0.625 + 4.5) / 3)

"""Losses on outputs: rows computed by hand, another implementation, and the limits that the papers state."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as nnf

from kdbench import functional as F


def logits(rows: int, classes: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gradient(loss, student: torch.Tensor) -> torch.Tensor:
    leaf = student.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(loss(leaf), leaf)
    return grad


def test_soft_distillation_of_even_odds_to_three_to_one_is_what_the_formula_gives_by_hand():
    teacher = torch.tensor([[0.75, 0.25]], dtype=torch.float64).log()
    student = torch.zeros(1, 2, dtype=torch.float64)

    by_hand = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)

    assert by_hand == pytest.approx(0.130812, abs=5e-7)
    assert F.soft_distillation(student, teacher, 1.0).item() == pytest.approx(by_hand, rel=1e-12)


def test_soft_distillation_is_the_mean_over_examples_of_the_sum_over_classes():
    teacher = torch.tensor([[0.75, 0.25], [0.5, 0.5]], dtype=torch.float64).log()

    loss = F.soft_distillation(torch.zeros(2, 2, dtype=torch.float64), teacher, 1.0)

    assert loss.item() == pytest.approx((0.130812 + 0.0) / 2, abs=5e-7)


def test_soft_distillation_carries_the_square_of_the_temperature():
    teacher = 2 * torch.tensor([[0.75, 0.25]], dtype=torch.float64).log()

    loss = F.soft_distillation(torch.zeros(1, 2, dtype=torch.float64), teacher, 2.0)

    assert loss.item() == pytest.approx(4 * 0.130812, abs=2e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_soft_distillation_and_its_gradient_agree_with_torchdistill(temperature):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mid_level = pytest.importorskip("torchdistill.losses.mid_level")
    student, teacher, targets = logits(7, 10, 0), logits(7, 10, 1), torch.arange(7)
    # its alpha weighs the labels, its beta the teacher; T^2 comes only when alpha is not 0
    theirs = mid_level.KDLoss("fc", "output", "fc", "output", temperature, alpha=0.1, beta=0.9)

    def reference(s: torch.Tensor) -> torch.Tensor:
        return theirs({"fc": {"output": s}}, {"fc": {"output": teacher}}, targets)

    def ours(s: torch.Tensor) -> torch.Tensor:
        return 0.1 * nnf.cross_entropy(s, targets) + 0.9 * F.soft_distillation(s, teacher, temperature)

    assert abs(ours(student) - reference(student)) < 1e-10
    assert (gradient(ours, student) - gradient(reference, student)).abs().max() < 1e-10


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_soft_distillation_is_zero_and_flat_where_the_student_agrees(temperature):
    teacher = logits(5, 10, 0)

    assert abs(F.soft_distillation(teacher, teacher, temperature)) < 1e-12
    assert gradient(lambda s: F.soft_distillation(s, teacher, temperature), teacher).abs().max() < 1e-12


def test_a_constant_added_to_the_logits_changes_nothing():
    student, teacher = logits(5, 10, 0), logits(5, 10, 1)

    moved = F.soft_distillation(student + 3.0, teacher - 7.0, 4.0)

    assert moved.item() == pytest.approx(F.soft_distillation(student, teacher, 4.0).item(), rel=1e-12)
    assert F.hard_distillation(student + 3.0, teacher - 7.0).item() == pytest.approx(
        F.hard_distillation(student, teacher).item(), rel=1e-12
    )


def test_at_high_temperature_the_gradient_is_that_of_matching_zero_mean_logits():
    student, teacher = logits(5, 10, 0), logits(5, 10, 1)
    student, teacher = student - student.mean(1, keepdim=True), teacher - teacher.mean(1, keepdim=True)

    found = gradient(lambda s: F.soft_distillation(s, teacher, 1e4), student)

    assert (found - (student - teacher) / (10 * 5)).abs().max() < 1e-5


def test_a_batch_that_holds_every_example_twice_has_the_same_loss():
    student, teacher = logits(5, 10, 0), logits(5, 10, 1)

    for loss in (lambda s, t: F.soft_distillation(s, t, 4.0), F.hard_distillation):
        twice = loss(student.repeat(2, 1), teacher.repeat(2, 1))
        assert twice.item() == pytest.approx(loss(student, teacher).item(), rel=1e-12)


def test_logits_of_a_sure_teacher_give_a_finite_loss_of_the_right_size():
    teacher = torch.tensor([[1000.0, 0.0]])

    assert F.soft_distillation(torch.zeros(1, 2), teacher, 1.0).item() == pytest.approx(math.log(2))


def test_hard_distillation_is_the_surprise_of_the_student_at_the_teachers_decision():
    student = torch.tensor([[0.2, 0.8], [0.5, 0.5]], dtype=torch.float64).log()
    teacher = torch.tensor([[2.0, 1.0], [-1.0, 5.0]], dtype=torch.float64)

    loss = F.hard_distillation(student, teacher)

    assert loss.item() == pytest.approx(-(math.log(0.2) + math.log(0.5)) / 2, rel=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_at_temperature_one_soft_targets_and_labels_are_one_mixed_target(share):
    student, teacher, targets = logits(6, 10, 0), logits(6, 10, 1), torch.tensor([0, 1, 2, 3, 4, 4])
    mixed_target = share * teacher.softmax(1) + (1 - share) * nnf.one_hot(targets, 10).double()

    def two_terms(s: torch.Tensor) -> torch.Tensor:
        return share * F.soft_distillation(s, teacher, 1.0) + (1 - share) * nnf.cross_entropy(s, targets)

    def one_target(s: torch.Tensor) -> torch.Tensor:
        return nnf.cross_entropy(s, mixed_target)

    assert (gradient(two_terms, student) - gradient(one_target, student)).abs().max() < 1e-12
    entropy = -(teacher.softmax(1) * teacher.log_softmax(1)).sum(1).mean()
    assert (one_target(student) - two_terms(student)).item() == pytest.approx((share * entropy).item(), abs=1e-12)

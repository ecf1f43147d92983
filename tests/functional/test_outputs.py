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


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_cross_entropy_has_the_gradient_of_the_divergence_and_the_teachers_entropy_more_value(temperature):
    student, teacher = logits(6, 10, 0), logits(6, 10, 1)
    soft = teacher / temperature

    difference = F.soft_cross_entropy(student, teacher, temperature) - F.soft_distillation(
        student, teacher, temperature
    )

    entropy = -(soft.softmax(1) * soft.log_softmax(1)).sum(1).mean()
    assert difference.item() == pytest.approx(temperature**2 * entropy.item(), rel=1e-12)
    found = gradient(lambda s: F.soft_cross_entropy(s, teacher, temperature), student)
    assert (found - gradient(lambda s: F.soft_distillation(s, teacher, temperature), student)).abs().max() < 1e-14


def test_soft_cross_entropy_agrees_with_torchs_cross_entropy_to_probabilities():
    student, teacher = logits(6, 10, 0), logits(6, 10, 1)

    theirs = 9 * nnf.cross_entropy(student / 3, (teacher / 3).softmax(1))

    assert F.soft_cross_entropy(student, teacher, 3.0).item() == pytest.approx(theirs.item(), rel=1e-12)


def test_probability_matching_of_even_odds_to_three_to_one_is_what_the_formula_gives_by_hand():
    teacher = 2 * torch.tensor([[0.75, 0.25]], dtype=torch.float64).log()

    loss = F.probability_matching(torch.zeros(1, 2, dtype=torch.float64), teacher, 2.0)

    assert loss.item() == pytest.approx(4 * (0.25**2 + 0.25**2) / 2, rel=1e-12)


def test_probability_matching_has_the_gradient_that_its_docstring_writes():
    student, teacher = logits(6, 10, 0), logits(6, 10, 1)
    q, p = (student / 3).softmax(1), (teacher / 3).softmax(1)
    d = q - p

    by_hand = 2 * 3 / (6 * 10) * q * (d - (q * d).sum(1, keepdim=True))

    assert (gradient(lambda s: F.probability_matching(s, teacher, 3.0), student) - by_hand).abs().max() < 1e-14


def test_probability_matching_at_high_temperature_has_two_over_k_squared_of_the_divergences_gradient():
    student, teacher = logits(5, 10, 0), logits(5, 10, 1)
    student, teacher = student - student.mean(1, keepdim=True), teacher - teacher.mean(1, keepdim=True)

    found = gradient(lambda s: F.probability_matching(s, teacher, 1e4), student)

    assert (found / (2 * (student - teacher) / (10**3 * 5)) - 1).abs().max() < 0.01


def test_a_student_that_is_sure_and_wrong_learns_from_the_divergence_and_not_from_probability_matching():
    student, teacher = torch.tensor([[40.0, 0.0]]).double(), torch.tensor([[0.0, 40.0]]).double()

    assert gradient(lambda s: F.soft_distillation(s, teacher, 1.0), student).abs().max() > 0.99
    assert gradient(lambda s: F.probability_matching(s, teacher, 1.0), student).abs().max() < 1e-15


def test_logit_matching_is_the_mean_square_over_examples_and_classes():
    student = torch.tensor([[1.0, 2.0], [0.0, 0.0]]).double()
    teacher = torch.tensor([[0.0, 4.0], [0.0, 3.0]]).double()

    assert F.logit_matching(student, teacher).item() == pytest.approx((1 + 4 + 0 + 9) / 4, rel=1e-12)
    expected = 2 * (student - teacher) / 4
    assert (gradient(lambda s: F.logit_matching(s, teacher), student) - expected).abs().max() < 1e-15


def test_logit_matching_sees_a_constant_that_losses_on_probabilities_do_not():
    teacher = logits(5, 10, 1)

    assert F.logit_matching(teacher + 3, teacher).item() == pytest.approx(9, rel=1e-12)
    assert abs(F.soft_distillation(teacher + 3, teacher, 1.0)) < 1e-12


def decoupled_by_loop(student, teacher, targets, temperature, target_weight, nontarget_weight):
    total = torch.zeros((), dtype=torch.float64)
    for s, t, y in zip(student, teacher, targets.tolist(), strict=True):
        q, p = (s / temperature).softmax(0), (t / temperature).softmax(0)
        total = total + target_weight * (p[y] * (p[y] / q[y]).log() + (1 - p[y]) * ((1 - p[y]) / (1 - q[y])).log())
        for k in range(len(s)):
            if k != y:
                n, m = p[k] / (1 - p[y]), q[k] / (1 - q[y])
                total = total + nontarget_weight * n * (n / m).log()
    return temperature**2 * total / len(student)


@pytest.mark.parametrize(("temperature", "weights"), [(1.0, (1.0, 0.5)), (4.0, (1.0, 8.0)), (4.0, (0.0, 2.0))])
def test_decoupled_distillation_and_its_gradient_agree_with_a_loop_from_the_formula(temperature, weights):
    student, teacher, targets = logits(7, 10, 0) * 3, logits(7, 10, 1) * 3, torch.tensor([0, 1, 2, 9, 9, 5, 4])

    def ours(s: torch.Tensor) -> torch.Tensor:
        return F.decoupled_distillation(s, teacher, targets, temperature, *weights)

    def loop(s: torch.Tensor) -> torch.Tensor:
        return decoupled_by_loop(s, teacher, targets, temperature, *weights)

    assert ours(student).item() == pytest.approx(loop(student).item(), rel=1e-11)
    assert (gradient(ours, student) - gradient(loop, student)).abs().max() < 1e-11


def test_decoupled_distillation_with_the_teachers_own_weight_is_soft_distillation():
    for seed in range(5):
        student, teacher, target = logits(1, 10, seed), logits(1, 10, seed + 50), torch.tensor([seed])
        others = 1 - (teacher / 4).softmax(1)[0, seed].item()

        decoupled = F.decoupled_distillation(student, teacher, target, 4.0, 1.0, others)

        assert decoupled.item() == pytest.approx(F.soft_distillation(student, teacher, 4.0).item(), rel=1e-11)


def test_leaving_the_labelled_class_out_is_the_same_as_taking_a_thousand_off_its_logit():
    student, teacher, targets = logits(7, 10, 0), logits(7, 10, 1), torch.arange(7)
    off = 1000 * nnf.one_hot(targets, 10)

    trick = 16 * nnf.kl_div((student / 4 - off).log_softmax(1), (teacher / 4 - off).softmax(1), reduction="batchmean")

    ours = F.decoupled_distillation(student, teacher, targets, 4.0, 0.0, 1.0)
    assert ours.item() == pytest.approx(trick.item(), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_decoupled_distillation_of_extreme_logits_and_its_gradient_are_of_the_right_size(dtype):
    student = torch.tensor([[5000.0, 0.0, 1.0], [0.0, 5000.0, 1.0]], dtype=dtype)
    teacher = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]], dtype=dtype)
    targets = torch.tensor([0, 0])

    def loss(s: torch.Tensor) -> torch.Tensor:
        return F.decoupled_distillation(s, teacher, targets, 1.0, 1.0, 0.0)

    # -log of the student's 1 - p_y in the first example and of p_y in the second is close to 5000
    p = teacher[0].softmax(0)[0].item()
    entropy = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    first = (1 - p) * (5000 - math.log(1 + math.e)) - entropy
    second = p * 5000 - entropy
    assert loss(student).item() == pytest.approx((first + second) / 2, rel=1e-5)
    grad = gradient(loss, student)
    assert grad[0, 0].item() == pytest.approx((1 - p) / 2, rel=1e-3)
    assert grad[1, 0].item() == pytest.approx(-p / 2, rel=1e-3)  # 5000 in fp32 has four decimals
    every = gradient(lambda s: F.decoupled_distillation(s, teacher, targets, 1.0, 1.0, 8.0), student)
    assert every.abs().max() < 10


def test_decoupled_distillation_is_zero_and_flat_where_the_student_agrees_and_blind_to_a_constant():
    student, teacher, targets = logits(5, 10, 0), logits(5, 10, 1), torch.arange(5)

    def loss(s: torch.Tensor, t: torch.Tensor = teacher) -> torch.Tensor:
        return F.decoupled_distillation(s, t, targets, 4.0, 1.0, 8.0)

    assert abs(loss(teacher)) < 1e-12
    assert gradient(loss, teacher).abs().max() < 1e-12
    assert loss(student + 3, teacher - 7).item() == pytest.approx(loss(student).item(), rel=1e-12)


def dist_by_loop(student, teacher, temperature, inter_weight, intra_weight):
    q, p = (student / temperature).softmax(1), (teacher / temperature).softmax(1)

    def correlation(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a, b = a - a.sum() / len(a), b - b.sum() / len(b)
        return (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt() + 1e-8)

    inter = 1 - sum(correlation(q[i], p[i]) for i in range(len(q))) / len(q)
    intra = 1 - sum(correlation(q[:, k], p[:, k]) for k in range(q.shape[1])) / q.shape[1]
    return temperature**2 * (inter_weight * inter + intra_weight * intra)


@pytest.mark.parametrize("fields", [(1.0, 1.0, 1.0), (4.0, 2.0, 0.5), (4.0, 0.0, 1.0)])
def test_dist_and_its_gradient_agree_with_a_loop_from_the_formula(fields):
    student, teacher = logits(7, 10, 0), logits(7, 10, 1)

    ours, loop = F.dist(student, teacher, *fields), dist_by_loop(student, teacher, *fields)

    assert ours.item() == pytest.approx(loop.item(), rel=1e-11)
    found = gradient(lambda s: F.dist(s, teacher, *fields), student)
    assert (found - gradient(lambda s: dist_by_loop(s, teacher, *fields), student)).abs().max() < 1e-11


def torchdistills(name: str, *args: float, **fields: float):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mid_level = pytest.importorskip("torchdistill.losses.mid_level")
    module = getattr(mid_level, name)("fc", "output", "fc", "output", *args, **fields)
    return lambda s, t, targets=None: module({"fc": {"output": s}}, {"fc": {"output": t}}, targets)


def test_dist_agrees_with_torchdistill_but_for_where_its_epsilon_stands():
    student, teacher = logits(16, 10, 0), logits(16, 10, 1)
    theirs = torchdistills("DISTLoss", beta=1.0, gamma=2.0, tau=4.0)

    assert F.dist(student, teacher, 4.0, 1.0, 2.0).item() == pytest.approx(theirs(student, teacher).item(), rel=2e-5)
    found = gradient(lambda s: F.dist(s, teacher, 4.0, 1.0, 2.0), student)
    expected = gradient(lambda s: theirs(s, teacher), student)
    assert (found - expected).abs().max() < 1e-5


def test_dist_is_zero_where_the_student_agrees_and_asks_for_correlation_only():
    teacher = logits(8, 5, 1)
    p = teacher.softmax(1)
    flatter = (0.5 * p + 0.5 / 5).log()  # half as far from even odds: other probabilities, all in the same order

    assert F.dist(teacher, teacher, 1.0, 1.0, 1.0).item() == pytest.approx(0, abs=1e-5)
    assert F.dist(flatter, teacher, 1.0, 1.0, 1.0).item() == pytest.approx(0, abs=1e-5)
    assert F.soft_distillation(flatter, teacher, 1.0) > 0.05


def test_dist_of_one_example_has_a_constant_relation_over_the_batch_and_no_gradient_from_it():
    student, teacher = logits(1, 5, 0), logits(1, 5, 1)

    assert F.dist(student, teacher, 2.0, 0.0, 1.0).item() == pytest.approx(4.0, rel=1e-12)
    assert gradient(lambda s: F.dist(s, teacher, 2.0, 0.0, 1.0), student).abs().max() == 0


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_standardized_distillation_and_its_gradient_agree_with_torchdistill(temperature):
    student, teacher, targets = logits(7, 10, 0), logits(7, 10, 1) * 5 + 2, torch.arange(7)
    # its alpha weighs the labels, its beta the teacher; T^2 comes only when alpha is not 0
    theirs = torchdistills("LogitStdKDLoss", temperature, alpha=0.1, beta=9.0)

    def ours(s: torch.Tensor) -> torch.Tensor:
        return 0.1 * nnf.cross_entropy(s, targets) + 9 * F.standardized_distillation(s, teacher, temperature)

    assert abs(ours(student) - theirs(student, teacher, targets)) < 1e-10
    expected = gradient(lambda s: theirs(s, teacher, targets), student)
    assert (gradient(ours, student) - expected).abs().max() < 1e-10


def test_standardized_distillation_is_blind_to_the_size_and_offset_of_either_sides_logits():
    student, teacher = logits(6, 10, 0), logits(6, 10, 1)

    moved = F.standardized_distillation(5 * student - 3, 0.2 * teacher + 7, 2.0)

    assert moved.item() == pytest.approx(F.standardized_distillation(student, teacher, 2.0).item(), rel=1e-5)
    assert F.standardized_distillation(0.1 * teacher + 4, teacher, 2.0).item() == pytest.approx(0, abs=1e-9)


def test_standardized_distillation_uses_the_unbiased_deviation():
    teacher, student = torch.tensor([[2.0, 0.0]]).double(), torch.tensor([[0.0, 2.0]]).double()
    z = 1 / math.sqrt(2)  # mean 1, deviation sqrt(((2 - 1)^2 + (0 - 1)^2) / (2 - 1)); the biased one would give 1

    by_hand = F.soft_distillation(torch.tensor([[-z, z]]).double(), torch.tensor([[z, -z]]).double(), 1.0)

    assert F.standardized_distillation(student, teacher, 1.0).item() == pytest.approx(by_hand.item(), rel=1e-6)


def test_teacher_free_and_its_gradient_agree_with_a_loop_from_the_formula():
    student, targets = logits(6, 10, 0), torch.tensor([0, 3, 3, 9, 1, 5])

    def loop(s: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for row, y in zip(s, targets.tolist(), strict=True):
            u = [0.9 if k == y else 0.1 / 9 for k in range(10)]
            mass = [math.exp(value / 20) for value in u]
            for k in range(10):
                p = mass[k] / sum(mass)
                total = total + p * (math.log(p) - row.log_softmax(0)[k])
        return total / 6

    assert F.teacher_free(student, targets, 0.9, 20.0).item() == pytest.approx(loop(student).item(), rel=1e-11)
    found = gradient(lambda s: F.teacher_free(s, targets, 0.9, 20.0), student)
    assert (found - gradient(loop, student)).abs().max() < 1e-12


def test_teacher_free_is_the_published_mean_over_elements_times_its_multiplier_of_100_on_100_classes():
    student, targets = logits(8, 100, 0), torch.arange(8)
    virtual = torch.where(nnf.one_hot(targets, 100).bool(), 0.99, 0.01 / 99).double()

    elements = nnf.kl_div(student.log_softmax(1), (virtual / 20).softmax(1), reduction="none").mean()

    assert F.teacher_free(student, targets, 0.99, 20.0).item() == pytest.approx(100 * elements.item(), rel=1e-6)


def test_the_virtual_teacher_is_flat_at_high_and_the_rule_at_its_own_temperature():
    targets = torch.tensor([1])
    softened = torch.tensor([[0.01, 0.98, 0.01]]).double()

    assert abs(F.teacher_free(torch.zeros(1, 3).double(), targets, 0.98, 1e6)) < 1e-12
    assert abs(F.teacher_free(softened, targets, 0.98, 1.0)) < 1e-12


def test_every_loss_on_outputs_computes_where_its_inputs_lie():
    student, teacher = torch.zeros(4, 5, device="meta"), torch.zeros(4, 5, device="meta")
    targets = torch.zeros(4, dtype=torch.int64, device="meta")  # a tensor made elsewhere would not mix with these

    for loss in (
        F.soft_cross_entropy(student, teacher, 2.0),
        F.probability_matching(student, teacher, 2.0),
        F.logit_matching(student, teacher),
        F.decoupled_distillation(student, teacher, targets, 4.0, 1.0, 8.0),
        F.dist(student, teacher, 4.0, 1.0, 1.0),
        F.standardized_distillation(student, teacher, 2.0),
        F.teacher_free(student, targets, 0.99, 20.0),
    ):
        assert loss.device.type == "meta"
        assert loss.shape == ()

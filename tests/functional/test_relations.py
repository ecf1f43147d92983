"""Losses on relations: torchdistill, slow loops from the formulas, and what must not change them."""

import math
import warnings
from itertools import product

import pytest
import torch
import torch.nn.functional as nnf

from kdbench import functional as F

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    mid_level = pytest.importorskip("torchdistill.losses.mid_level")


def features(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


STUDENT, TEACHER = features(7, 5, seed=0), features(7, 9, seed=1)
ALIKE = features(7, 5, seed=2)
"""In the student's space."""
PAIRWISE = [F.similarity_preserving, F.relational_distance, F.relational_angle, F.probabilistic_transfer]


def gradient(loss, student: torch.Tensor) -> torch.Tensor:
    leaf = student.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(loss(leaf), leaf)
    return grad


def assert_same(ours, theirs, student: torch.Tensor, tolerance: float = 1e-10) -> None:
    """Values and gradients in the student, both relative to their size."""
    assert ours(student).item() == pytest.approx(theirs(student).item(), rel=tolerance)
    expected = gradient(theirs, student)
    assert (gradient(ours, student) - expected).abs().max() <= tolerance * expected.abs().max()


def rotation(size: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(features(size, size, seed=seed)).Q


def similarity_by_loops(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(student)):
        rows = []
        for network in (student, teacher):
            row = torch.stack([(network[i] * network[j]).sum() for j in range(len(network))])
            rows.append(row / row.pow(2).sum().sqrt())
        total = total + (rows[0] - rows[1]).pow(2).sum()
    return total / len(student) ** 2


def test_similarity_preserving_is_its_formula_on_maps_of_any_shape():
    student, teacher = features(6, 3, 4, 4, seed=0), features(6, 5, 2, 2, seed=1)

    assert_same(lambda s: F.similarity_preserving(s, teacher), lambda s: similarity_by_loops(s, teacher), student)


def test_similarity_preserving_by_hand():
    student, teacher = torch.eye(2, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)

    # rows (1, 0) against (1, 1) / sqrt 2: 2 * ((1 - 1/sqrt 2)^2 + 1/2) / 2^2
    by_hand = ((1 - 1 / math.sqrt(2)) ** 2 + 0.5) / 2

    assert F.similarity_preserving(student, teacher).item() == pytest.approx(by_hand, rel=1e-12)


def test_torchdistill_s_similarity_loss_normalises_rows_by_l1_and_is_another_one():
    theirs = mid_level.SPKDLoss("s", "t", "batchmean").compute_spkd_loss(TEACHER, STUDENT) / 49
    l1 = [nnf.normalize(x @ x.T, 1) for x in (STUDENT, TEACHER)]  # its second argument is p, not the axis

    assert theirs.item() == pytest.approx(((l1[0] - l1[1]) ** 2).sum().item() / 49, rel=1e-12)
    assert F.similarity_preserving(STUDENT, TEACHER).item() != pytest.approx(theirs.item(), rel=0.05)


@pytest.fixture
def relational() -> object:
    return mid_level.RKDLoss("s", "t", 1.0, 1.0, "mean")


def test_relational_distance_and_its_gradient_agree_with_torchdistill(relational):
    assert_same(
        lambda s: F.relational_distance(s, TEACHER),
        lambda s: relational.compute_rkd_distance_loss(TEACHER, s),
        STUDENT,
    )


def test_relational_angle_and_its_gradient_agree_with_torchdistill(relational):
    assert_same(
        lambda s: F.relational_angle(s, TEACHER), lambda s: relational.compute_rkd_angle_loss(TEACHER, s), STUDENT
    )


def test_relational_distance_of_three_points_by_hand():
    student = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)  # 1, 2, 3 apart: 1/2, 1, 3/2 of their mean
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]], dtype=torch.float64)  # all 1 apart

    assert F.relational_distance(student, teacher).item() == pytest.approx(4 * 0.5 * 0.5**2 / 9, rel=1e-12)


def test_relational_angle_of_a_line_against_a_right_angle_by_hand():
    student = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], dtype=torch.float64)

    # cosines at the three corners, both ways round: 1, -1, 1 on the line; 1/sqrt 2, 0, 1/sqrt 2 in the triangle
    huber = [0.5 * (1 - math.sqrt(0.5)) ** 2, 0.5, 0.5 * (1 - math.sqrt(0.5)) ** 2]
    assert F.relational_angle(student, teacher).item() == pytest.approx(2 * sum(huber) / 27, rel=1e-12)


def distances_by_loops(network: torch.Tensor) -> torch.Tensor:
    """The same for every pair but those of equal embeddings, which are left out of graph and mean."""
    count = len(network)
    found = {
        (i, j): (network[i] - network[j]).pow(2).sum().sqrt()
        for i, j in product(range(count), repeat=2)
        if not torch.equal(network[i], network[j])
    }
    mean = torch.stack(list(found.values())).mean()
    zero = torch.zeros((), dtype=torch.float64)
    return torch.stack([found.get(pair, zero) / mean for pair in product(range(count), repeat=2)])


def test_equal_embeddings_have_distance_zero_and_disturb_no_gradient():
    student = torch.cat([STUDENT, STUDENT[:2]])
    teacher = features(9, 4, seed=3)

    assert_same(
        lambda s: F.relational_distance(s, teacher),
        lambda s: nnf.smooth_l1_loss(distances_by_loops(s), distances_by_loops(teacher)),
        student,
    )


@pytest.mark.parametrize("loss", PAIRWISE)
def test_a_student_whose_embeddings_have_all_collapsed_gets_a_bounded_gradient(loss):
    for collapsed in (torch.zeros(7, 5), torch.ones(7, 5)):
        assert loss(collapsed, TEACHER.float()).isfinite()
        assert gradient(lambda s: loss(s, TEACHER.float()), collapsed).abs().max() < 1.0


@pytest.mark.parametrize("loss", [F.relational_angle, F.similarity_preserving])
def test_dead_and_equal_examples_get_no_huge_gradient_in_fp32(loss):
    student = STUDENT.float()
    student[2], student[3] = 0.0, student[4]

    ordinary = gradient(lambda s: loss(s, TEACHER.float()), STUDENT.float()).abs().max()

    assert gradient(lambda s: loss(s, TEACHER.float()), student).abs().max() < 10 * ordinary


def test_probabilistic_transfer_and_its_gradient_agree_with_torchdistill():
    theirs = mid_level.PKTLoss("s", "output", "t", "output")

    assert_same(
        # theirs adds its 1e-7 to the norms, too
        lambda s: F.probabilistic_transfer(s, TEACHER),
        lambda s: theirs.cosine_similarity_loss(s, TEACHER),
        STUDENT,
        tolerance=1e-6,
    )


def test_probabilistic_transfer_of_two_examples_by_hand():
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)  # cosines 1, 0: worth 1, 1/2: 2/3, 1/3
    teacher = torch.tensor([[1.0, 0.0], [3.0, 0.0]], dtype=torch.float64)  # cosines 1, 1: 1/2, 1/2

    by_hand = (0.5 * math.log(0.5 / (2 / 3)) + 0.5 * math.log(0.5 / (1 / 3))) / 2

    assert F.probabilistic_transfer(student, teacher).item() == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("loss", [*PAIRWISE, F.correlation_congruence])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(loss):
    assert loss(ALIKE, ALIKE).item() == pytest.approx(0, abs=1e-12)
    # the 1e-7 in the logarithm moves the least of probabilistic_transfer by as little
    assert gradient(lambda s: loss(s, ALIKE), ALIKE).abs().max() < 1e-8


@pytest.mark.parametrize("loss", PAIRWISE)
def test_relations_know_no_direction_and_no_unit(loss):
    turned = 3.0 * STUDENT @ rotation(5, seed=4)

    assert loss(turned, TEACHER).item() == pytest.approx(loss(STUDENT, TEACHER).item(), rel=1e-6)


@pytest.mark.parametrize("loss", [F.relational_distance, F.relational_angle])
def test_distances_and_angles_know_no_origin(loss):
    assert loss(STUDENT + 10.0, TEACHER).item() == pytest.approx(loss(STUDENT, TEACHER).item(), rel=1e-9)


@pytest.mark.parametrize("loss", PAIRWISE)
def test_relations_do_not_depend_on_the_order_of_the_batch(loss):
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])

    assert loss(STUDENT[order], TEACHER[order]).item() == pytest.approx(loss(STUDENT, TEACHER).item(), rel=1e-12)
    assert loss(STUDENT[order], TEACHER).item() != pytest.approx(loss(STUDENT, TEACHER).item(), rel=1e-3)


def test_correlation_congruence_is_by_default_the_product_of_neighbours_differences():
    def by_loops(student: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for i, d in product(range(6), range(5)):
            total = total + (student[i, d] - ALIKE[i, d]).abs() * (student[i + 1, d] - ALIKE[i + 1, d]).abs()
        return total / 6

    assert_same(lambda s: F.correlation_congruence(s, ALIKE), by_loops, STUDENT)


def test_the_default_correlation_loss_is_zero_where_every_other_example_agrees_and_alone():
    half = STUDENT.clone()
    half[::2] = ALIKE[::2]

    assert F.correlation_congruence(half, ALIKE) == 0
    assert F.correlation_congruence(STUDENT[:1], ALIKE[:1]) == 0


@pytest.mark.parametrize("kernel", ["gaussian", "bilinear"])
def test_the_paper_s_correlation_loss_is_the_square_of_torchdistill_s(kernel):
    """Theirs is the norm over B^2, not its square, and does not normalise what goes into the Gaussian."""
    config = {"type": kernel, "gamma": 0.4, "max_p": 2}
    theirs = mid_level.CCKDLoss("s", "t", config, "batchmean")

    def unit(x: torch.Tensor) -> torch.Tensor:
        return nnf.normalize(x) if kernel == "gaussian" else x

    def reference(student: torch.Tensor) -> torch.Tensor:
        answer = [{name: {"output": unit(x)}} for name, x in (("s", student), ("t", ALIKE))]
        return (theirs(answer[0], answer[1]) * 7**2) ** 2 / 7**2

    assert_same(lambda s: F.correlation_congruence(s, ALIKE, kernel), reference, STUDENT)


def test_the_gaussian_correlation_is_near_the_exponential_it_expands():
    unit = nnf.normalize(STUDENT)
    exact = torch.exp(-0.4 * torch.cdist(unit, unit) ** 2)
    other = torch.zeros_like(STUDENT)  # whose correlations are exp(-0.8) everywhere
    expanded = F.correlation_congruence(STUDENT, other, "gaussian")

    assert expanded.item() == pytest.approx((exact - math.exp(-0.8)).square().mean().item(), rel=0.15)


N, K = 20, 6


@pytest.fixture
def crd():
    """torchdistill's CRD with memories in double precision and Z known, so that its buffers can be compared."""
    torch.manual_seed(0)
    theirs = mid_level.CRDLoss("s", "e", "t", 4, N, K, N)
    theirs.params = torch.tensor([K, 0.07, -1, -1, 0.5], dtype=torch.float64)
    theirs.memory_v1, theirs.memory_v2 = theirs.memory_v1.double(), theirs.memory_v2.double()
    return theirs


def test_contrastive_and_its_gradients_agree_with_torchdistill_in_both_directions(crd):
    index = torch.tensor([3, 8, 1])
    drawn = torch.stack([torch.randperm(N, generator=torch.Generator().manual_seed(i))[:K] for i in range(3)])
    candidates = torch.cat([index[:, None], drawn], 1)
    mine, its = nnf.normalize(features(3, 4, seed=5)), nnf.normalize(features(3, 4, seed=6))
    memories = {"of_student": crd.memory_v1.clone(), "of_teacher": crd.memory_v2.clone()}
    crd.contrast_memory(mine, its, index, candidates)  # the first batch fixes Z

    def restore() -> None:
        crd.memory_v1, crd.memory_v2 = memories["of_student"].clone(), memories["of_teacher"].clone()

    def theirs(s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        restore()
        return sum(crd.compute_contrast_loss(x) for x in crd.contrast_memory(s, t, index, candidates)).sum()

    def ours(s: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        z_student, z_teacher = crd.params[2], crd.params[3]
        first = (s @ memories["of_teacher"].T).gather(1, candidates)
        second = (t @ memories["of_student"].T).gather(1, candidates)
        return F.contrastive(first, 0.07, z_student, N) + F.contrastive(second, 0.07, z_teacher, N)

    assert_same(lambda s: ours(s, its), lambda s: theirs(s, its), mine, tolerance=1e-9)
    assert_same(lambda t: ours(mine, t), lambda t: theirs(mine, t), its, tolerance=1e-9)


def test_contrastive_of_one_example_and_one_negative_by_hand():
    similarities = torch.tensor([[math.log(3.0), math.log(2.0)]], dtype=torch.float64)

    # worth 3/6 and 2/6 at Z = 6; noise 1/4: -(log(1/2 / 3/4) + log(1/4 / (1/3 + 1/4)))
    by_hand = -(math.log(2 / 3) + math.log(3 / 7))

    found = F.contrastive(similarities, 1.0, torch.tensor(6.0, dtype=torch.float64), 4)
    assert found.item() == pytest.approx(by_hand, rel=1e-6)


def test_contrastive_falls_with_a_nearer_partner_and_rises_with_a_nearer_stranger():
    similarities = torch.zeros(4, 1 + K, dtype=torch.float64)

    slope = gradient(lambda s: F.contrastive(s, 0.07, torch.tensor(float(N)), N), similarities)

    assert (slope[:, 0] < 0).all()
    assert (slope[:, 1:] > 0).all()

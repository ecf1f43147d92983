"""Losses on transformed features: torchdistill, rows by hand, and what must not change them."""

import math
import warnings

import pytest
import torch

from kdbench import functional as F

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    mid_level = pytest.importorskip("torchdistill.losses.mid_level")


def maps(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gradient(loss, student: torch.Tensor) -> torch.Tensor:
    leaf = student.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(loss(leaf), leaf)
    return grad


def assert_same(ours, theirs, student: torch.Tensor, tolerance: float = 1e-10) -> None:
    assert ours(student).item() == pytest.approx(theirs(student).item(), rel=tolerance)
    expected = gradient(theirs, student)
    assert (gradient(ours, student) - expected).abs().max() <= tolerance * expected.abs().max()


def test_factor_transfer_and_its_gradient_agree_with_torchdistill():
    student, teacher = maps(6, 3, 4, 4, seed=0), maps(6, 3, 4, 4, seed=1)
    theirs = mid_level.FTLoss()

    def reference(s: torch.Tensor) -> torch.Tensor:
        return theirs({"translator": {"output": s}}, {"paraphraser": {"output": teacher}})

    assert_same(lambda s: F.factor_transfer(s, teacher), reference, student)


def test_factor_transfer_by_hand():
    student = torch.tensor([[3.0, 4.0], [1.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)

    assert F.factor_transfer(student, teacher).item() == pytest.approx((0.4 + 0.8) / 4, rel=1e-12)


def test_factor_transfer_knows_no_unit_and_is_zero_where_factors_agree():
    student, teacher = maps(6, 3, 4, 4, seed=0), maps(6, 3, 4, 4, seed=1)
    units = torch.linspace(1, 6, 6, dtype=torch.float64).reshape(6, 1, 1, 1)

    assert F.factor_transfer(units * student, teacher).item() == pytest.approx(
        F.factor_transfer(student, teacher).item(), rel=1e-12
    )
    assert F.factor_transfer(teacher, 5 * teacher).item() == pytest.approx(0, abs=1e-15)


def test_on_maps_pooled_over_channels_factor_transfer_is_repdistiller_s():
    """Its `factor` spelt out: mean over channels of squares, flattened, over the L2 norm; then the mean difference."""
    student, teacher = maps(6, 3, 4, 4, seed=0), maps(6, 3, 4, 4, seed=1)

    def reference(s: torch.Tensor) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for mine, its in zip(s, teacher, strict=True):
            energies = [sum(channel**2 for channel in example) / 3 for example in (mine, its)]
            units = [energy / (energy**2).sum().sqrt() for energy in energies]
            total = total + (units[0] - units[1]).abs().sum()
        return total / (6 * 16)

    assert_same(
        lambda s: F.factor_transfer(s.square().mean(1), teacher.square().mean(1)),
        reference,
        student,
    )


@pytest.mark.parametrize("side", [1, 2, 4, 8])
def test_review_of_one_pair_and_its_gradient_agree_with_torchdistill(side):
    student, teacher = maps(3, 5, side, side, seed=0), maps(3, 5, side, side, seed=1)
    theirs = mid_level.HierarchicalContextLoss("s", "output", "t", "output")

    def reference(s: torch.Tensor) -> torch.Tensor:
        return theirs({"s": {"output": (s, None)}}, {"t": {"output": teacher}})

    assert_same(lambda s: F.review([s], [teacher]), reference, student)


def test_review_sums_over_pairs():
    student, teacher = [maps(3, 2, 8, 8, seed=0), maps(3, 4, 1, 1, seed=1)], [maps(3, 2, 8, 8, seed=2)] * 1
    teacher.append(maps(3, 4, 1, 1, seed=3))

    alone = [F.review([s], [t]).item() for s, t in zip(student, teacher, strict=True)]

    assert F.review(student, teacher).item() == pytest.approx(sum(alone), rel=1e-12)
    assert alone[1] == pytest.approx(((student[1] - teacher[1]) ** 2).mean().item(), rel=1e-12)


def test_review_of_maps_that_differ_by_a_constant_is_its_square_at_every_size():
    teacher = maps(2, 3, 8, 8, seed=0)

    assert F.review([teacher + 0.5], [teacher]).item() == pytest.approx(0.25, rel=1e-12)


def test_review_of_a_chequered_error_is_seen_at_full_size_only():
    teacher = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    chequered = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64).repeat(4, 4)[None, None]

    assert F.review([chequered], [teacher]).item() == pytest.approx(1 / (1 + 1 / 2 + 1 / 4 + 1 / 8), rel=1e-12)


def test_review_pools_maps_that_are_not_square_to_what_fits():
    teacher = torch.zeros(1, 1, 8, 2, dtype=torch.float64)

    # levels below 2 only: 1 and 1/2
    assert F.review([teacher + math.sqrt(3)], [teacher]).item() == pytest.approx(3.0, rel=1e-12)

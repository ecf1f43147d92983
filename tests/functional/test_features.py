"""Losses on features: another implementation, the formula in slow loops, and what each of them must not notice."""

import math
import warnings

import pytest
import torch
from torch import Tensor

from kdbench import functional as F


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gradients(loss, inputs: list[Tensor]) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_(True) for tensor in inputs]
    return list(torch.autograd.grad(loss(leaves), leaves))


def assert_agree(ours, reference, inputs: list[Tensor], within: float = 1e-10) -> None:
    """Both functions of a list of the student's tensors: values, and gradients with respect to each of them."""
    assert abs(ours(inputs) - reference(inputs)) < within
    for found, expected in zip(gradients(ours, inputs), gradients(reference, inputs), strict=True):
        assert expected.abs().max() > 0
        assert (found - expected).abs().max() < within


@pytest.fixture(scope="module")
def mid_level():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torchdistill.losses.mid_level")


def outputs(tensors) -> dict:
    """Tensors as torchdistill's criteria take them, one a module."""
    return {f"m{number}": {"output": tensor} for number, tensor in enumerate(tensors)}


def matched(count: int, weights=None) -> dict:
    """Module m<i> of the student with module m<i> of the teacher."""
    place = [{"io": "output", "path": f"m{number}"} for number in range(count)]
    weights = weights or [1.0] * count
    return {f"p{i}": {"student": place[i], "teacher": place[i], "weight": weights[i]} for i in range(count)}


MAPS = ([randn(3, 4, 6, 6, seed=0), randn(3, 5, 3, 3, seed=1)], [randn(3, 7, 6, 6, seed=2), randn(3, 2, 3, 3, seed=3)])
ALIKE = ([randn(3, 4, 6, 6, seed=0), randn(3, 5, 3, 3, seed=1)], [randn(3, 4, 6, 6, seed=2), randn(3, 5, 3, 3, seed=3)])


def test_the_hint_by_hand_is_the_mean_of_the_squares():
    student = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

    assert F.hint(student, torch.zeros(2, 2)).item() == (1 + 4 + 9 + 16) / 4


def test_the_hint_is_equation_3_of_fitnets_divided_by_half_the_elements_of_an_example():
    teacher = randn(3, 4, 6, 6, seed=1)

    def equation_3(inputs: list[Tensor]) -> Tensor:
        halves = [0.5 * (inputs[0][i] - teacher[i]).norm() ** 2 for i in range(3)]
        return sum(halves) / 3

    assert_agree(lambda inputs: F.hint(inputs[0], teacher) * (4 * 6 * 6) / 2, equation_3, [randn(3, 4, 6, 6, seed=0)])


def test_attention_transfer_by_hand_on_two_places():
    student = torch.tensor([[[[3.0, 0.0]]]], dtype=torch.float64)  # attention (9, 0), of norm 1: (1, 0)
    teacher = torch.tensor([[[[1.0, 1.0]], [[1.0, 1.0]]]], dtype=torch.float64)  # attention (1, 1): (1, 1) / sqrt 2

    by_hand = ((1 - math.sqrt(0.5)) ** 2 + 0.5) / 2

    assert by_hand == pytest.approx(0.292893, abs=5e-7)
    assert F.attention_transfer([student], [teacher]).item() == pytest.approx(by_hand, rel=1e-12)


def test_attention_transfer_and_its_gradients_agree_with_torchdistill(mid_level):
    student, teacher = MAPS
    theirs = mid_level.ATLoss(matched(2), mode="code")

    assert_agree(
        lambda inputs: F.attention_transfer(inputs, teacher),
        lambda inputs: theirs(outputs(inputs), outputs(teacher)),
        student,
    )


def test_attention_transfer_of_one_example_is_the_square_of_the_papers_norm_over_the_places(mid_level):
    student, teacher = [MAPS[0][0][:1]], [MAPS[1][0][:1]]
    papers = mid_level.ATLoss(matched(1), mode="paper")(outputs(student), outputs(teacher))

    assert F.attention_transfer(student, teacher).item() == pytest.approx(papers.item() ** 2 / 36, rel=1e-12)


def test_attention_has_no_scale():
    student, teacher = MAPS

    scaled = F.attention_transfer([3 * s for s in student], [0.1 * t for t in teacher])

    assert scaled.item() == pytest.approx(F.attention_transfer(student, teacher).item(), rel=1e-12)


def slow_neuron_selectivity(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    def kernel(first: Tensor, second: Tensor) -> Tensor:
        values = [
            (a.flatten() / a.norm()).dot(b.flatten() / b.norm()) ** 2
            for one, other in zip(first, second, strict=True)
            for a in one
            for b in other
        ]
        return torch.stack(values).mean()

    layers = zip(student, teacher, strict=True)
    return sum(kernel(t, t) + kernel(s, s) - 2 * kernel(s, t) for s, t in layers)


def test_neuron_selectivity_and_its_gradients_agree_with_loops_over_pairs_of_channels():
    student, teacher = MAPS

    assert_agree(
        lambda inputs: F.neuron_selectivity(inputs, teacher),
        lambda inputs: slow_neuron_selectivity(inputs, teacher),
        student,
    )


def test_neuron_selectivity_of_channels_at_right_angles_is_two():
    here, there = torch.eye(2, dtype=torch.float64).reshape(2, 1, 1, 1, 2)

    assert F.neuron_selectivity([here], [there]).item() == 2.0


def test_neuron_selectivity_knows_neither_the_order_nor_the_scale_of_channels():
    student, teacher = MAPS
    mixed = [s.flip(1) * torch.arange(1, s.shape[1] + 1).reshape(1, -1, 1, 1) for s in student]

    assert F.neuron_selectivity(mixed, teacher).item() == pytest.approx(
        F.neuron_selectivity(student, teacher).item(), rel=1e-12
    )


def test_variational_information_and_its_gradients_agree_with_torchdistill(mid_level):
    mean, teacher, variance = randn(3, 5, 4, 4, seed=0), randn(3, 5, 4, 4, seed=1), randn(5, seed=2).exp()
    theirs = mid_level.VIDLoss(matched(1))

    def reference(inputs: list[Tensor]) -> Tensor:
        return theirs(outputs([(inputs[0], inputs[1].reshape(1, 5, 1, 1))]), outputs([teacher]))

    assert_agree(lambda inputs: F.variational_information(*inputs, teacher), reference, [mean, variance])


def test_variational_information_is_torchs_gaussian_likelihood_up_to_its_constant():
    mean, teacher, variance = randn(6, 5, seed=0), randn(6, 5, seed=1), randn(5, seed=2).exp()
    likelihood = torch.distributions.Normal(mean, variance.sqrt()).log_prob(teacher).mean()

    found = F.variational_information(mean, variance, teacher)

    assert found.item() == pytest.approx(-likelihood.item() - 0.5 * math.log(2 * math.pi), rel=1e-12)


def test_the_best_variance_of_a_channel_is_the_mean_square_of_its_error():
    mean, teacher = randn(3, 5, 4, 4, seed=0), randn(3, 5, 4, 4, seed=1)
    best = (mean - teacher).square().mean((0, 2, 3))

    (slope,) = gradients(lambda inputs: F.variational_information(mean, inputs[0], teacher), [best])

    assert slope.abs().max() < 1e-12


def slow_flow(first: Tensor, second: Tensor) -> Tensor:
    height, width = first.shape[2:]
    flow = torch.zeros(len(first), first.shape[1], second.shape[1], dtype=first.dtype)
    for y in range(height):
        for x in range(width):
            flow = flow + first[:, :, None, y, x] * second[:, None, :, y, x] / (height * width)
    return flow


def test_flow_of_solution_and_its_gradients_agree_with_loops_over_places():
    student = [randn(3, 2, 4, 5, seed=0), randn(3, 3, 4, 5, seed=1), randn(3, 4, 4, 5, seed=2)]
    teacher = [randn(3, 2, 4, 5, seed=3), randn(3, 3, 4, 5, seed=4), randn(3, 4, 4, 5, seed=5)]

    def pairs(maps: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        return [(maps[0], maps[1]), (maps[1], maps[2])]

    def reference(inputs: list[Tensor]) -> Tensor:
        layers = zip(pairs(inputs), pairs(teacher), strict=True)
        return sum((slow_flow(*s) - slow_flow(*t)).square().mean() for s, t in layers)

    assert_agree(lambda inputs: F.flow_of_solution(pairs(inputs), pairs(teacher)), reference, student)


def test_flow_of_solution_is_the_square_of_torchdistills_norm_where_that_has_one_column_only(mid_level):
    # torchdistill sums the norms of the columns of Gs - Gt over B; with one example and one column that is one norm
    student, teacher = ([randn(1, 4, 5, 5, seed=s), randn(1, 1, 5, 5, seed=s + 1)] for s in (0, 2))
    places = {
        f"{whose}_{which}": {"io": "output", "path": f"m{number}"}
        for whose in ("student", "teacher")
        for number, which in enumerate(("first", "second"))
    }
    theirs = mid_level.FSPLoss({"pair": places})

    assert_agree(
        lambda inputs: F.flow_of_solution([tuple(inputs)], [tuple(teacher)]),
        lambda inputs: theirs(outputs(inputs), outputs(teacher)) ** 2 / 4,
        student,
    )


def test_flow_of_solution_averages_the_larger_map_of_a_pair():
    first, second = randn(2, 3, 6, 6, seed=0), randn(2, 4, 3, 3, seed=1)
    teacher = [(randn(2, 3, 3, 3, seed=2), randn(2, 4, 3, 3, seed=3))]
    averaged = first.reshape(2, 3, 3, 2, 3, 2).mean((3, 5))

    assert F.flow_of_solution([(first, second)], teacher).item() == pytest.approx(
        F.flow_of_solution([(averaged, second)], teacher).item(), rel=1e-12
    )


@pytest.mark.parametrize(
    ("student", "teacher", "cost"),
    [
        (2.0, 0.1, 0.0),  # on, by more than the margin
        (0.5, 100.0, 0.25),  # on, but within the margin
        (-1.0, 0.1, 4.0),  # off where the teacher is on
        (1.0, -0.1, 4.0),  # on where it is off
        (-0.5, 0.0, 0.25),  # a teacher at 0 counts as off
        (-1.0, -9.0, 0.0),
    ],
)
def test_activation_boundary_of_one_neuron_by_hand(student, teacher, cost):
    found = F.activation_boundary([torch.tensor([[student]])], [torch.tensor([[teacher]])], 1.0)

    assert found.item() == pytest.approx(0.003 * cost, rel=1e-6)


def test_activation_boundary_and_its_gradients_agree_with_torchdistill_after_the_authors_factors(mid_level):
    students, teachers = ([*maps, randn(3, 6, seed=9 + i)] for i, maps in enumerate(ALIKE))
    theirs = mid_level.AltActTransferLoss(matched(3, weights=[0.25, 0.5, 1.0]), margin=1.5, reduction="mean")

    assert_agree(
        lambda inputs: F.activation_boundary(inputs, teachers, 1.5),
        lambda inputs: 3 / 1000 * theirs(outputs(inputs), outputs(teachers)),
        students,
    )


def test_activation_boundary_sees_the_sign_of_the_teacher_only():
    student, teacher = ALIKE

    assert F.activation_boundary(student, [t * t.abs() for t in teacher], 1.0).item() == pytest.approx(
        F.activation_boundary(student, teacher, 1.0).item(), rel=1e-12
    )


def each_layer(loss):
    """A loss on one layer as one on several."""
    return lambda student, teacher: sum(loss(s, t) for s, t in zip(student, teacher, strict=True))


LOSSES = {
    "hint": each_layer(F.hint),
    "attention_transfer": F.attention_transfer,
    "neuron_selectivity": F.neuron_selectivity,
    "variational_information": each_layer(lambda s, t: F.variational_information(s, torch.ones(s.shape[1]), t)),
    "flow_of_solution": lambda s, t: F.flow_of_solution([tuple(s)], [tuple(t)]),
    "activation_boundary": lambda s, t: F.activation_boundary(s, t, 1.0),
}


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "activation_boundary"])
def test_a_student_that_has_the_teachers_features_has_nothing_to_learn(name):
    _, teacher = ALIKE

    assert abs(LOSSES[name](teacher, teacher)) < 1e-12
    assert all(slope.abs().max() < 1e-12 for slope in gradients(lambda s: LOSSES[name](s, teacher), teacher))


def test_activation_boundary_is_zero_where_the_student_is_beyond_the_margin_on_the_teachers_side():
    _, teacher = ALIKE
    beyond = [t.sign() * 1.01 for t in teacher]

    assert F.activation_boundary(beyond, teacher, 1.0) == 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_that_holds_every_example_twice_has_the_same_loss(name):
    student, teacher = ALIKE
    twice = LOSSES[name](*([torch.cat([feature, feature]) for feature in side] for side in (student, teacher)))

    assert twice.item() == pytest.approx(LOSSES[name](student, teacher).item(), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_the_examples_does_not_matter_as_long_as_both_networks_have_the_same(name):
    student, teacher = ALIKE
    turned = LOSSES[name](*([feature.flip(0) for feature in side] for side in (student, teacher)))
    apart = LOSSES[name]([feature.flip(0) for feature in student], teacher)

    assert turned.item() == pytest.approx(LOSSES[name](student, teacher).item(), rel=1e-12)
    assert abs(apart - turned) > 1e-6


@pytest.mark.parametrize("name", ["attention_transfer", "neuron_selectivity"])
def test_of_two_sizes_the_larger_map_is_averaged_whoever_has_it(name):
    large, small = randn(2, 3, 6, 8, seed=0), randn(2, 5, 3, 4, seed=1)
    averaged = large.reshape(2, 3, 3, 2, 4, 2).mean((3, 5))

    expected = LOSSES[name]([averaged], [small]).item()
    assert LOSSES[name]([large], [small]).item() == pytest.approx(expected, rel=1e-12)
    assert LOSSES[name]([small], [large]).item() == pytest.approx(expected, rel=1e-12)

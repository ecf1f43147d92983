"""Adapters bring the student's features into the teacher's shape, whatever the two shapes are."""

import pytest
import torch
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.techniques.features._adapters import Each, Gaussian, Norm, regressor


@pytest.mark.parametrize(
    ("student", "kernel"),
    [((4, 8, 8), (1, 1)), ((4, 16, 16), (3, 3)), ((4, 4, 4), (4, 4)), ((4, 11, 9), (1, 1)), ((4, 2, 2), (1, 1))],
)
def test_a_map_of_any_size_comes_out_in_the_teachers_shape(student, kernel):
    adapter = regressor(student, (7, 8, 8))

    assert adapter(torch.rand(3, *student)).shape == (3, 7, 8, 8)
    assert [m.kernel_size for m in adapter if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)] == [kernel]


def test_a_vector_goes_through_a_linear_layer():
    adapter = regressor((5,), (9,))

    assert adapter(torch.rand(3, 5)).shape == (3, 9)
    assert [type(module) for module in adapter] == [nn.Linear, Norm, nn.ReLU]


def test_without_norm_and_relu_negative_values_can_be_reached():
    assert [type(module) for module in regressor((4, 8, 8), (7, 8, 8), norm=False, relu=False)] == [nn.Conv2d]


@pytest.mark.parametrize(("student", "teacher"), [((4, 8, 8), (7,)), ((7,), (4, 8, 8)), ((10, 7), (10, 7))])
def test_maps_and_vectors_do_not_meet(student, teacher):
    with pytest.raises(TechniqueError, match="no adapter leads from the student's features of shape"):
        regressor(student, teacher)


@pytest.mark.parametrize("shape", [(6,), (6, 1, 1), (6, 4, 4)])
def test_norm_is_torchs_and_takes_a_batch_of_one_as_well(shape):
    norm = Norm(6)
    torchs = nn.BatchNorm1d(6) if len(shape) == 1 else nn.BatchNorm2d(6)
    batch = torch.rand(5, *shape)
    assert torch.equal(norm(batch), torchs(batch))
    assert torch.equal(norm.running_var, torchs.running_var)

    alone = norm(batch[:1])

    if shape != (6, 4, 4):  # one value a channel: the running statistics serve, and stay
        assert torch.equal(norm.running_var, torchs.running_var)
        assert torch.equal(alone, torchs.eval()(batch[:1]))


@pytest.mark.parametrize("variance", [0.1, 1.0, 5.0])
def test_the_gaussian_starts_from_its_initial_variance_and_trains_it(variance):
    mean, found = Gaussian((4, 8, 8), (7, 8, 8), variance)(torch.rand(3, 4, 8, 8))

    assert mean.shape == (3, 7, 8, 8)
    assert found.shape == (7,)
    assert found.detach().numpy() == pytest.approx(variance, rel=1e-5)
    assert found.requires_grad


def test_each_layer_has_its_own_adapter():
    adapters = Each([regressor((4, 8, 8), (7, 8, 8)), regressor((5,), (9,))])

    assert [f.shape for f in adapters([torch.rand(3, 4, 8, 8), torch.rand(3, 5)])] == [(3, 7, 8, 8), (3, 9)]

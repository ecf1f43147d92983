"""A plain torch.nn.Module, or a function that makes one, where a model is named."""

import pytest
from pydantic import ValidationError
from torch import nn

from kdbench.errors import ModelError
from kdbench.protocols import Model, TaskDescription, as_model

TASK = TaskDescription.classification(
    input_names=("x",), input_shapes=((4,),), class_names=("a", "b"), example_counts={"train": 1}
)


class Net(nn.Module):
    """A plain network."""

    def __init__(self, width: int, depth: int = 2, *, dropout: "float" = 0.5, norm=nn.BatchNorm1d, **rest: int) -> None:
        super().__init__()
        self.said = (width, depth, dropout, norm)


def make(width: int = 3) -> nn.Module:
    return nn.Linear(4, width)


def make_nothing() -> int:
    return 3


def test_its_arguments_are_its_fields() -> None:
    model = as_model(Net)
    assert list(model.model_fields) == ["width", "depth", "dropout", "norm"]
    network = model.from_fields({"width": 5, "dropout": 0.25}).build(TASK)
    assert network.said == (5, 2, 0.25, nn.BatchNorm1d)
    assert model.__doc__ == "A plain network."


@pytest.mark.parametrize("fields", [{}, {"width": "5"}, {"width": 5, "dept": 3}, {"width": 5.5}])
def test_fields_are_checked_against_its_signature(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        as_model(Net).from_fields(fields)


def test_a_function_may_make_the_network() -> None:
    assert as_model(make).from_fields({"width": 7}).build(TASK).out_features == 7


def test_a_function_that_makes_none_is_said() -> None:
    with pytest.raises(ModelError, match=r"make_nothing gives int, and a torch\.nn\.Module was expected"):
        as_model(make_nothing)().build(TASK)


def test_kdbenchs_own_models_stay_what_they_are() -> None:
    class Mine(Model):
        pass

    assert as_model(Mine) is Mine
    assert as_model(Net) is as_model(Net)

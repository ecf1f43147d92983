"""A recipe's parts add up to the recipe, and its penalty is a term of its own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kdbench.protocols import Batch, TaskDescription
from kdbench.protocols.recipe import Recipe, Regularizer
from kdbench.training import Examples, Training

RECIPE = Recipe(epochs=240, steps_down=(150, 180, 210), warmup_epochs=4)


@given(epochs=st.integers(1, 300), border=st.floats(0, 1))
def test_two_neighbouring_parts_have_the_recipes_epochs(epochs: int, border: float) -> None:
    recipe = Recipe(epochs=epochs)
    parts = [recipe.part(0.0, border), recipe.part(border, 1.0)]
    assert sum(part.epochs for part in parts if part is not None) == epochs


def test_a_part_runs_the_whole_schedule_at_its_own_length() -> None:
    eighth = RECIPE.part(0.0, 0.125)
    assert eighth is not None
    assert (eighth.epochs, eighth.steps_down, eighth.warmup_epochs) == (30, (19, 22, 26), 0.5)


def test_the_whole_is_the_recipe_itself_and_a_longer_part_stretches_it() -> None:
    assert RECIPE.part(0.0, 1.0) is RECIPE
    longer = RECIPE.part(0.0, 1.5)
    assert longer is not None
    assert (longer.epochs, longer.steps_down) == (360, (225, 270, 315))


def test_only_the_part_that_ends_selects_on_validation() -> None:
    chosen = Recipe(epochs=10, select="validation", patience=3)
    first, last = chosen.part(0.0, 0.5), chosen.part(0.5, 1.0)
    assert first is not None
    assert last is not None
    assert (first.select, first.patience) == ("last", None)
    assert (last.select, last.patience) == ("validation", 3)


def batches(epoch: int):  # type: ignore[no-untyped-def]
    inputs = torch.randn(32, 6, generator=torch.Generator().manual_seed(epoch))
    index = torch.arange(32)
    yield Batch((inputs,), ((inputs[:, 0] > 0).long(),), index, torch.zeros_like(index))


TASK = TaskDescription.classification(
    input_names=("point",), input_shapes=((6,),), class_names=("no", "yes"), example_counts={}
)


@pytest.mark.parametrize("penalty", ["l1", "group"])
def test_a_regularizer_makes_weights_smaller_than_they_would_be(penalty: str) -> None:
    def trained(regularizer: Regularizer | None) -> tuple[float, list[dict[str, float]]]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
        recipe = Recipe(epochs=60, learning_rate=0.05, weight_decay=0.0, regularizer=regularizer)
        history = Training(model, recipe, TASK, Examples(batches, None, 32)).run()
        weight = model[0].weight
        assert isinstance(weight, torch.Tensor)
        return float(weight.detach().abs().sum()), history.terms_by_epoch

    plain, _ = trained(None)
    small, terms = trained(Regularizer.from_fields({"penalty": penalty, "weight": 0.01}))
    assert small < 0.7 * plain
    assert terms[0].keys() == {"ce", f"{penalty}_penalty"}
    assert terms[-1][f"{penalty}_penalty"] < terms[0][f"{penalty}_penalty"]

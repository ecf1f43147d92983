"""Values and gradients of losses inside transformers are TextBrewer's, where that is installed."""

import pytest
from comparisons import comparisons, found, textbrewer


def test_values_and_gradients_are_textbrewers() -> None:
    pytest.importorskip("textbrewer.losses", exc_type=ImportError)
    every = comparisons(textbrewer())
    assert len(every) == 8
    for one in every:
        its = found(one)
        assert its.difference < 1e-12, one.name
        assert its.gradient_difference < 1e-12 < its.gradient_norm, one.name

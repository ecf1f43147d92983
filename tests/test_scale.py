"""Values of a metric as tables write them."""

import pytest

from kdbench.scale import Scale


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.967, 0.958, 0.976, "96.7 ± 0.9"),
        (0.98, 0.931, 0.994, "98.0 (93.1 to 99.4)"),
        (1.0, 0.963, 1.0, "100.0 (96.3 to 100.0)"),
        (0.967, None, None, "96.7"),
    ],
)
def test_an_interval_says_both_ends_where_one_side_is_wider(
    value: float, low: float | None, high: float | None, text: str
) -> None:
    assert Scale().interval(value, low, high, 1) == text

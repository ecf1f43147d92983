"""Text with a unit as a number in base units; what is none is refused in a sentence."""

import pytest

from kdbench.units import parse_difference, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "value"),
    [("2ms", 2e6), ("800us", 8e5), ("800 µs", 8e5), ("1.5s", 1.5e9), (" 20 ns ", 20), (".5ms", 5e5)],
)
def test_durations_are_nanoseconds(text: str, value: float) -> None:
    assert parse_duration(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"), [("1MiB", 2**20), ("500kB", 500_000), ("1.5 KiB", 1536), ("12B", 12), ("1GB", 1e9)]
)
def test_sizes_are_bytes_and_the_i_is_a_power_of_1024(text: str, value: float) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize(("text", "value"), [("1pt", 0.01), ("0.5%", 0.005), ("0pt", 0), ("2 pts", 0.02)])
def test_drops_are_rates_and_per_cent_means_points(text: str, value: float) -> None:
    assert parse_difference(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["2", "ms", "2mz", "-2ms", "2 m s", "", "1e3ms", "2MS", "9" * 400 + "ms"])
def test_what_is_no_duration_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is a number"):
        parse_duration(text)


def test_nothing_fits_into_nothing() -> None:
    with pytest.raises(ValueError, match="a size is above 0; got '0MiB'"):
        parse_size("0MiB")
    with pytest.raises(ValueError, match="a drop in accuracy is a number with one of pt, pts, %, such as 1pt; got '1'"):
        parse_difference("1")

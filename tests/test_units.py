"""Numbers as text: digits follow the uncertainty, units follow the size, signs are real. And text back as numbers."""

import pytest

from kdbench import units
from kdbench.units import parse_difference, parse_duration, parse_size


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (980, "980 ns"),
        (52_140, "52.1 µs"),
        (1_234_000, "1.23 ms"),
        (999_600, "1,000 µs"),
        (2.5e9, "2.50 s"),
        (0, "0 ns"),
    ],
)
def test_a_latency_keeps_three_digits_in_the_unit_that_fits(nanoseconds: float, text: str) -> None:
    assert units.latency(nanoseconds) == text


@pytest.mark.parametrize(("count", "text"), [(812, "812 B"), (49_357, "48.2 KiB"), (1_210_000, "1.15 MiB"), (0, "0 B")])
def test_bytes_are_shown_in_powers_of_1024(count: int, text: str) -> None:
    assert units.size(count) == text


@pytest.mark.parametrize(
    ("half", "decimals"), [(0.9, 1), (1.24, 1), (3.4, 1), (12.0, 1), (0.04, 2), (0.001, 2), (0, 1)]
)
def test_the_uncertainty_decides_the_decimals(half: float, decimals: int) -> None:
    assert units.decimals_for([half]) == decimals


def test_accuracy_stands_in_per_cent_with_its_half_width() -> None:
    assert units.percent_interval(0.96667, 0.0089, units.decimals_for([0.89])) == "96.7 ± 0.9"


def test_a_difference_has_its_sign_and_both_ends() -> None:
    assert units.points_interval(0.004, -0.001, 0.009) == "+0.4 (−0.1 to 0.9)"
    assert units.points_interval(-0.0251, -0.04, -0.01) == "−2.5 (−4.0 to −1.0)"


def test_nothing_is_a_negative_zero() -> None:
    assert units.points(-0.0001) == "0.0"
    assert units.points(0.0001) == "0.0"
    assert units.points_interval(0.0, -0.0001, 0.0001) == "0.0 (0.0 to 0.0)"


def test_a_ratio_is_shown_between_its_bounds() -> None:
    assert units.ratio(3.1, 2.9, 3.3) == "3.1x (2.9 to 3.3)"
    assert units.ratio(1.004, 0.99, 1.01) == "1.00x (0.99 to 1.01)"
    assert units.ratio(31.84) == "31.8x"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4 s"), (12.2, "12 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert units.duration(seconds * 1e9) == text


def test_a_period_names_its_day_once() -> None:
    assert units.period("2026-01-02T03:04:05Z", "2026-01-02T05:00:00+00:00") == "2026-01-02 03:04 to 05:00 UTC"
    assert units.period("2026-01-02T03:04:05Z", "2026-01-02T03:04:59Z") == "2026-01-02 03:04 UTC"
    assert units.period("<yesterday>", "<yesterday>") == "<yesterday>"


def test_p_values_say_less_than_when_they_are_tiny() -> None:
    assert [units.p_value(p) for p in (0.0003, 0.0312, 0.4)] == ["< 0.001", "0.031", "0.40"]


def test_aligned_texts_have_their_points_under_each_other() -> None:
    texts = units.aligned(["314", "94.2", "1,270", "–"])
    ends = [len(text) - (text.index(".") if "." in text else text.index(units.PUNCTUATION_SPACE)) for text in texts[:3]]
    assert len(set(ends)) == 1
    assert texts[3] == "–"


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

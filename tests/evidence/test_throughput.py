"""Examples a second from calls, and what cannot be said of two thread counts that were not timed side by side."""

import math

import numpy as np
import pytest

from kdbench.evidence.grids import from_logs, quotient
from kdbench.evidence.intervals import FEWEST, Estimate, mean_interval
from kdbench.evidence.latency import latency_view
from kdbench.evidence.throughput import outstanding, throughput
from kdbench.results.records import CallSize, Latency

SLOW, FAST = ("local-cpu-1t-fp32", CallSize(1)), ("local-cpu-2t-fp32", CallSize(1))


def timed(*medians_us: float) -> Latency:
    samples = tuple((round(1000 * median),) * 64 for median in medians_us)
    return Latency(
        suite="s", case="soft", seed=0, key="k", target=SLOW[0], batch_size=32, samples_ns=samples,
        runtime="onnxruntime", runtime_version="1.24.1", provider_asked="cpu", providers_got=("cpu",), precision="fp32",
    )  # fmt: skip


def estimate(value: float, half: float | None) -> Estimate:
    return Estimate(value, None if half is None else value - half, None if half is None else value + half, (value,))


def test_a_batch_of_32_in_a_quarter_of_a_millisecond_is_128_thousand_examples_a_second() -> None:
    found = throughput(latency_view([timed(250, 250, 250)], None), 32)
    assert found.value == pytest.approx(128_000)
    assert (found.low, found.high) == (pytest.approx(128_000), pytest.approx(128_000))


def test_the_interval_is_the_latencys_turned_round() -> None:
    view = latency_view([timed(240, 250, 260)], None)
    found = throughput(view, 32)
    assert view.p50_ns.low is not None
    assert view.p50_ns.high is not None
    assert (found.low, found.high) == (32e9 / view.p50_ns.high, 32e9 / view.p50_ns.low)
    assert found.values == tuple(32e9 / value for value in view.p50_ns.values)


def test_two_processes_have_no_interval() -> None:
    found = throughput(latency_view([timed(240, 250)], None), 32)
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize(
    ("slow", "fast", "best"),
    [
        (estimate(100, 5), estimate(120, 5), FAST),
        (estimate(100, 5), estimate(108, 5), None),
        (estimate(120, 5), estimate(100, 5), SLOW),
        (estimate(100, None), estimate(900, 5), None),
    ],
)
def test_the_best_stands_out_only_beyond_every_other_interval(
    slow: Estimate, fast: Estimate, best: tuple[str, int] | None
) -> None:
    assert outstanding({SLOW: slow, FAST: fast}) == best


def test_one_setting_alone_is_not_the_best_of_anything() -> None:
    assert outstanding({SLOW: estimate(100, 1)}) is None
    assert outstanding({}) is None


def test_a_quotient_takes_the_squares_of_both_noises() -> None:
    """Equal parts of a factor 1.1 each way: together a factor exp(sqrt(2) log 1.1)."""
    part = Estimate(50.0, 50 / 1.1, 50 * 1.1, (50.0,))
    found = quotient(Estimate(100.0, 100 / 1.1, 100 * 1.1, (100.0,)), part)
    both = math.exp(math.sqrt(2) * math.log(1.1))
    assert (found.low, found.value, found.high) == (pytest.approx(2 / both), 2, pytest.approx(2 * both))
    exact = quotient(estimate(100, 0), part)
    assert (exact.low, exact.high) == (pytest.approx(2 / 1.1), pytest.approx(2 * 1.1))
    assert quotient(estimate(100, None), part).low is None


def test_a_quotient_of_equals_is_told_from_one_no_oftener_than_its_level_says() -> None:
    """Two latencies of three processes each, 2,000 times: at most 5 % of the intervals miss 1."""
    draw, missed = np.random.default_rng(1), 0
    for _ in range(2000):
        one, other = (from_logs(mean_interval(draw.normal(0, 0.03, FEWEST).tolist())) for _ in range(2))
        found = quotient(one, other)
        missed += not (found.low or 0) <= 1 <= (found.high or 0)
    assert 0 < missed <= 0.05 * 2000

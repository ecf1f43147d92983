"""Made-up latency records of a file and its reference that are equally fast, on a machine that drifts."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from kdbench.evidence.latency import BASELINE, latency_view
from kdbench.results.records import Latency

ROUNDS, CALLS = 4, 12
BASE_NS = 400_000
PROCESS_SD, DRIFT_SD, CALL_SD, BURST = 0.03, 0.02, 0.02, 0.05
"""Logarithms: a process's level and the walk from round to round, shared by its files; a call's own; the share of calls
that a neighbour makes half as long again (two busy cores: between-process spread of 2-3 %, p90 far above p50)."""
PLACE_SD = 0.004
"""A file's own luck in a process (where its memory lies): what no interleaving removes."""


def records(rng: np.random.Generator, processes: int, seeds: int, seed_sd: float) -> list[Latency]:
    """One a seed, all timed in the same processes beside one reference."""
    shared = PROCESS_SD * rng.standard_normal((processes, 1)) + DRIFT_SD * np.cumsum(
        rng.standard_normal((processes, ROUNDS)), axis=1
    )
    reference = _calls(rng, shared)
    mine = [_calls(rng, shared + seed_sd * rng.standard_normal()) for _ in range(seeds)]
    return [_record(seed, samples, reference) for seed, samples in enumerate(mine)]


def _calls(rng: np.random.Generator, rounds: NDArray[np.float64]) -> NDArray[np.int64]:
    level = rounds + PLACE_SD * rng.standard_normal((len(rounds), 1))
    noise = CALL_SD * np.abs(rng.standard_normal((*level.shape, CALLS)))
    slow = np.log(1.5) * (rng.random(noise.shape) < BURST)
    logs = (level[..., None] + noise + slow).reshape(len(level), -1)
    return (BASE_NS * np.exp(logs)).astype(np.int64)


def _record(seed: int, samples: NDArray[np.int64], reference: NDArray[np.int64]) -> Latency:
    return Latency(
        suite="simulation", case="equal", seed=seed, key="k", target="made-up",
        provider_asked="cpu", providers_got=("cpu",),
        batch_size=1, runtime="none", runtime_version="0", precision="fp32", samples_ns=_tuples(samples),
        round_call_count=CALLS, references={BASELINE: "reference"},
        reference_samples_ns={"reference": _tuples(reference)},
    )  # fmt: skip


def _tuples(samples: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(process) for process in samples.tolist())


def told_apart(found: list[Latency]) -> tuple[bool, bool]:
    """Whether kdbench's interval of the speed-up leaves out 1, and whether one over rounds does."""
    speedup = latency_view(found, None).speedup[BASELINE]
    assert speedup.low is not None
    assert speedup.high is not None
    return not speedup.low <= 1 <= speedup.high, _over_rounds(found)


def _over_rounds(found: list[Latency]) -> bool:
    """As if the rounds of one process were independent: the t test over all of them."""
    its = _quartiles((found[0].reference_samples_ns or {})["reference"])
    ratios = np.concatenate([_quartiles(record.samples_ns or ()) - its for record in found])
    return bool(stats.ttest_1samp(ratios, 0.0).pvalue < 0.05)


def _quartiles(samples: tuple[tuple[int, ...], ...]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.quantile(np.log(np.array(samples).reshape(-1, CALLS)), 0.25, axis=1)
    return found

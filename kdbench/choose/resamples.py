"""Numbers as they might have come out: seeds, test examples and measuring processes drawn again. Decides nothing.

A crossed bootstrap: one draw of seeds and one of examples serve every candidate, so that cases stay paired (Owen 2007,
"The pigeonhole bootstrap": drawing both factors is never too narrow for their interaction). Of n seeds, and of n
processes, n - 1 are drawn: with n of n, the variance of a mean over few would come out at (n - 1) / n of what it is
(Rao, Wu 1988, section 2). Bytes and memory are taken as they are.
"""

from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from kdbench.choose.candidates import Candidate, Lineup
from kdbench.choose.rule import Numbers
from kdbench.evidence.accuracy import BySeed

SEED = 0
"""Of the draws, so that the same records give the same shares."""
Array = NDArray[np.float64]


def measured(lineup: Lineup) -> Numbers:
    """The numbers as they are."""
    latency = [candidate.latency for candidate in lineup.candidates]
    rates = [mean_rate(candidate.answers) for candidate in lineup.candidates]
    p50 = [view.p50_ns.value for view in latency]
    placed = [float(np.log(view.placed_ns.value)) for view in latency]
    return _numbers(
        lineup.candidates, rates, None if lineup.baseline is None else mean_rate(lineup.baseline), p50, placed
    )


def drawn(lineup: Lineup, count: int) -> Iterator[Numbers]:
    """`count` further outcomes."""
    random = np.random.default_rng(SEED)
    views = [candidate.latency for candidate in lineup.candidates]
    p50 = np.exp(_log_latencies([view.p50_ns.values for view in views], random, count))
    placed = _log_latencies([view.placed_ns.values for view in views], random, count)
    rates = _rates(lineup, random, count)
    for row, its_p50, its_placed in zip(rates, p50.tolist(), placed.tolist(), strict=True):
        *own, last = row.tolist()
        baseline = None if lineup.baseline is None else last
        yield _numbers(lineup.candidates, own, baseline, its_p50, its_placed)


def _numbers(
    candidates: Sequence[Candidate],
    rates: Sequence[float],
    baseline: float | None,
    p50: Sequence[float],
    placed: Sequence[float],
) -> Numbers:
    bytes_of = [candidate.onnx_bytes for candidate in candidates]
    limited = {
        "latency_p50": p50,
        "bytes": bytes_of,
        "memory": [float(candidate.memory_bytes or 0) for candidate in candidates],
        "accuracy_drop": [] if baseline is None else [baseline - rate for rate in rates],
    }
    return Numbers(rates, placed, bytes_of, limited)


def mean_rate(answers: BySeed) -> float:
    """Accuracy over seeds."""
    return float(np.mean([one.value for one in answers.values()]))


def _log_latencies(values: Sequence[Sequence[float]], random: np.random.Generator, count: int) -> Array:
    """[draw, candidate]: mean logarithm over the processes drawn (over seeds, where those disagree more)."""
    return np.stack([_weights(random, len(v), count) @ np.log(np.asarray(v)) for v in values], axis=1)


def _weights(random: np.random.Generator, n: int, count: int) -> Array:
    """[draw, i]: the share of each of n in n - 1 draws with replacement; one alone cannot vary."""
    if n == 1:
        return np.ones((count, 1))
    return random.multinomial(n - 1, np.full(n, 1 / n), size=count) / (n - 1)


def _rates(lineup: Lineup, random: np.random.Generator, count: int) -> Iterator[Array]:
    """One a draw: the accuracy of every candidate, and of the baseline last (the first again, where there is none)."""
    everybody = [candidate.answers for candidate in lineup.candidates]
    everybody.append(lineup.baseline or everybody[0])
    seeds = _weights(random, len(everybody[0]), count)
    table = _table(everybody)
    m = table.shape[2]
    examples = repeat(np.ones(1)) if m == 1 else (random.multinomial(m, np.full(m, 1 / m)) / m for _ in range(count))
    for seed_weights, example_weights in zip(seeds, examples, strict=False):
        yield (table @ example_weights) @ seed_weights


def _table(everybody: Sequence[BySeed]) -> Array:
    """[case, seed, example]: pseudo-values; the value in place of the examples where those are not all stored."""
    rows = [[one.pseudo_values for _, one in sorted(answers.items())] for answers in everybody]
    stored = [row for seeds in rows for row in seeds if row is not None]
    if len(stored) == sum(map(len, rows)) and len({row.shape for row in stored}) == 1:
        return np.asarray(rows, dtype=np.float64)
    return np.asarray([[[one.value] for _, one in sorted(answers.items())] for answers in everybody])

"""Other outcomes of the same experiment: seeds, examples and measuring processes drawn again. Decides nothing.

A crossed bootstrap: one draw of seeds and one of examples serve every candidate, so that cases stay paired (Owen 2007,
"The pigeonhole bootstrap": drawing both factors is never too narrow for their interaction). Of n seeds, and of n
processes, n - 1 are drawn: with n of n, the variance of a mean over few would come out at (n - 1) / n of what it is
(Rao, Wu 1988, section 2). Bytes and memory are taken as they are.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from kdbench.choose.candidates import Lineup
from kdbench.choose.rule import Array, Numbers
from kdbench.evidence.answers import BySeed, table_of

SEED = 0
"""Starts the draws, so that the same records give the same shares."""
TINY = 1e-300
"""Keeps a drop from being divided by a baseline's value of 0."""
AT_ONCE = 250
"""Draws that are made together: enough for one product of matrices, few enough for 10,000 examples in 20 MB."""


def measured(lineup: Lineup) -> Numbers:
    """The numbers as they are: one draw."""
    views = [candidate.latency for candidate in lineup.candidates]
    rates = [mean_rate(candidate.answers) for candidate in lineup.candidates]
    baseline = np.array([0.0 if lineup.baseline is None else mean_rate(lineup.baseline)])
    p50 = np.array([[view.p50_ns.value for view in views]])
    return _numbers(lineup, np.array([rates]), baseline, p50, np.log([[view.placed_ns.value for view in views]]))


def drawn(lineup: Lineup, count: int) -> Iterator[Numbers]:
    """`count` further outcomes, some at a time; of at least one candidate."""
    random = np.random.default_rng(SEED)
    views = [candidate.latency for candidate in lineup.candidates]
    p50 = np.exp(_log_latencies([view.p50_ns.values for view in views], random, count))
    placed = _log_latencies([view.placed_ns.values for view in views], random, count)
    for first, rates in _rates(lineup, random, count):
        these = slice(first, first + len(rates))
        yield _numbers(lineup, rates[:, :-1], rates[:, -1], p50[these], placed[these])


def _numbers(lineup: Lineup, rates: Array, baseline: Array, p50: Array, placed: Array) -> Numbers:
    """Tables [draw, candidate] but for `baseline`, [draw]."""
    byte_count = np.array([candidate.file_bytes for candidate in lineup.candidates])
    sign, is_share = 1.0 if lineup.scale.higher else -1.0, lineup.allowed is not None and lineup.allowed.is_share
    rates, baseline = sign * rates, sign * baseline
    drop = baseline[:, None] - rates
    limited = {
        "latency_p50": p50,
        "bytes": byte_count,
        "memory": np.array([float(candidate.memory_bytes or 0) for candidate in lineup.candidates]),
        lineup.loss: drop / np.maximum(np.abs(baseline[:, None]), TINY) if is_share else drop,
    }
    return Numbers(rates, placed, byte_count, limited)


def mean_rate(answers: BySeed) -> float:
    """Accuracy over seeds."""
    return float(np.mean([one.value for one in answers.values()]))


def _log_latencies(values: Sequence[Sequence[float]], random: np.random.Generator, count: int) -> Array:
    """[draw, candidate]: mean logarithm over the processes drawn (over seeds, where those disagree more)."""
    means = []
    for its in values:
        times = _times_drawn(random, len(its), count)
        means.append(times @ np.log(np.asarray(its)) / times.sum(axis=1))
    return np.stack(means, axis=1)


def _times_drawn(random: np.random.Generator, n: int, count: int) -> Array:
    """[draw, i]: how often each of n is among n - 1 draws with replacement; one alone cannot vary."""
    if n == 1:
        return np.ones((count, 1))
    return random.multinomial(n - 1, np.full(n, 1 / n), size=count).astype(np.float64)


def _rates(lineup: Lineup, random: np.random.Generator, count: int) -> Iterator[tuple[int, Array]]:
    """Yields (number of the first draw, accuracies [draw, case]); the last column is the baseline's.

    Where there is no baseline the first candidate stands in its place, and nothing is asked of it. Right answers are
    counted in whole numbers before anything is divided, so equal cases stay equal.
    """
    everybody = [candidate.answers for candidate in lineup.candidates]
    everybody.append(lineup.baseline or everybody[0])
    table = table_of(everybody)
    cases, n, m = table.shape
    seeds = _times_drawn(random, n, count)
    rows = table.reshape(cases * n, m)
    for first in range(0, count, AT_ONCE):
        of = seeds[first : first + AT_ONCE]
        draws = len(of)
        examples = np.ones((draws, 1)) if m == 1 else random.multinomial(m, np.full(m, 1 / m), size=draws)
        by_seed = (rows @ examples.T).reshape(cases, n, draws)
        yield first, np.einsum("cnd,dn->dc", by_seed, of) / (of.sum(axis=1) * m)[:, None]

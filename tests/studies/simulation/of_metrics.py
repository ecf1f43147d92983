"""How often two alike cases are told apart by metrics that are no share of examples: `python of_metrics.py`.

Answers are truth plus noise that both cases share on an example (difficulty, sd 1), noise of a case on an example
whatever the seed, and noise of each training; both cases draw from the same law, so 5 % is promised.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from kdbench.evidence.intervals import influence_difference
from kdbench.measure.decisions import decide
from kdbench.protocols.data import Output
from kdbench.protocols.metric import Metric, metric_named

REGIMES = {"examples rule": (0.7, 0.02), "both": (0.5, 0.1), "seeds rule": (0.3, 0.4)}
"""(sd of a case on an example, sd of a training as a whole)."""
TWO_CLASSES = Output(axes=(2,), class_names=("no", "yes"))
VALUES = Output(kind="values", axes=(1,))
METRICS = {"rmse": VALUES, "macro_f1": TWO_CLASSES, "auc": TWO_CLASSES}
APART = 2.5
"""Distance between the two classes on the scale of the shared difficulty."""
POSITIVE = 0.3


def level(name: str, seeds: int, examples: int, regime: str, tables: int) -> float:
    """The share of tables in which two alike cases have p < 0.05."""
    draw = np.random.default_rng([seeds, examples, len(name), len(regime)])
    metric = metric_named(name).judging(METRICS[name])
    told = 0
    for _ in range(tables):
        table = _table(metric, draw, seeds, examples, *REGIMES[regime])
        p = influence_difference(table, table).p
        told += p is not None and p < 0.05
    return told / tables


def _table(
    metric: Metric, draw: np.random.Generator, seeds: int, examples: int, own: float, training: float
) -> NDArray[np.float64]:
    """d[seed, example]: differences of two alike cases' pseudo-values."""
    shared = draw.normal(size=examples)
    true = draw.random(examples) < POSITIVE
    cases = []
    for _ in range(2):
        noise = shared + own * draw.normal(size=examples) + training * draw.normal(size=(seeds, 1))
        noise = noise + 0.2 * draw.normal(size=(seeds, examples))
        cases.append([_pseudo_values(metric, true, row) for row in noise])
    return np.asarray(cases[0]) - np.asarray(cases[1])


def _pseudo_values(metric: Metric, true: NDArray[np.bool_], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    if metric.output.kind == "values":
        return metric.pseudo_values(noise[:, None], np.zeros((len(noise), 1)))
    scores = APART * (true - 0.5) + noise
    logits = np.stack([np.zeros(len(scores)), scores - 0.3], axis=1)
    judged = logits if metric.needs == "outputs" else decide("classes", logits)
    return metric.pseudo_values(judged, true.astype(np.int32))


def main() -> None:
    """Print a Markdown table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--tables", type=int, default=300)
    tables = asked.parse_args().tables
    print("| metric | seeds | examples | " + " | ".join(REGIMES) + " |\n|---|---:|---:|---:|---:|---:|")
    for name in METRICS:
        for seeds, examples in ((3, 200), (5, 200), (3, 1000)):
            found = [100 * level(name, seeds, examples, regime, tables) for regime in REGIMES]
            print(
                f"| {name} | {seeds} | {examples} | " + " | ".join(f"{value:.1f}" for value in found) + " |", flush=True
            )


if __name__ == "__main__":
    main()

"""How often two alike cases are told apart by metrics that are no share of examples.

`python tests/studies/simulation/of_metrics.py --date DATE -o report/statistics/metric-levels.md`

Answers are truth plus noise that both cases share on an example (difficulty, sd 1), noise of a case on an example
whatever the seed, and noise of each training; both cases draw from the same law, so 5 % is promised.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kdbench
from kdbench.evidence.differences import examples_difference, influence_difference
from kdbench.evidence.intervals import FEWEST
from kdbench.measure.decisions import decide
from kdbench.protocols.data import Output
from kdbench.protocols.metric import Metric, metric_named

REGIMES = {"examples rule": (0.7, 0.02), "both": (0.5, 0.1), "seeds rule": (0.3, 0.4)}
"""(sd of a case on an example, sd of a training as a whole)."""
SEEDS, EXAMPLES = (1, 3, 5), 200
"""Numbers of seeds, of which the fewer are the first of the most; and how many examples a table has."""
COLUMNS = [(seeds, regime) for seeds in SEEDS for regime in REGIMES if seeds > 1 or regime == "examples rule"]
"""One seed says nothing of others, so that where they rule it is asked nothing."""
APART, PLACE_SD = 2.5, 0.7
"""Distance between the true class and another on the scale of the shared difficulty; a place's own noise."""
BAR = 0.07
AGAIN = 4
"""How many times as many tables a level above the bar is drawn again over: one of forty is there by chance alone."""
Noise = Callable[[int], NDArray[np.float64]]
"""D -> (n, D), the noise of one file: its examples' as wholes, and each number's own."""


@dataclass(frozen=True)
class Law:
    """What is drawn: an output, its targets, and answers made of targets and noise."""

    metrics: Sequence[str]
    output: Output
    truth: Callable[[np.random.Generator, int], Any]
    answers: Callable[[Any, Noise], Any]


def _classes(shares: Sequence[float]) -> Callable[[np.random.Generator, int], Any]:
    return lambda draw, n: draw.choice(len(shares), n, p=shares).astype(np.int32)


def _exactly(count: int) -> Callable[[np.random.Generator, int], Any]:
    """`count` examples of the second of two classes."""
    return lambda draw, n: draw.permutation(np.arange(n) < count).astype(np.int32)


def _labels(count: int) -> Callable[[np.random.Generator, int], Any]:
    """Three labels, each on `count` examples."""
    return lambda draw, n: np.stack([draw.permutation(np.arange(n) < count) for _ in range(3)], axis=1).astype(
        np.float32
    )


def _tags(draw: np.random.Generator, n: int) -> Any:
    """Rows of 8 tags, O, B and I: an entity of one to three tokens in half of them, and a second in a quarter."""
    rows = np.zeros((n, 8), np.int32)
    for row in rows:
        for first in (0, 4)[: int(np.searchsorted([0.5, 0.75], draw.random(), side="right"))]:
            row[first : first + int(draw.integers(1, 4))] = 2
            row[first] = 1
    return list(rows)


def _logits(truth: Any, noise: Any) -> NDArray[np.float64]:
    """(..., K): APART for the true class, and the noise."""
    return np.asarray(noise + APART * np.eye(noise.shape[-1])[truth])


def _of_rows(symbols: int) -> Callable[[Any, Noise], Any]:
    """Rows of one length (n, L) answered place by place."""
    return lambda truth, noise: list(
        _logits(np.stack(truth), noise(truth[0].size * symbols).reshape(len(truth), -1, symbols))
    )


def _pairs(draw: np.random.Generator, n: int) -> Any:
    return np.stack([np.repeat(np.arange(n // 2), 2), np.repeat(draw.random(n // 2), 2)], axis=1)


def _twins(truth: Any, noise: Noise) -> Any:
    """Two places whose cosine follows the pair's score."""
    first = np.tile([1.0, 0.0], (len(truth), 1))
    turned = np.stack([truth[:, 1], np.sqrt(1 - truth[:, 1] ** 2)], axis=1)
    return np.where((np.arange(len(truth)) % 2 == 0)[:, None], first, turned) + 0.3 * noise(2)


def _ids(size: int) -> Callable[[np.random.Generator, int], Any]:
    return lambda draw, n: np.repeat(np.arange(n // size), size)


def _around(truth: Any, noise: Noise) -> Any:
    """Places around one centre an id; the centres are as good as drawn, and the same for every file."""
    return np.random.default_rng(7).normal(size=(int(truth.max()) + 1, 8))[truth] + 0.6 * noise(8)


NAMES = tuple("abcdefgh")
LAWS = {
    "2 classes, 30 % of the second": Law(
        ("macro_f1", "f1", "balanced_accuracy", "auc", "log_loss"),
        Output(axes=(2,), class_names=NAMES[:2]), _classes((0.7, 0.3)), lambda truth, noise: _logits(truth, noise(2)),
    ),
    "2 classes, 10 % of the second": Law(
        ("macro_f1", "f1", "balanced_accuracy", "auc"),
        Output(axes=(2,), class_names=NAMES[:2]), _classes((0.9, 0.1)), lambda truth, noise: _logits(truth, noise(2)),
    ),
    "2 classes, 10 examples of the second": Law(
        ("macro_f1", "f1", "balanced_accuracy", "auc"),
        Output(axes=(2,), class_names=NAMES[:2]), _exactly(10), lambda truth, noise: _logits(truth, noise(2)),
    ),
    "8 classes": Law(
        ("accuracy", "top5", "balanced_accuracy"), Output(axes=(8,), class_names=NAMES), _classes([1 / 8] * 8),
        lambda truth, noise: _logits(truth, 2 * noise(8)),
    ),
    "3 labels of 20 examples": Law(
        ("macro_f1", "average_precision"), Output(kind="multilabel", axes=(3,), class_names=NAMES[:3]), _labels(20),
        lambda truth, noise: APART * (truth - 0.5) + noise(3),
    ),
    "3 labels of a third": Law(
        ("macro_f1", "micro_f1", "average_precision"), Output(kind="multilabel", axes=(3,), class_names=NAMES[:3]),
        lambda draw, n: (draw.random((n, 3)) < 1 / 3).astype(np.float32),
        lambda truth, noise: APART * (truth - 0.5) + noise(3),
    ),
    "values": Law(
        ("rmse", "mae", "r2", "pearson", "spearman"), Output(kind="values", axes=(1,)),
        lambda draw, n: draw.normal(size=(n, 1)) * 2, lambda truth, noise: truth + noise(1),
    ),
    "pictures of 16 places, 3 classes": Law(
        ("mean_iou", "pixel_accuracy"), Output(kind="dense_classes", axes=(3, 4, 4), class_names=NAMES[:3]),
        lambda draw, n: draw.choice(3, (n, 4, 4), p=(0.6, 0.3, 0.1)),
        lambda truth, noise: np.moveaxis(_logits(truth, noise(48).reshape(len(truth), 4, 4, 3)), -1, 1),
    ),
    "tags of 8 tokens": Law(
        ("entity_f1", "macro_f1"), Output(kind="token_classes", axes=(8, 3), class_names=("O", "B-X", "I-X")),
        _tags, _of_rows(3),
    ),
    "10 symbols": Law(
        ("word_error_rate", "token_error_rate"), Output(kind="sequence", axes=(10, 5), class_names=("", *"abc", " ")),
        lambda draw, n: list(1 + np.tile([0, 1, 2, 3, 1, 0, 3, 2, 1, 2], (n, 1))), _of_rows(5),
    ),
    "pairs": Law(
        ("cosine_spearman",), Output(kind="embedding", axes=(2,), targets="pairs"), _pairs, _twins,
    ),
    "ids of 4 examples": Law(
        ("recall_at_1", "recall_at_10", "ndcg_at_10", "mean_reciprocal_rank"),
        Output(kind="embedding", axes=(8,)), _ids(4), _around,
    ),
}  # fmt: skip


def levels(law: Law, regime: str, tables: int, number: int = 0) -> dict[tuple[str, int], float | None]:
    """(metric, seeds) -> the share of tables in which two alike cases have p < 0.05; None where none has any p.

    number: of the draw; other numbers give other tables.
    """
    draw = np.random.default_rng([EXAMPLES, len(law.metrics), len(law.output.kind), len(regime), number])
    judges = {name: metric_named(name).judging(law.output) for name in law.metrics}
    told: dict[tuple[str, int], list[bool]] = {(name, seeds): [] for name in judges for seeds in SEEDS}
    for _ in range(tables):
        truth = law.truth(draw, EXAMPLES)
        shared = draw.normal(size=(EXAMPLES, 1))
        cases = [list(_files(law, draw, truth, shared, max(SEEDS), *REGIMES[regime])) for _ in range(2)]
        for name, judge in judges.items():
            one, other = (np.stack([_pseudo_values(judge, given, truth) for given in files]) for files in cases)
            for seeds in SEEDS:
                d = one[:seeds] - other[:seeds]
                p = (influence_difference(d, d) if seeds >= FEWEST else examples_difference(d)).p
                told[name, seeds] += [] if p is None else [p < 0.05]
    return {place: sum(found) / tables if found else None for place, found in told.items()}


def _files(
    law: Law, draw: np.random.Generator, truth: Any, shared: Any, seeds: int, own: float, training: float
) -> Iterator[Any]:
    """The answers of each seed of one case."""
    seed = int(draw.integers(2**32))
    kept = shared + own * draw.normal(size=shared.shape)
    for _ in range(seeds):
        shift = training * draw.normal()

        def noise(width: int, shift: float = shift) -> NDArray[np.float64]:
            """Numbers of an example differ by noise that all seeds share, and by a little that they do not."""
            same = np.random.default_rng(seed).normal(size=(len(shared), width))
            return np.asarray((kept + shift) * _signs(width) + PLACE_SD * same + 0.2 * draw.normal(size=same.shape))

        yield law.answers(truth, noise)


def _signs(width: int) -> NDArray[np.float64]:
    """(D,), in turns 1 and -1: what is hard about an example moves its numbers apart."""
    return np.where(np.arange(width) % 2 == 0, -1.0, 1.0) if width > 1 else np.ones(1)


def _pseudo_values(metric: Metric, given: Any, truth: Any) -> NDArray[np.float64]:
    judged = given if metric.needs == "outputs" else decide(metric.output.kind, given, metric.output.blank)
    return metric.pseudo_values(judged, truth)


PAGE = """# The level of intervals of metrics that are no share of examples

Written by `python tests/studies/simulation/of_metrics.py --date {date} --tables {tables} -o
report/statistics/metric-levels.md` ({date}; kdbench {version}). Two alike cases; per cent of {tables} tables of
{examples} examples in which they are told apart, where 5 is promised (Monte-Carlo standard error {error:.1f} near 5);
above 7 is bold. Where a metric is above 7 at first, that regime of its data is drawn again over {again} times as many
tables, and these stand here in place of the first. One seed: over test examples alone, as for files that no training
made. What noise an example, a case and a training have in each regime stands in the script.

"Not tested": a handful of examples decides, and the report says so in place of a p. Neither is anything tested below
20 examples, pairs or ids, or 10 of a class, for average precision 20 of a label. A calibration error is shown and never
tested.

{rows}
"""


def rows(tables: int) -> Iterator[str]:
    """A Markdown table, a line a metric and law."""
    head = [f"{seeds} seed{'s' if seeds > 1 else ''}: {regime}" for seeds, regime in COLUMNS]
    yield "| metric | data | " + " | ".join(head) + " |"
    yield "|:---|:---|" + "---:|" * len(head)
    for data, law in LAWS.items():
        found = {regime: levels(law, regime, tables) for regime in REGIMES}
        for regime, shares in found.items():
            shown = (shares[name, seeds] for name in law.metrics for seeds, where in COLUMNS if where == regime)
            if any(share is not None and share > BAR for share in shown):
                found[regime] = levels(law, regime, AGAIN * tables, number=1)
        for name in law.metrics:
            shares = (found[regime][name, seeds] for seeds, regime in COLUMNS)
            yield f"| {name} | {data} | " + " | ".join(map(_cell, shares)) + " |"


def _cell(share: float | None) -> str:
    if share is None:
        return "not tested"
    return f"**{100 * share:.1f}**" if share > BAR else f"{100 * share:.1f}"


def main() -> None:
    """Write the page."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--date", required=True, help="written into the page; the clock is not asked")
    asked.add_argument("--tables", type=int, default=400)
    asked.add_argument("-o", "--out", type=Path, required=True)
    given = asked.parse_args()
    error = 100 * float(np.sqrt(0.05 * 0.95 / given.tables))
    text = PAGE.format(
        date=given.date,
        tables=given.tables,
        version=kdbench.__version__,
        error=error,
        examples=EXAMPLES,
        again=AGAIN,
        rows="\n".join(rows(given.tables)),
    )
    given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

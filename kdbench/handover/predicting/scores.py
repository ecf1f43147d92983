"""How well a model does where true answers are known: one score for each kind of output, beside the recorded one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kdbench.handover.predicting.example import Example


def score_lines(
    outputs: list[dict[str, Any]], judged: list[tuple[Example, list[Any]]], then: dict[str, Any]
) -> Iterator[str]:
    """For each output a line on how well it does here, and one on how well it did when it was measured."""
    for number, one in enumerate(outputs if judged else []):
        pairs = [(decisions[number], example.targets[number]) for example, decisions in judged
                 if example.targets is not None and number < len(example.targets)]  # fmt: skip
        if pairs and one["kind"] in SCORES:
            decisions, targets = (list(column) for column in zip(*pairs))
            yield from _lines(one, number, decisions, targets, then)


def _lines(
    one: dict[str, Any], number: int, decisions: list[Any], targets: list[Any], then: dict[str, Any]
) -> Iterator[str]:
    name, score = SCORES[one["kind"]]
    value, of = score(decisions, targets, one.get("ignore")), f" of {one['output']}" if number else ""
    here, recorded = "", ""
    test = then["accuracy"]["test"]
    if name == "accuracy":
        here = f" ({round(value * len(targets))} of {len(targets)})"
        if not number and test.get("correct_count") is not None:
            recorded = f" ({test['correct_count']} of {test['example_count']})"
    yield f"{name}{of} {value:.4f}{here}"
    own = one["output"] if number else None
    scores = [s for s in then.get("scores", ()) if (s.get("output") or None, s["metric"]) == (own, name)]
    for score_then in scores[:1]:
        yield f"recorded {score_then['value']:.4f}{recorded} on {then['target']}"


def accuracy(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """The share of examples with the true class."""
    return float(np.mean([int(a) == int(b) for a, b in zip(decisions, targets)]))


def rmse(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """The root of the mean squared error."""
    apart = np.asarray(decisions, np.float64) - np.asarray(targets, np.float64)
    return float(np.sqrt(np.square(apart).mean()))


def macro_f1(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """The mean over classes or labels that are true somewhere of 2 x right / (answered + true)."""
    answered, true, right = counted(decisions, targets, ignore)
    present = true > 0
    return float((2 * right[present] / (answered + true)[present]).mean())


def mean_iou(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """The mean over classes that are true somewhere of right / (answered + true - right)."""
    answered, true, right = counted(decisions, targets, ignore)
    present = true > 0
    return float((right[present] / (answered + true - right)[present]).mean())


def counted(decisions: list[Any], targets: list[Any], ignore: int | None) -> tuple[Any, Any, Any]:
    """How often each class is answered, is true, and is both; places with the ignored target do not count."""
    if np.asarray(decisions[0]).dtype == bool:
        labels, wanted = np.array(decisions), np.array(targets) > 0
        return labels.sum(0), wanted.sum(0), (labels & wanted).sum(0)
    a, b = (np.concatenate([np.ravel(row) for row in rows]).astype(np.int64) for rows in (decisions, targets))
    kept = np.ones(len(b), bool) if ignore is None else b != ignore
    a, b = a[kept], b[kept]
    count = int(max(a.max(), b.max())) + 1
    return tuple(np.bincount(places, minlength=count) for places in (a, b, a[a == b]))  # type: ignore[return-value]


def token_error_rate(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """Symbols to be inserted, deleted or replaced, over the symbols of the truth (Levenshtein 1966)."""
    edits = 0
    for answered_row, true in zip(decisions, targets):
        costs = list(range(len(true) + 1))
        for symbol in answered_row:
            before, costs[0] = costs[0], costs[0] + 1
            for place, wanted in enumerate(true, start=1):
                best = min(costs[place] + 1, costs[place - 1] + 1, before + (symbol != wanted))
                before, costs[place] = costs[place], best
        edits += costs[-1]
    return edits / sum(map(len, targets))


SCORES = {
    "classes": ("accuracy", accuracy),
    "multilabel": ("macro_f1", macro_f1),
    "values": ("rmse", rmse),
    "dense_classes": ("mean_iou", mean_iou),
    "token_classes": ("macro_f1", macro_f1),
    "sequence": ("token_error_rate", token_error_rate),
}
"""By kind of output: the score that is computed here, by its name in records."""

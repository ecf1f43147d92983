"""The rows of a results folder that a run keeps: those that it was not asked for and has nothing newer for.

The store may have been cleaned since they were made, so the folder may be the only place that still has them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.plan.plan import Label, Plan
from kdbench.results.records import Energy, Environment, Failed, Labelled, Latency, Memory, Record, Start, labelled

TIMED = (Latency.KIND, Memory.KIND, Start.KIND, Energy.KIND)
Place = tuple[str, int, str | None, bool]
"""Case, seed, target, and whether the fact was timed: a label's evaluation and its timing are made apart."""


@dataclass(frozen=True)
class Standing:
    """The part of a folder's former records that stays."""

    records: list[Record]
    """Rows that stay, and the environments they were made in."""
    outdated: list[str]
    """Cases with rows that stay although the plan would compute them otherwise by now."""
    gone: list[str]
    """Cases that had results and that the suite no longer has."""


def standing(
    former: Sequence[Record], plan: Plan, steps: dict[str, Any], renewed: Iterable[Label], asked: Iterable[Label]
) -> Standing:
    """The rows of `former` that stay, and those that do not.

    `steps`: case -> its chain, as records have it; `renewed`: the labels whose stages are finished; `asked`: the labels
    that this run was to make.

    A row stays where the plan still has its label. A row whose key the plan no longer has (after an edit of a recipe,
    or with other versions of the libraries) stays too, as long as its case is the same chain and nothing of the same
    case, seed and target was renewed.
    """
    labels = {_identity(label) for label in plan.labels}
    replaced = {*renewed, *asked}
    exact = labels - {_identity(label) for label in replaced}
    spots = {_place(plan, label) for label in plan.labels} - {_place(plan, label) for label in replaced}
    kept: list[Labelled] = []
    outdated: list[str] = []
    rows = labelled(former)
    for row in rows:
        if _identity(row) in exact:
            kept.append(row)
        elif _identity(row) not in labels and _place_of(row) in spots and _same(row.steps, steps.get(row.case, ())):
            kept.append(row)
            outdated.append(row.case)
    places = {row.fingerprint for row in kept}
    environments = [each for each in former if isinstance(each, Environment) and each.fingerprint in places]
    known = {label.case for label in plan.labels}
    own = {label.target for label in plan.labels}
    gone = [row.case for row in rows if row.case not in known and row.target in own and not isinstance(row, Failed)]
    return Standing([*environments, *kept], list(dict.fromkeys(outdated)), list(dict.fromkeys(gone)))


def _identity(row: Label | Labelled) -> tuple[str, int, str | None, str]:
    return (row.case, row.seed, row.target, row.key)


def _place(plan: Plan, label: Label) -> Place:
    return (label.case, label.seed, label.target, plan.stages[label.key].kind == "measure")


def _place_of(row: Labelled) -> Place:
    kind = row.kind if isinstance(row, Failed) else row.KIND
    return (row.case, row.seed, row.target, kind in TIMED)


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

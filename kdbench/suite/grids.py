"""A case with grids is one case for each combination of their values; here it gets its name and its fields."""

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from kdbench.protocols.field_errors import shown
from kdbench.suite.faults import Faults, Faulty
from kdbench.suite.part_reader import Named, is_grid

MOST_CASES = 10_000
"""Most cases that a suite may have, grids expanded."""
LABEL_LENGTH = 60
"""Longest text of a grid's values in a case's name, before a digest stands for the rest."""


def expanded(name: str, chain: Sequence[Named], faults: Faults) -> Iterator[tuple[str, list[Named]]]:
    """(case name, chain) for each combination of a chain's grids; the chain itself where it has none. Raises Faulty."""
    axes = [(number, key) for number, step in enumerate(chain) for key in step.fields if is_grid(step.fields[key])]
    values = [_values(chain[number], key, faults) for number, key in axes]
    count = math.prod(map(len, values))
    if count > MOST_CASES:
        text = f"its grids mean {count:,} cases, and a suite may have {MOST_CASES:,}; give them fewer values."
        raise faults.fail(("cases", name), text)
    seen: set[str] = set()
    for combination in itertools.product(*values):
        steps = list(chain)
        for (number, key), value in zip(axes, combination, strict=True):
            steps[number] = replace(steps[number], fields={**steps[number].fields, key: value})
        full_name = f"{name}/{_label([key for _, key in axes], combination)}" if axes else name
        if full_name in seen:
            raise faults.fail(("cases", name), f"the grid gives '{full_name}' twice; write each value once.")
        seen.add(full_name)
        yield full_name, steps


def _values(step: Named, key: str, faults: Faults) -> list[Any]:
    written = step.fields[key]
    values = written["grid"]
    if len(written) > 1 or not isinstance(values, list) or not values:
        faults.note((*step.inside, key), f"a grid is {{grid: [value, value, ...]}}; got {shown(written)}.")
        raise Faulty
    return values


def _label(keys: Sequence[str], values: Sequence[Any]) -> str:
    """`key=value,key=value`; where that is long, its beginning and a digest of all of it."""
    label = ",".join(f"{key}={_text(value)}" for key, value in zip(keys, values, strict=True))
    if len(label.encode()) <= LABEL_LENGTH:
        return label
    start = label.encode()[: LABEL_LENGTH - 9].decode(errors="ignore")
    return f"{start}~{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def _text(value: Any) -> str:
    if isinstance(value, str) and value.isprintable():
        return value
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)

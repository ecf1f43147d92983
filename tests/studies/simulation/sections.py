"""The report's tables: each makes its own numbers from a seed of its own, so one changes without the others."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from clocks import records, told_apart
from crossed import DIFFICULTY_SD, NODES, WEIGHTS, Setting, differences, level
from families import CASES, KINDS, pooled_rejections, student, torn
from numpy.typing import NDArray
from procedures import Values, bootstrap, hillis, mean_squares, over_seeds, used
from scipy.special import expit
from theory import worst

SEEDS = (3, 5, 10)
SEED_SDS = (0.0, 0.08, 0.15, 0.25, 0.5)
EXAMPLE_SDS = (0.0, 1.0, 2.0)
BAR = 0.07


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown, numbers to the right."""
    lines = [head, ["---:"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rate(share: float, count: int) -> str:
    """Per cent and Monte-Carlo standard error; bold above the bar."""
    text = f"{100 * share:.1f} ± {100 * np.sqrt(share * (1 - share) / count):.1f}"
    return f"**{text}**" if share > BAR else text


def level_table(count: int, settings: Sequence[Setting], names: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """Rejections of equal cases, a row a setting; `names` are the row's first cells."""
    rows = [
        [*name, *_level_row(number, setting, count)]
        for number, (name, setting) in enumerate(zip(names, settings, strict=True))
    ]
    return table([*head, "examples' share", "t over seeds", "bootstrap", "crossed, Hillis", "kdbench"], rows)


def _level_row(number: int, setting: Setting, count: int) -> list[str]:
    rng = np.random.default_rng([11, number])
    found: dict[str, list[NDArray[Any]]] = {"t": [], "b": [], "h": [], "k": [], "share": []}
    for d in differences(rng, setting, count):
        found["t"].append(over_seeds(d) < 0.05)
        found["h"].append(hillis(d) < 0.05)
        found["k"].append(used(d) < 0.05)
        found["share"].append(np.stack(mean_squares(d)))
        if len(found["b"]) * len(d) < count / 4:
            found["b"].append(bootstrap(rng, d))
    all_of = {name: np.concatenate(parts, axis=-1) for name, parts in found.items()}
    return [_share(all_of["share"]), *(rate(float(all_of[name].mean()), len(all_of[name])) for name in "tbhk")]


def _share(squares: Values) -> str:
    """The part of the mean's variance that is there because of the examples alone."""
    seeds, examples, rest = squares.mean(axis=1)
    extra = max(examples - rest, 0.0)
    return f"{100 * extra / (seeds + extra):.0f} %" if seeds + extra > 0 else "0 %"


def crossed_levels(count: int) -> str:
    """Every number of seeds and seed sd, times how much cases differ on examples."""
    grid = list(product(SEEDS, EXAMPLE_SDS, SEED_SDS))
    settings = [Setting(n, seed_sd, example_sd) for n, example_sd, seed_sd in grid]
    names = [[str(n), f"{seed_sd:g}", f"{example_sd:g}"] for n, example_sd, seed_sd in grid]
    return level_table(count, settings, names, ["seeds", "seed sd", "example sd"])


def other_shapes(count: int) -> str:
    """Away from 360 examples, 95 % and alike cases."""
    usual = Setting(seeds=0, seed_sd=0.15)
    shapes = {
        "100 examples": replace(usual, examples=100),
        "2,000 examples": replace(usual, examples=2000),
        "accuracy 99 %": replace(usual, accuracy=0.99),
        "accuracy 60 %": replace(usual, accuracy=0.6),
        "seed sd 0.5 against 0": replace(usual, seed_sd=0.5, second_seed_sd=0.0),
    }
    grid = list(product(SEEDS, shapes))
    settings = [replace(shapes[name], seeds=n) for n, name in grid]
    return level_table(count, settings, [[str(n), name] for n, name in grid], ["seeds", "what differs"])


def limits() -> str:
    """The highest level over all mixes of noise, by integration."""
    rows = [[str(n), *(f"{100 * found:.2f}" for found in worst(n))] for n in (3, 4, 5, 7, 10, 20)]
    return table(["seeds", "t over seeds", "crossed, Hillis", "wider of both"], rows)


def power(count: int) -> str:
    """How often a true difference is seen: alone, and when its p must survive Holm's first step among eight."""
    drops = (0.01, 0.02, 0.03, 0.05)
    rows = []
    for number, (examples, n, seed_sd) in enumerate(product((360, 2000), SEEDS, (0.08, 0.25))):
        rng = np.random.default_rng([12, number])
        made = [_seen(rng, Setting(n, seed_sd, 1.0, examples, drop=drop), count // (examples // 360)) for drop in drops]
        rows.append([f"{examples:,}", str(n), f"{seed_sd:g}", *made])
    return table(["examples", "seeds", "seed sd", *(f"{100 * drop:g} pt" for drop in drops)], rows)


def _seen(rng: np.random.Generator, setting: Setting, count: int) -> str:
    ps = np.concatenate([used(d) for d in differences(rng, setting, count)])
    return f"{100 * np.mean(ps < 0.05):.0f} / {100 * np.mean(ps < 0.05 / 8):.0f}"


def seed_points(seed_sd: float) -> str:
    """What a seed sd of the logit is in points of accuracy, at 95 % and example sd 1 (first order)."""
    spread = float(np.hypot(DIFFICULTY_SD, 1.0))
    right = expit(level(0.95, spread) + spread * NODES)
    return f"{100 * seed_sd * float(WEIGHTS @ (right * (1 - right))) / WEIGHTS.sum():.1f}"


def families(count: int) -> str:
    """Nine equal cases."""
    rows = []
    for number, (n, seed_sd) in enumerate(product(SEEDS, (0.0, 0.15, 0.5))):
        found = torn(np.random.default_rng([13, number]), Setting(n, seed_sd), count)
        rows.append([str(n), f"{seed_sd:g}", *(rate(float(share), count) for share in found.mean(axis=0))])
    return table(["seeds", "seed sd", f"one of {CASES - 1} differs from the baseline", "letters differ"], rows)


def pooling(count: int) -> str:
    """A student's eight cases: all distilled, or half of them quantized."""
    rows = []
    mixes = {"8 distilled": ["distilled"] * 8, "4 quantized, 4 distilled": ["quantized"] * 4 + ["distilled"] * 4}
    for number, (n, mix) in enumerate(product(SEEDS, mixes)):
        made = student(np.random.default_rng([14, number]), n, mixes[mix], count)
        own, pooled = pooled_rejections(made)
        for kind in (kind for kind in KINDS if kind in mixes[mix]):
            places = [place for place, found in enumerate(mixes[mix]) if found == kind]
            shares = [float(np.mean([shares[place] for place in places])) for shares in (own, pooled)]
            rows.append([str(n), mix, kind, *(rate(share, count) for share in shares)])
    return table(["seeds", "family", "kind", "own seed variance", "pooled"], rows)


def clocks(count: int) -> str:
    """A file and its reference that are equally fast."""
    rows = []
    grid = [(1, 0.0), (3, 0.0), (3, 0.004), (10, 0.004), (10, 0.012)]
    for number, ((seeds, seed_sd), processes) in enumerate(product(grid, (3, 5, 10))):
        rng = np.random.default_rng([15, number])
        found = np.mean([told_apart(records(rng, processes, seeds, seed_sd)) for _ in range(count)], axis=0)
        rows.append([str(seeds), f"{100 * seed_sd:g} %", str(processes), *(rate(float(f), count) for f in found)])
    return table(["seeds", "seed sd", "processes", "kdbench, over processes", "over rounds (wrong)"], rows)

"""The page of what training costs: tables, targets, where a step's time goes, what ran when."""

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from statistics import median

import steps
import timeline
import torch
from ratios import over_least, textbook, times
from stages import PRECISIONS, TECHNIQUES, Costs
from steps import BEFORE, Shares
from timeline import Block

import kdbench
from kdbench.measure.host import cpu_name

Value = Callable[[Costs], float]
SEEDS = 3
PICTURE, PAGE_FILE = "timeline.png", "README.md"
SOFT_PEER = "torchdistill soft"
LEAST_TIMES = {"resnet8x4": 4.0, "small CNN": 10.0}
"""How many times cheaper than textbook loops a suite should be."""

PAGE = """# What training costs

Written by `python tests/studies/speed -o report/speed` (kdbench {version}, torch {torch}, Python {python}) on
{machine}, one thread. Processor seconds for 1,000 pictures and one epoch: {images} generated pictures of 32x32, batches
of {batch}, median of {rounds} interleaved rounds (least to most). Ratios are of one round each. The teacher is
resnet32x4, untrained: its passes cost what a trained one's do.

A textbook loop draws its pictures through PIL and a DataLoader, asks a live fp32 teacher and reads its loss each step;
kdbench's is the one loop of `Context.fit`. "Five techniques" are from labels, soft, attention, fitnet and similarity.
Their least is one teacher's pass a view and each student's own steps: what its training costs alone, less the passes.

## One student

{single}

## Five techniques x three seeds

{suite}

Seconds are those of the loops, and of storing outputs; "with starting" has what a stage does before and after, which
does not grow with the epochs: loading a teacher, tapping layers, writing files. Stored outputs are filled from the
passes that attention, fitnet and similarity ask for in step; soft then looks them up. In one epoch the seeds show
hardly a view twice, and share the teacher's weights alone.

## Targets

{targets}

## Where a step goes

Milliseconds of a plain step by `torch.profiler` (wall time of one profiled epoch), before and after the gradient of a
global pool was laid out as the features are. What the kernels alone take in bf16, of what they take in fp32, is the
least that a whole step can: BatchNorm and ReLU move half the bytes and compute as much, and what is around the kernels
is the same either way.

{steps}

## What ran when

![bars by worker and second]({picture})

{stage_count} stages of five techniques x three seeds on a small CNN, {pictures} pictures, {workers} workers:
{seconds:.0f} seconds, and stages ran in {busy:.0%} of the workers' time until the last file was judged. A bar is what a
worker did in one go; its number says how many stages went in step or were measured together. Nothing runs beside a
measurement.

## Beside this page

[stepping.md](stepping.md) times other ways to make a step (compiled, seeds stacked), [calls.md](calls.md) what the
measuring program adds to a call.
"""


@dataclass(frozen=True)
class Measured:
    """All that the page tells. rounds, shares: by pair."""

    images: int
    batch: int
    rounds: dict[str, list[Costs]]
    shares: dict[str, Shares]
    ran: list[Block]


def write(found: Measured, folder: Path) -> None:
    """Write the page and its picture, and print the targets."""
    timeline.draw(found.ran, folder / PICTURE)
    targets = _table(("target", "found", ""), _targets(found))
    text = PAGE.format(
        version=kdbench.__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        machine=cpu_name(),
        images=found.images,
        batch=found.batch,
        rounds=max(map(len, found.rounds.values())),
        single="\n\n".join(_single(name, rounds, 1000 / found.images) for name, rounds in found.rounds.items()),
        suite=_suite(found),
        targets=targets,
        steps="\n\n".join(_steps(name, shares) for name, shares in found.shares.items()),
        picture=PICTURE,
        stage_count=sum(len(block.kinds) for block in found.ran),
        pictures=timeline.PICTURES,
        workers=len({block.process for block in found.ran if "measure" not in block.kinds}),
        seconds=max(block.ended for block in found.ran),
        busy=timeline.busy_fraction(found.ran),
    )
    (folder / PAGE_FILE).write_text(text, encoding="utf-8")
    print(targets)


def _single(name: str, rounds: Sequence[Costs], scale: float) -> str:
    """A row a technique: its textbook loop, and kdbench's in each precision with the ratio to plain."""
    rows = []
    for technique in TECHNIQUES:
        row = [technique, _spread(rounds, lambda one, t=technique: scale * one[f"textbook {t}"])]
        for precision in PRECISIONS:
            mine, plain = f"{precision} {technique}", f"{precision} labels"
            row.append(_spread(rounds, lambda one, m=mine: scale * one[m]))
            row.append(_spread(rounds, lambda one, m=mine, p=plain: one[m] / one[p]))
        rows.append(row)
    if SOFT_PEER in rounds[0]:
        rows.append([SOFT_PEER, _spread(rounds, lambda one: scale * one[SOFT_PEER]), *[""] * 2 * len(PRECISIONS)])
    passes = ["the teacher's outputs, stored", ""]
    for precision in PRECISIONS:
        stored = f"{precision} teacher's outputs stored"
        passes += [_spread(rounds, lambda one, s=stored: scale * one[s]), ""]
    ways = [way for precision in PRECISIONS for way in (f"kdbench {precision}", "to plain")]
    return f"{name}:\n\n" + _table(("", "textbook", *ways), [*rows, passes])


def _suite(found: Measured) -> str:
    rows = []
    for name, rounds in found.rounds.items():
        scale = SEEDS * 1000 / found.images
        loops = _spread(rounds, lambda one, s=scale: s * textbook(one))
        rows.append([name, f"{5 * SEEDS} textbook loops", loops, "", "", ""])
        if SOFT_PEER in rounds[0]:
            peer = _spread(rounds, lambda one, s=scale: s * 5 * one[SOFT_PEER])
            rows.append([name, f"{5 * SEEDS} of torchdistill's, all soft", peer, "", "", ""])
        for precision in PRECISIONS:
            whole = f"{precision} five techniques, from the start"
            values = [partial(_sum, scale, f"{precision} five techniques"), partial(_sum, scale, whole)]
            values += [partial(over_least, precision), partial(times, precision)]
            rows.append([name, f"kdbench {precision}", *(_spread(rounds, value) for value in values)])
    return _table(("student", "", "seconds", "with starting", "of the least", "textbook / kdbench"), rows)


def _targets(found: Measured) -> list[list[str]]:
    rows = []
    for name, rounds in found.rounds.items():
        for title, bound, value in _bounds(LEAST_TIMES[name]):
            middle = median(map(value, rounds))
            met = middle >= bound if "at least" in title else middle <= bound
            limit = ""
            if value.func is times:
                most = median(value(one) * over_least(*value.args, one) for one in rounds)
                limit = f", the least allows {most:.1f}x"
            elif value.args[0] == f"{PRECISIONS[1]} labels":
                spent = [_kernels(found.shares[name][precision]) for precision in PRECISIONS]
                limit = f", its kernels alone {spent[1] / spent[0]:.2f}x"
            rows.append([f"{name}, {title}{limit}", _spread(rounds, value), "met" if met else "missed"])
    return rows


def _bounds(least: float) -> Iterator[tuple[str, float, "partial[float]"]]:
    """Each target: in words, its number, and what it bounds."""
    for precision in PRECISIONS:
        yield (
            f"{precision}: soft at most 1.02x plain",
            1.02,
            partial(_ratio, f"{precision} soft", f"{precision} labels"),
        )
        yield f"{precision}: five techniques at most 1.15x their least", 1.15, partial(over_least, precision)
        yield f"{precision}: textbook loops at least {least:g}x kdbench", least, partial(times, precision)
    yield "bf16 plain at most 0.5x fp32 plain", 0.5, partial(_ratio, "bf16 labels", "fp32 labels")


def _steps(name: str, shares: Shares) -> str:
    ways = [way for precision in PRECISIONS for way in (f"{precision}, {BEFORE}", precision)]
    groups = [*steps.GROUPS, steps.OTHER]
    every: dict[str, Callable[[dict[str, float]], float]] = {group: itemgetter(group) for group in groups}
    every |= {"the step": lambda spent: sum(spent.values()), "of it convolution, BatchNorm and ReLU": _kernels}
    rows = []
    for title, value in every.items():
        spent = {way: value(shares[way]) for way in ways}
        share = spent[PRECISIONS[1]] / spent[PRECISIONS[0]]
        rows.append([title, *(f"{spent[way]:.2f}" for way in ways), f"{share:.2f}"])
    return f"{name}:\n\n" + _table(("", *ways, "bf16 / fp32"), rows)


def _kernels(spent: dict[str, float]) -> float:
    """Milliseconds of a network's own kernels in a step."""
    return sum(milliseconds for group, milliseconds in spent.items() if group not in (*steps.AROUND, steps.OTHER))


def _sum(scale: float, name: str, one: Costs) -> float:
    return scale * one[name]


def _ratio(of: str, to: str, one: Costs) -> float:
    return one[of] / one[to]


def _spread(rounds: Sequence[Costs], value: Value) -> str:
    values = [value(one) for one in rounds]
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""Ways to step, timed side by side: `python tests/studies/speed/stepping.py -o report/speed`.

A plain training's step as kdbench makes it, compiled, and as a CUDA graph; and the steps of several seeds of one
architecture one after another, stacked by `torch.func`, and in streams of their own. What a machine cannot run has a
row that says so. In each round every way makes a few steps, so that what else the machine does hits all alike.
"""

import argparse
import json
import math
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from generated import CLASSES, SIDE
from stages import PAIRS, PRECISIONS, ROUNDS, Bench, Costs, begin
from ways import COMPARED, SEEDS, WAYS, Case, Running, State, Way, in_turn, state

import kdbench
from kdbench.measure.host import cpu_name
from kdbench.protocols import Batch
from kdbench.protocols.recipe import Precision, Recipe
from kdbench.stages.torch_models import placed

RATE = 0.01
PAYS = 1.2
"""How many times faster a way must be to be worth a second one beside the loop's own."""
USUAL_STEPS = 240 * 782
"""The field's usual training: 240 epochs of 50,000 pictures, 64 at a time (RepDistiller)."""
PAGE_FILE = "stepping.md"
PAGE = """# Ways to step

Written by `python tests/studies/speed/stepping.py -o report/speed` (kdbench {version}, torch {torch}, Python {python})
on {machine}, one thread. Milliseconds of one step of one seed, a batch of {batch} pictures of {side}x{side}, by
{clock}: median of {rounds} interleaved rounds of {steps} steps (least to most). "Times faster" compares with the first
row. "Start" is what a way takes before its second step, by the clock: compiling, or capturing. "Earned back" is the
number of steps that save as much. "Apart": how far weights and statistics are from the first row's after {compared}
steps, as a share of the way that these went (root mean square).

{tables}

## What follows

How many times faster a plain training of {usual:,} steps is (240 epochs of 50,000 pictures, the start included), and
at most a suite of five techniques, whose teacher's passes cost the same in every way. Their share is that of the
rounds in [README.md](README.md).

{told}
"""


@dataclass(frozen=True)
class Found:
    """What one way took: seconds before its second step, milliseconds of a step and seed by round; how far its tensors
    are from the eager way's, as a share of how far these went."""

    start_seconds: float
    milliseconds: list[float]
    apart: float


Row = Found | str
"""Or why the way could not be run."""
Setting = tuple[str, Precision]
"""A pair of student and teacher, and the precision of the training."""


def main() -> None:
    given = _arguments()
    begin()
    torch._inductor.config.force_disable_caches = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rounds = json.loads((given.out / ROUNDS).read_text())["rounds"]
    found: dict[Setting, dict[str, Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.batch, given.batch)
        for name in given.pair:
            for precision in PRECISIONS:
                case = _case(bench, PAIRS[name].student, precision, device)
                found[name, precision] = rows = measured(case, given.rounds, given.steps)
                print(f"{name}, {precision}:\n\n{table(rows)}\n", flush=True)
    text = PAGE.format(
        version=kdbench.__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        machine=f"{torch.cuda.get_device_name()} and {cpu_name()}" if device.type == "cuda" else cpu_name(),
        clock="the clock" if device.type == "cuda" else "processor time",
        batch=given.batch,
        side=SIDE,
        rounds=given.rounds,
        steps=given.steps,
        compared=COMPARED,
        tables="\n\n".join(f"{name}, {precision}:\n\n{table(rows)}" for (name, precision), rows in found.items()),
        usual=USUAL_STEPS,
        told=told(found, rounds),
    )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / PAGE_FILE).write_text(text, encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="of each way in a round (default 4)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pair", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="folder of the page, with the study's rounds in it"
    )
    return parser.parse_args()


def _case(bench: Bench, model: tuple[str, dict[str, object]], precision: Precision, device: torch.device) -> Case:
    """Networks of seeds 0, 1, ..., placed as for a training, each with pictures of its own."""
    images = torch.randn(SEEDS, bench.batch_size, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(bench.batch_size) % CLASSES
    zeros = torch.zeros_like(labels)
    batches = [
        Batch(*((tensor.to(device),) for tensor in (one, labels)), labels.to(device), zeros.to(device))
        for one in images
    ]
    networks = [placed(bench.network(model, seed), device, batches[seed].inputs) for seed in range(SEEDS)]
    recipe = Recipe(epochs=1, batch_size=bench.batch_size, learning_rate=RATE, precision=precision)
    return Case(networks, batches, bench.description, recipe)


def measured(case: Case, rounds: int, steps: int) -> dict[str, Row]:
    """Each way of WAYS, timed and compared, in its order."""
    before = [state(network) for network in case.networks]
    expected = _go_on(in_turn(case.copy()), COMPARED)
    running: dict[Way, Running] = {}
    found: dict[str, Row] = {}
    for way in WAYS:
        lacking = way.lacks()
        if lacking is not None:
            found[way.name] = lacking
            continue
        began = time.perf_counter()
        one = running[way] = way.start(case.copy())
        _go_on(one, 1 - one.taken)
        seconds = time.perf_counter() - began
        found[way.name] = Found(seconds, [], apart(_go_on(one, COMPARED - max(one.taken, 1)), expected, before))
    for _ in range(rounds):
        for way, one in running.items():
            row = found[way.name]
            assert isinstance(row, Found)
            row.milliseconds.append(_milliseconds(one, steps) / way.seeds)
    return found


def _go_on(running: Running, steps: int) -> list[State]:
    """Tensors of each seed, after some more steps."""
    for _ in range(steps):
        running.step()
    _wait()
    return running.states()


def _milliseconds(running: Running, steps: int) -> float:
    """What one step takes, of all its seeds."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    running.step()  # what the way before left in the caches is not this one's
    _wait()
    began = clock()
    for _ in range(steps):
        running.step()
    _wait()
    return 1000 * (clock() - began) / steps


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def apart(given: Sequence[State], expected: Sequence[State], before: Sequence[State]) -> float:
    """How far tensors are from the expected, as a share of how far these are from those before; 0: to the bit."""
    away, went = 0.0, 0.0
    for mine, its, old in zip(given, expected, before, strict=False):  # a way may step the first seed alone
        for name, tensor in its.items():
            away += float((mine[name].double() - tensor.double()).square().sum())
            went += float((tensor.double() - old[name].double()).square().sum())
    return math.sqrt(away / went)


def table(rows: dict[str, Row]) -> str:
    """A row a way."""
    eager = rows[WAYS[0].name]
    assert isinstance(eager, Found)
    lines = ["|  | start, s | ms a step | times faster | earned back, steps | apart |", "| --- |" + " ---: |" * 5]
    for name, row in rows.items():
        if isinstance(row, str):
            cells = ["", row, "", "", ""]
        else:
            saved = median(eager.milliseconds) - median(row.milliseconds)
            faster = [one / other for one, other in zip(eager.milliseconds, row.milliseconds, strict=True)]
            back = f"{1000 * row.start_seconds / saved:,.0f}" if min(faster) > 1 else ""
            far = f"{row.apart:.0e}" if row.apart else "equal to the bit"
            cells = [f"{row.start_seconds:.1f}", _spread(row.milliseconds), _spread(faster), back, far]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def gains(rows: dict[str, Row], steps: int) -> dict[str, float]:
    """How many times faster each other way is over a training of so many steps, its start included."""
    eager = rows[WAYS[0].name]
    assert isinstance(eager, Found)
    whole = steps * median(eager.milliseconds)
    return {
        name: whole / (1000 * row.start_seconds + steps * median(row.milliseconds))
        for name, row in rows.items()
        if isinstance(row, Found) and row is not eager
    }


def suite_gain(gain: float, precision: str, rounds: Sequence[Costs]) -> float:
    """How many times faster five techniques are at most, where all but the teacher's passes is so many times faster."""
    taught = median(
        one[f"{precision} teacher's outputs stored"] / one[f"{precision} five techniques"] for one in rounds
    )
    return 1 / (taught + (1 - taught) / gain)


def told(found: Mapping[Setting, dict[str, Row]], rounds: Mapping[str, Sequence[Costs]]) -> str:
    """Which ways pay in a whole suite, and what the machine could not say. rounds: the study's costs by pair."""
    lines = ["|  |  | one training | five techniques, at most |", "| --- | --- | ---: | ---: |"]
    paying = []
    for (pair, precision), rows in found.items():
        for way, gain in gains(rows, USUAL_STEPS).items():
            whole = suite_gain(gain, precision, rounds[pair])
            lines.append(f"| {pair}, {precision} | {way} | {gain:.2f} | {whole:.2f} |")
            paying += [f"{way} for {pair} in {precision}"] if whole >= PAYS else []
    verdict = ", ".join(paying) or "no way does, and kdbench steps eagerly"
    lines += ["", f"A second way to step is worth its code where a suite is {PAYS:g} times faster by it: {verdict}."]
    unknown = {way: row for rows in found.values() for way, row in rows.items() if isinstance(row, str)}
    if unknown:
        lines.append(f"Not run on this machine: {', '.join(f'{way} ({why})' for way, why in unknown.items())}.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

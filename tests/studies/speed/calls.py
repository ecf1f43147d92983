"""What the measuring program adds to a call: `python tests/studies/speed/calls.py -o report/speed`.

A sample is the time between two readings of the clock, with one call of a bound session between them. The same calls
are made in blocks without a clock, turn and turn about with rounds of the program, so that the difference is what a
sample holds beside the call. A session that does nothing shows the same by itself, and what a round costs outside of
its samples.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import kdbench
from kdbench.measure.clock import Rule, Runnable, time_rounds
from kdbench.measure.host import cpu_name
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec

BLOCK = 50
"""Calls of a round, and of a block without a clock."""
GOAL_US = 2.5
PAGE_FILE = "calls.md"
PAGE = """# What the measuring program adds to a call

Written by `python tests/studies/speed/calls.py -o report/speed` (kdbench {version}, onnxruntime {onnxruntime}, Python
{python}) on {machine}, one thread. Microseconds a call: medians over {blocks:,} blocks of {block} calls (their
quartiles). "Bare" calls `run_with_iobinding` in a loop without a clock; "sample" is what the measuring program notes;
"added" is the difference of neighbouring blocks. "A call's round" is the time of a whole round by its number of calls.

{table}

A sample may hold {goal:g} microseconds beside its call. {verdict}.
"""
Row = tuple[list[float], list[float], list[float]]
"""By block, microseconds a call: bare, in samples, and of whole rounds."""


class Nothing:
    """A session that computes nothing."""

    batch_count = 1

    def run(self, batch_number: int) -> None:
        """Return."""


def main() -> None:
    given = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        rows = {"nothing": turn_about(Nothing(), _calls_of(Nothing().run, 0), given.blocks)}
        for channels in (4, 64):
            bound = _bound(Path(folder) / f"{channels}.onnx", channels)
            name = f"convolution of {channels} channels"
            rows[name] = turn_about(bound, _calls_of(bound._run, bound._bindings[0]), given.blocks)
    most = max(median(differences(row)) for row in rows.values())
    text = PAGE.format(
        version=kdbench.__version__,
        onnxruntime=onnxruntime.__version__,
        python=platform.python_version(),
        machine=cpu_name(),
        blocks=given.blocks,
        block=BLOCK,
        table=_table(rows),
        goal=GOAL_US,
        verdict=f"It holds {most:.2f} in the row where that is most: {'met' if most <= GOAL_US else 'missed'}",
    )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / PAGE_FILE).write_text(text, encoding="utf-8")
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=1000)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the page")
    return parser.parse_args()


def _bound(path: Path, channels: int) -> Any:
    """Bound calls of a file with one convolution of 3x3 on a picture of 3x32x32."""
    kernel = np.random.default_rng(0).normal(size=(channels, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "kernel"], ["y"], pads=[1, 1, 1, 1])],
        "one_convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, 32, 32])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return OnnxruntimeSession(str(path), SessionSpec()).bind([{"x": np.zeros((1, 3, 32, 32), np.float32)}])


def _calls_of(call: Callable[[Any], object], argument: Any) -> Callable[[], None]:
    def block() -> None:
        for _ in range(BLOCK):
            call(argument)

    return block


def turn_about(session: Runnable, bare: Callable[[], None], count: int) -> Row:
    """Bare blocks, and the program's rounds of as many calls, turn and turn about."""
    without: list[float] = []
    readings: list[int] = []
    rule = Rule(warmup_min_calls=BLOCK, round_call_count=BLOCK, min_calls=BLOCK * count, min_ns=0, max_ns=10**12)

    def between() -> int:
        """The program reads this clock once before and once after each round: a bare block comes between rounds."""
        now = time.perf_counter_ns()
        readings.append(now)
        if len(readings) % 2 == 0:
            bare()
            without.append((time.perf_counter_ns() - now) / BLOCK / 1000)
        return now

    (timing,) = time_rounds([session], rule, cpu_clock=between)
    samples = np.reshape(timing.samples_ns, (-1, BLOCK)).mean(1) / 1000
    rounds = [(end - begin) / BLOCK / 1000 for begin, end in list(pairwise(readings))[::2]]
    return without, samples.tolist(), rounds


def differences(row: Row) -> list[float]:
    """By block, what a sample holds beside its call."""
    without, samples, _ = row
    return [sample - call for sample, call in zip(samples, without, strict=True)]


def _table(rows: dict[str, Row]) -> str:
    lines = ["| call | bare | sample | added | a call's round |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, row in rows.items():
        without, samples, rounds = row
        cells = map(_quartiles, (without, samples, differences(row), rounds))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _quartiles(values: Sequence[float]) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()

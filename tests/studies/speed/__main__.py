"""What training costs here and in textbook loops, side by side: `python tests/studies/speed -o report/speed`.

Processor seconds, one thread, generated pictures. In each round everything runs once, one after the other, so that what
else the machine does hits all alike; tables have the medians over rounds, ratios are of one round each. Then where the
time of a step goes, and what ran when in a suite. torchdistill's loop is there where that package is installed.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import peer
import steps
import textbook
import timeline
from page import Measured, write
from stages import ON_FEATURES, PAIRS, PRECISIONS, ROUNDS, TECHNIQUES, Bench, Costs, Pair, begin


def main() -> None:
    given = _arguments()
    warnings.simplefilter("ignore")  # torchdistill's
    begin()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.images, given.batch)
        rounds = {name: _rounds(bench, PAIRS[name], given.rounds) for name in given.pair}
        shares = {name: steps.shares(bench, PAIRS[name]) for name in given.pair}
        ran = timeline.run(Path(folder) / "suite")
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / ROUNDS).write_text(json.dumps({"images": given.images, "rounds": rounds}, indent=1) + "\n")
        write(Measured(given.images, given.batch, rounds, shares, ran), given.out)


def _rounds(bench: Bench, pair: Pair, count: int) -> list[Costs]:
    _warm(bench, pair)
    return [_round(bench, pair) for _ in range(count)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=768, help="in an epoch (default 768: starting counts for little)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pair", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the page, its picture and the rounds")
    return parser.parse_args()


def _cpu(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _warm(bench: Bench, pair: Pair) -> None:
    """Whatever happens once a process: imports, the teacher's folder, the libraries' first calls."""
    specs = [bench.teaching(pair, "fp32"), bench.training(pair, "labels", "fp32")]
    bench.forget(bench.run(specs))
    textbook.train("labels", bench.network(pair.student), bench.network(pair.teacher), bench.pictures, bench.batch_size)


def _round(bench: Bench, pair: Pair) -> Costs:
    found: Costs = {}
    for name in TECHNIQUES:
        student, teacher = bench.network(pair.student), bench.network(pair.teacher)
        found[f"textbook {name}"] = _cpu(
            lambda n=name, s=student, t=teacher: textbook.train(n, s, t, bench.pictures, bench.batch_size)
        )
    if peer.INSTALLED:
        student, teacher = bench.network(pair.student), bench.network(pair.teacher)
        found["torchdistill soft"] = _cpu(lambda: peer.train(student, teacher, bench.pictures, bench.batch_size))
    for precision in PRECISIONS:
        found |= _ours(bench, pair, precision)
    return found


def _ours(bench: Bench, pair: Pair, precision: str) -> Costs:
    """The loops of single students by their own records, and five techniques as a suite runs them.

    A suite of three seeds is three times that of one: the seeds see other views, and share nothing but the teacher.
    """
    teaching = bench.teaching(pair, precision)
    specs = {name: bench.training(pair, name, precision) for name in TECHNIQUES}
    together = [specs[name] for name in ON_FEATURES]
    made = [teaching.key, *(spec.key for spec in specs.values())]
    bench.run([teaching])
    found: Costs = {"teacher's outputs stored": bench.seconds(teaching.key)}
    bench.forget([teaching.key])
    started = _cpu(lambda: bench.run([teaching, *together]))  # they go in step
    for name in ("labels", "soft"):
        started += _cpu(lambda n=name: bench.run([specs[n]]))
        found[name] = bench.seconds(specs[name].key)
    found["five techniques"] = sum(map(bench.seconds, made))
    found["five techniques, from the start"] = started
    found["three on features"] = sum(bench.seconds(spec.key) for spec in together)
    bench.forget([spec.key for spec in together])
    for name in ON_FEATURES:
        bench.run([specs[name]])
        found[name] = bench.seconds(specs[name].key)
    bench.forget(made)
    return {f"{precision} {name}": seconds for name, seconds in found.items()}


if __name__ == "__main__":
    main()

"""What training costs here and in textbook loops, side by side: `python tests/studies/speed`, about five minutes.

Processor seconds, one thread, generated pictures. In each round everything runs once, one after the other, so that what
else the machine does hits all alike; the table has the medians over rounds, the ratios are of one round each.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import peer
import textbook
from stages import ON_FEATURES, PAIRS, TECHNIQUES, Bench, Pair, one_thread

SEEDS = 3
PRECISIONS = ("fp32", "bf16")
Costs = dict[str, float]
"""What was run -> processor seconds for the pictures of one epoch."""


def main() -> None:
    given = _arguments()
    warnings.simplefilter("ignore")  # torchdistill's
    one_thread()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.images, given.batch)
        for name in given.pair:
            pair = PAIRS[name]
            _warm(bench, pair)
            rounds = [_round(bench, pair) for _ in range(given.rounds)]
            print(f"\n{name} <- resnet32x4: processor seconds per 1,000 images and epoch, {given.images} images,")
            print(f"batches of {given.batch}, medians of {given.rounds} rounds (least, most)\n")
            print("\n".join(_lines(rounds, 1000 / given.images)), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=192, help="in an epoch (default 192)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pair", nargs="+", choices=PAIRS, default=list(PAIRS))
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
    """The loops of single students by their own records, and five techniques as a suite runs them, everything counted.

    A suite of three seeds is three times that of one: the seeds see other views, and share nothing but the teacher.
    """
    teaching = bench.teaching(pair, precision)
    specs = {name: bench.training(pair, name, precision) for name in TECHNIQUES}
    together = [specs[name] for name in ON_FEATURES]
    made = [teaching.key, *(spec.key for spec in specs.values())]
    found: Costs = {"teacher's outputs stored": _cpu(lambda: bench.run([teaching]))}
    bench.forget([teaching.key])
    suite = _cpu(lambda: bench.run([teaching, *together]))  # they go in step
    for name in ("labels", "soft"):
        suite += _cpu(lambda n=name: bench.run([specs[n]]))
        found[name] = bench.loop_seconds(specs[name].key)
    found["five techniques"] = suite
    found["three on features"] = sum(bench.loop_seconds(spec.key) for spec in together)
    bench.forget([spec.key for spec in together])
    for name in ON_FEATURES:
        bench.run([specs[name]])
        found[name] = bench.loop_seconds(specs[name].key)
    bench.forget(made)
    return {f"{precision} {name}": seconds for name, seconds in found.items()}


def _lines(rounds: list[Costs], scale: float) -> list[str]:
    def row(title: str, value: Callable[[Costs], float], form: str = "8.2f") -> str:
        values = [value(one) for one in rounds]
        return f"{title:52s} {median(values):{form}}  ({min(values):.2f} - {max(values):.2f})"

    lines = [row(name, lambda one, n=name: scale * one[n]) for name in rounds[0]]
    lines += ["", "ratios", ""]
    for precision in PRECISIONS:
        for name in ("soft", *ON_FEATURES):
            title = f"{precision} {name} / {precision} plain"
            lines.append(row(title, lambda one, p=precision, n=name: one[f"{p} {n}"] / one[f"{p} labels"]))
    lines.append(row("bf16 plain / fp32 plain", lambda one: one["bf16 labels"] / one["fp32 labels"]))
    lines += [
        row(f"{precision} three together / the three alone", lambda one, p=precision: _sharing(one, p))
        for precision in PRECISIONS
    ]
    lines += ["", f"five techniques x {SEEDS} seeds", ""]
    lines.append(row(f"{5 * SEEDS} textbook loops", lambda one: scale * SEEDS * _textbook(one)))
    for precision in PRECISIONS:
        lines.append(row(f"kdbench, {precision}", lambda one, p=precision: scale * SEEDS * one[f"{p} five techniques"]))
        lines.append(row("  of its unavoidable compute", lambda one, p=precision: _over_least(one, p)))
        title = "  textbook loops / kdbench"
        lines.append(row(title, lambda one, p=precision: _textbook(one) / one[f"{p} five techniques"]))
    return lines


def _textbook(one: Costs) -> float:
    return sum(one[f"textbook {name}"] for name in TECHNIQUES)


def _sharing(one: Costs, precision: str) -> float:
    return one[f"{precision} three on features"] / sum(one[f"{precision} {name}"] for name in ON_FEATURES)


def _over_least(one: Costs, precision: str) -> float:
    """The suite over its least: each view once through the teacher, and five times a plain student's steps."""
    least = one[f"{precision} teacher's outputs stored"] + 5 * one[f"{precision} labels"]
    return one[f"{precision} five techniques"] / least


if __name__ == "__main__":
    main()

"""What a teacher, or a whole training, in bf16 does to accuracy: `python tests/studies/precision -o report/precision`.

Five minutes on one core with the digits. `--cifar10 FOLDER` asks the same of CIFAR-10, from torchvision's archive in
that folder; that takes hours.
"""

import argparse
import math
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from arms import ARMS, Arm, Bench, cifar10, digits
from scipy.stats import t as student_t

import kdbench
from kdbench.measure.host import cpu_name

PAGE = """# Teachers and trainings in bf16

Written by `python tests/studies/precision -o report/precision` (kdbench {version}, torch {torch}, Python {python}) on
{machine}. {seeds} seeds; {train:,} examples to learn from, accuracy on {unseen:,} that no training sees, computed in
fp32, after the last epoch. Under a recipe with `precision: bf16` both compute in bf16 and weights stay fp32; a teacher
alone in bf16 is what stored outputs would be if only they were computed so. fp32 is the reference: differences are
paired over seeds, with their 95 % t interval.

{rows}

A teacher in bf16 has each BatchNorm folded into the convolution before it. What it says on those examples, where its
logits spread by {spread:.1f} (standard deviation):

| the teacher | accuracy, % | decides as in fp32, % | a logit differs by, in the middle | at most |
| --- | ---: | ---: | ---: | ---: |
{teachers}

{told}
"""
Found = dict[tuple[str, str, str], list[float]]
"""(technique, the teacher's precision, the student's) -> accuracy by seed."""


def main() -> None:
    given = _arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), cifar10(given.cifar10) if given.cifar10 else digits())
        found = {(arm.name, arm.teacher, arm.student): _accuracies(bench, arm, given.seeds) for arm in ARMS}
        text = _page(bench, found, given.seeds)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "README.md").write_text(text, encoding="utf-8")
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cifar10", metavar="FOLDER", help="torchvision's data folder with CIFAR-10 in it")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the page")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error(f"--seeds must be at least 2 for an interval, got {given.seeds}.")
    return given


def _accuracies(bench: Bench, arm: Arm, seeds: int) -> list[float]:
    return [100 * bench.accuracy(arm, seed) for seed in range(seeds)]


def _page(bench: Bench, found: Found, seeds: int) -> str:
    whole = bench.outputs("fp32")
    counts = bench.task.example_counts
    return PAGE.format(
        version=kdbench.__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        machine=cpu_name(),
        seeds=seeds,
        train=counts["train"],
        unseen=counts["validation"] + counts["test"],
        rows="\n".join(_rows(found)),
        spread=float(whole.std()),
        teachers="\n".join(_teachers(bench, whole)),
        told=_told(found),
    )


def _teachers(bench: Bench, whole: torch.Tensor) -> list[str]:
    """A row for each way in which the teacher computes. whole: its logits in fp32."""
    ways = {"fp32": whole, "bf16": bench.outputs("bf16"), "bf16, folded": bench.outputs("bf16", folded=True)}
    truth = bench.labels
    lines = []
    for name, logits in ways.items():
        decided, apart = logits.argmax(1), (logits - whole).abs()
        right, alike = (100 * float((decided == other).double().mean()) for other in (truth, whole.argmax(1)))
        lines.append(f"| {name} | {right:.2f} | {alike:.2f} | {apart.median():.3f} | {apart.max():.2f} |")
    return lines


def _rows(found: Found) -> list[str]:
    head = ["technique", "teacher", "student", "accuracy, % (standard deviation)", "to fp32, points"]
    lines = [f"| {' | '.join(head)} |", "| --- | --- | --- | ---: | ---: |"]
    for (name, teacher, student), values in found.items():
        in_fp32 = (teacher, student) == ("fp32", "fp32")
        said = "reference" if in_fp32 else _difference(values, found[name, "fp32", "fp32"])
        accuracy = f"{np.mean(values):.2f} ({np.std(values, ddof=1):.2f})"
        lines.append(f"| {name} | {'none' if name == 'labels' else teacher} | {student} | {accuracy} | {said} |")
    return lines


def _difference(values: Sequence[float], reference: Sequence[float]) -> str:
    middle, reach = interval(values, reference)
    return f"{middle:+.2f} ({middle - reach:+.2f} to {middle + reach:+.2f})"


def interval(values: Sequence[float], reference: Sequence[float]) -> tuple[float, float]:
    """The mean of paired differences, and half the length of its 95 % t interval."""
    paired = np.subtract(values, reference)
    count = len(paired)
    return float(paired.mean()), float(student_t.ppf(0.975, count - 1) * paired.std(ddof=1) / math.sqrt(count))


def _told(found: Found) -> str:
    """In a sentence: which differences exclude none."""
    compared = {key: interval(values, found[key[0], "fp32", "fp32"]) for key, values in found.items() if "bf16" in key}
    apart = [f"{name} ({middle:+.2f})" for (name, *_), (middle, reach) in compared.items() if abs(middle) > reach]
    largest = max(abs(middle) + reach for middle, reach in compared.values())
    if apart:
        return f"Of {len(compared)} intervals, not adjusted for their number, these exclude 0: {', '.join(apart)}."
    return f"Each of the {len(compared)} intervals includes 0; they leave {largest:.2f} points possible at most."


if __name__ == "__main__":
    main()

"""The costs of each size as a Markdown table and a picture."""

import math
import platform
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import kdbench

PARTS = {
    "plan": "suite read and planned",
    "look up": "stages looked up in the store, each verified",
    "collect": "records collected",
    "render": "report (page, table, CSV)",
    "choose": "choice",
}
TABLE, PICTURE = "table.md", "growth.png"
Costs = dict[str, float]

PAGE = """# How the cost of a suite's own bookkeeping grows

Written by `python tests/studies/growth -o report/growth` (kdbench {version}, Python {python}). Every stage is in the
store as a copy of a real one, so that what is left is kdbench's own work: processor seconds of one run at each size,
five seeds, 362 and 357 examples judged in each file. Memory is the process's highest. Last row: the exponent of growth
between the two largest sizes, 1 being in proportion to the stages.

{rows}

![processor seconds by stages]({picture})
"""


def write(found: Sequence[Costs], folder: Path | None) -> None:
    """Print the table, or write it and the picture into a folder."""
    text = PAGE.format(
        version=kdbench.__version__, python=platform.python_version(), rows="\n".join(_rows(found)), picture=PICTURE
    )
    if folder is None:
        print(text)
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_text(text, encoding="utf-8")
    _draw(found, folder / PICTURE)


def _rows(found: Sequence[Costs]) -> list[str]:
    head = ["stages", "cases", *PARTS.values(), "memory, MiB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---:|" * len(head)]
    for one in found:
        seconds = [f"{one[part]:.2f}" for part in PARTS]
        lines.append(
            "| " + " | ".join([f"{one['stages']:,}", f"{one['cases']:,}", *seconds, f"{one['memory']:.0f}"]) + " |"
        )
    if len(found) > 1:
        powers = [f"{_power(found[-2], found[-1], part):.2f}" for part in (*PARTS, "memory")]
        lines.append("| growth | | " + " | ".join(powers) + " |")
    return lines


def _power(small: Costs, large: Costs, part: str) -> float:
    """k where a cost grows as the number of stages to the power k."""
    return math.log(large[part] / small[part]) / math.log(large["stages"] / small["stages"])


def _draw(found: Sequence[Costs], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
    stages = [one["stages"] for one in found]
    for part, label in PARTS.items():
        axes.plot(stages, [one[part] for one in found], marker="o", markersize=4, label=label)
    axes.plot(
        stages, [found[-1]["render"] * count / stages[-1] for count in stages], "k:", linewidth=1, label="in proportion"
    )
    axes.set(xscale="log", yscale="log", xlabel="stages of the suite", ylabel="processor seconds")
    axes.legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)

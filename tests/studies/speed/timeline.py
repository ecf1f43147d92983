"""What ran when: a small suite run as its user runs it, and when its stages began and ended by the store's records."""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from generated import write_pictures
from matplotlib.patches import Patch

SUITE = """
kdbench: 1
name: timeline
task: {{image_folder: {{root: {root}, image_size: 32, augment: crop_flip, validation_fraction: 0}}}}
seeds: [0, 1, 2]
recipes: {{train: {{epochs: 6}}}}
teacher: {{model: {{cnn: {{channels: [64, 128, 256]}}}}, recipe: train}}
student: {{model: {{cnn: {{channels: [16, 32, 64]}}}}, recipe: train}}
cases:
  from-scratch: []
  soft: [soft_distillation]
  attention: [attention_transfer]
  fitnet: [fitnet]
  similarity: [similarity_preserving]
measure:
  - {{provider: cpu, threads: [1], batch_sizes: [1], processes: 3, calls: 100, seconds: 0}}
"""
PICTURES = 640
COLOURS = {"train": "tab:blue", "teach": "tab:orange", "compress": "tab:green", "export": "tab:purple"}
COLOURS |= {"evaluate": "tab:pink", "measure": "tab:red"}
OTHER = "tab:gray"


@dataclass(frozen=True)
class Block:
    """Stages that one process worked on together; seconds from the first stage's beginning."""

    process: int
    kinds: tuple[str, ...]
    began: float
    ended: float


def run(folder: Path) -> list[Block]:
    """Run the suite with as many workers as there are cores, and read back what ran when."""
    write_pictures(folder / "pictures", PICTURES)
    suite, store = folder / "timeline.yaml", folder / "store"
    suite.write_text(SUITE.format(root=folder / "pictures"), encoding="utf-8")
    command = [sys.executable, "-m", "kdbench", "run", str(suite), "--store", str(store), "-o", str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the suite failed:\n{done.stdout}{done.stderr}")
    return blocks(store)


def blocks(store: Path) -> list[Block]:
    """Every group of stages of a store, in the order in which they began."""
    found: dict[tuple[int, str], list[dict[str, object]]] = {}
    for path in store.glob("stages/*/*/stage.json"):
        stage = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault((stage["process"], stage["began_utc"]), []).append(stage)
    first = min(_seconds(began) for _, began in found)
    made = [
        Block(
            process,
            tuple(sorted(stage["spec"]["kind"] for stage in group)),  # type: ignore[index]
            _seconds(began) - first,
            max(_seconds(str(stage["ended_utc"])) for stage in group) - first,
        )
        for (process, began), group in found.items()
    ]
    return sorted(made, key=lambda block: block.began)


def busy_fraction(ran: list[Block]) -> float:
    """How much of the workers' time went into stages, from the first that trains to the last that does not measure."""
    kept = [block for block in ran if "measure" not in block.kinds and block.kinds != ("rehearse",)]
    workers = len({block.process for block in kept})
    span = max(block.ended for block in kept) - min(block.began for block in kept)
    return sum(block.ended - block.began for block in kept) / (workers * span)


def draw(ran: list[Block], path: Path) -> None:
    """One lane a process, one bar a group of stages."""
    lanes = {process: lane for lane, process in enumerate(dict.fromkeys(block.process for block in ran))}
    figure, axes = plt.subplots(figsize=(8, 0.7 + 0.6 * len(lanes)), layout="constrained")
    for block in ran:
        lane, width = lanes[block.process], block.ended - block.began
        kind = "compress" if "compress" in block.kinds else block.kinds[0]
        axes.barh(lane, width, left=block.began, color=COLOURS.get(kind, OTHER), edgecolor="white", linewidth=0.5)
        if len(block.kinds) > 1:
            axes.text(block.began + width / 2, lane, str(len(block.kinds)), ha="center", va="center", fontsize=7)
    shown = {kind for block in ran for kind in block.kinds}
    legend = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items() if kind in shown]
    axes.legend(
        handles=[*legend, Patch(color=OTHER, label="other")],
        fontsize=7,
        ncols=7,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.25 if len(lanes) > 2 else -0.35),
        frameon=False,
    )
    axes.set(xlabel="seconds", yticks=range(len(lanes)), yticklabels=[f"worker {lane + 1}" for lane in lanes.values()])
    axes.invert_yaxis()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _seconds(when: str) -> float:
    return datetime.fromisoformat(when).timestamp()

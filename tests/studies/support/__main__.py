"""Which technique that compresses works on which network: `python tests/studies/support -o FILE [--only GLOB]`.

Every cell is a case of a real suite: trained on coloured noise until it is sure, compressed, exported, checked against
the network, run in onnxruntime. What is finished is reused from the store, so that a stopped run goes on.
"""

import argparse
import json
import platform
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from kdbench import __version__
from kdbench.results import records
from kdbench.results.records import Latency, Score

TECHNIQUES: dict[str, dict[str, object]] = {
    "structured_pruning": {"channel_fraction": 0.25},
    "unstructured_pruning": {"weight_fraction": 0.5},
    "low_rank": {"rank_fraction": 0.5},
    "weight_sharing": {"bits": 4},
    "batchnorm_reestimation": {},
    "quantization_aware_training": {"samples": 32},
    "static_quantization": {"samples": 32},
    "dynamic_quantization": {},
    "weight_only_quantization": {"smallest_layer": 256},
    "half_precision": {},
}
CIFAR = [
    *("cnn", "mlp", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet8x4", "resnet32x4"),
    *("ResNet50", "wrn_16_2", "wrn_40_1", "wrn_40_2", "vgg8", "vgg13", "MobileNetV2", "ShuffleNetV1", "ShuffleNetV2"),
]
FAMILIES = [
    *("alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "googlenet"),
    *("inception_v3", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "shufflenet_v2_x0_5"),
    *("efficientnet_b0", "efficientnet_v2_s", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t", "maxvit_t"),
]
"""One torchvision architecture a family."""
SIZES = {"vit_b_16": 224, "swin_t": 224, "maxvit_t": 224, "inception_v3": 96, "alexnet": 96}
CLASSES, PER_CLASS = 4, 16

PAGE = """# Which technique works on which network

Written by `python tests/studies/support -o report/support.md` (kdbench {kdbench}, Python {python}, torch {torch},
torchvision {torchvision}, onnxruntime {onnxruntime}). A yes: the step worked on the network after twelve epochs on
coloured noise, its file agrees with the network that it was exported from as every export must, and onnxruntime ran
and timed it. That says nothing of accuracy. `cnn` to `ShuffleNetV2` take 32x32 images; below them stands one
torchvision architecture a family.

{table}

{notes}
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/studies/support", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the page to write")
    parser.add_argument("--only", default="*", metavar="GLOB", help="only these networks")
    parser.add_argument("--work", type=Path, default=Path("results/support"), help="data, store and results")
    chosen = parser.parse_args()
    rows = {}
    for name in filter(lambda name: fnmatch(name, chosen.only), [*CIFAR, *FAMILIES]):
        rows[name] = support(name, chosen.work)
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(page(rows))
        print(name, {technique: said for technique, said in rows[name].items() if said}, file=sys.stderr)


def support(name: str, work: Path) -> dict[str, str]:
    """Technique -> why the network is refused; empty where it is not."""
    size = SIZES.get(name, 64) if name in FAMILIES else 32
    suite = work / f"{name}.yaml"
    suite.parent.mkdir(parents=True, exist_ok=True)
    suite.write_text(json.dumps(suite_of(name, str(pictures(work / f"data-{size}", size).absolute()), size)))
    results = work / name
    command = [sys.executable, "-m", "kdbench", "run", str(suite), "--store", str(work / "store"), "-o", str(results)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return {technique: refusal(technique, records.read(results / "records.jsonl")) for technique in TECHNIQUES}


def suite_of(name: str, data: str, size: int) -> dict[str, object]:
    model = {"torchvision": {"architecture": name}} if name in FAMILIES else name
    steps = {name: [{name: fields} if fields else name] for name, fields in TECHNIQUES.items()}
    return {
        "kdbench": 1,
        "name": f"support-{name}",
        "task": {"image_folder": {"root": data, "image_size": size, "validation_fraction": 0}},
        "seeds": [0],
        "recipes": {
            "train": {"epochs": 12, "batch_size": 16, "learning_rate": 0.02},
            "finetune": {"epochs": 1, "batch_size": 16, "learning_rate": 0.001},
        },
        "student": {"model": model},
        "cases": {"from-scratch": [], **steps},
        "measure": [{"provider": "cpu", "processes": 3, "calls": 20, "seconds": 0, "memory": False}],
    }


def pictures(folder: Path, size: int) -> Path:
    """An image folder whose classes are colours under noise; made once."""
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in range(CLASSES):
            place = folder / split / str(label)
            place.mkdir(parents=True, exist_ok=True)
            for number in range(PER_CLASS):
                colour = 60 + 130 * np.array([label & 1, label >> 1, 1 - (label & 1)])
                noise = random.integers(-50, 51, (size, size, 3))
                Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(place / f"{number}.png")
    return folder


def refusal(technique: str, found: list[records.Record]) -> str:
    own = [record for record in records.labelled(found) if record.case in (technique, "from-scratch")]
    reasons = [record.reason for record in own if isinstance(record, records.Failed)]
    if reasons:
        return reasons[0].partition("seed 0: ")[2] or reasons[0]
    done = {type(record) for record in own if record.case == technique}
    return "" if {Score, Latency} <= done else "it was not measured."


def page(rows: dict[str, dict[str, str]]) -> str:
    reasons = list(dict.fromkeys(said for row in rows.values() for said in row.values() if said))
    lines = ["| network | " + " | ".join(TECHNIQUES) + " |", "|---" * (len(TECHNIQUES) + 1) + "|"]
    for name, row in rows.items():
        cells = ["yes" if not said else f"no ({reasons.index(said) + 1})" for said in row.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    notes = "\n".join(f"{number}. {reason}" for number, reason in enumerate(reasons, start=1))
    versions = {package: version(package) for package in ("torch", "torchvision", "onnxruntime")}
    return PAGE.format(
        kdbench=__version__, python=platform.python_version(), table="\n".join(lines), notes=notes, **versions
    )


if __name__ == "__main__":
    main()

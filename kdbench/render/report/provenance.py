"""What was asked and on what, and how to get it again: facts, machine, models, links. Paths are made safe here."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from kdbench import units
from kdbench.evidence import Evidence
from kdbench.evidence.intervals import FEWEST
from kdbench.render.words.words import counted, listed, processor, processors_of, target_place
from kdbench.results.records import Environment, Latency, Size
from kdbench.results.target_id import HERE, target_name

THIS_MACHINE = "here"
"""What the device is called on which the suite ran."""


@dataclass(frozen=True)
class Device:
    """Where some of the targets are, in words; empty where nothing says it."""

    name: str
    processor: str
    system: str
    runtimes: str


@dataclass(frozen=True)
class Model:
    """An ONNX file that lies in the results folder."""

    case: str
    seed: int
    link: str
    digest: str


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """What was asked, when, on what."""
    results, plan = evidence.results, evidence.results.plan
    troubled = [case.name for case in evidence.cases if case.problems]
    found = {
        "When": "" if results.dates is None else units.period(*results.dates),
        **_machines(evidence),
        "Targets": "; ".join(target_place(target) for target in evidence.targets),
        "Cases": f"{counted(len(plan.cases), 'case')}; {counted(len(troubled), 'case')} with failures or skips"
        if troubled
        else f"{counted(len(plan.cases), 'case')}, all complete",
        "Seeds": ", ".join(str(seed) for seed in plan.seeds)
        + ("" if len(plan.seeds) >= FEWEST else " (too few for intervals over seeds)"),
        "Baseline": plan.baseline,
    }
    return [(name, text) for name, text in found.items() if text]


def _machines(evidence: Evidence) -> dict[str, str]:
    """Processor and runtime; of several devices each one's processor, system and runtimes."""
    found = devices(evidence)
    if len(found) < 2:
        return {"Processor": processor(evidence), "Runtime": listed(_runtimes(evidence, evidence.targets))}
    return {
        f"Device {device.name}": "; ".join(text for text in (device.processor, device.system, device.runtimes) if text)
        for device in found
    }


def devices(evidence: Evidence) -> list[Device]:
    """Every device that a target names, this machine first."""
    by_name: dict[str, list[str]] = {}
    for target in evidence.targets:
        name = target_name(target)
        by_name.setdefault(name.device if name else HERE, []).append(target)
    ordered = sorted(by_name.items(), key=lambda pair: pair[0] != HERE)
    return [_device(evidence, name, targets) for name, targets in ordered]


def _device(evidence: Evidence, name: str, targets: Sequence[str]) -> Device:
    timed = {record.fingerprint for record in evidence.results.of(Latency) if record.target in targets}
    facts = [record.facts or {} for record in evidence.results.of(Environment) if record.fingerprint in timed]
    processors = [text for record in facts for text in processors_of(record)]
    systems = [str(record["os"]) for record in facts if record.get("os")]
    return Device(
        THIS_MACHINE if name == HERE else name,
        listed(list(dict.fromkeys(processors))),
        listed(list(dict.fromkeys(systems))),
        listed(_runtimes(evidence, targets)),
    )


def _runtimes(evidence: Evidence, targets: Sequence[str]) -> list[str]:
    return list(
        dict.fromkeys(
            view.runtime for case in evidence.cases for (target, _), view in case.latency.items() if target in targets
        )
    )


def suite_text(evidence: Evidence) -> str:
    """The suite file as it was run; empty where the folder has none."""
    path = evidence.results.folder / "suite.yaml"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def machine(evidence: Evidence) -> list[tuple[str, str]]:
    """Versions, targets and what every fingerprint says of its machine."""
    found: dict[str, str] = dict(evidence.results.plan.versions)
    found |= {"target": ", ".join(evidence.targets)}
    environments = evidence.results.of(Environment)
    for place, record in enumerate(environments, start=1):
        number = f" {place}" if len(environments) > 1 else ""
        said = {**(record.facts or {}), "fingerprint": record.fingerprint, **(record.also or {})}
        found |= {f"{name}{number}": _text(value) for name, value in said.items()}
    return [(name, value) for name, value in found.items() if value]


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={entry}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(entry) for entry in value)
    return "" if value is None else str(value)


def models(evidence: Evidence, out: Path) -> list[Model]:
    """Every ONNX file with its digest; links lead there from the folder `out`."""
    found = [
        Model(record.case, record.seed, relative(path, out), record.onnx_sha256 or "")
        for record in evidence.results.of(Size)
        if (path := evidence.results.file(record.onnx_path)) is not None
    ]
    return list(dict.fromkeys(found))


def links(evidence: Evidence, out: Path, written: Sequence[Path]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(heading, [(text, link)]) of the files beside the page and the records behind it."""
    folder = evidence.results.folder
    behind = [path for name in ("records.jsonl", "plan.json", "suite.yaml") if (path := folder / name).is_file()]
    figures = [path for path in written if path.parent.name == "figures"]
    tables = [path for path in written if path not in figures and path.name != "index.html"]
    found = {"Tables": tables, "Figures": figures, "Records": behind}
    return [
        (heading, [(path.name, relative(path, out)) for path in paths]) for heading, paths in found.items() if paths
    ]


def relative(path: Path, out: Path) -> str:
    """The path as a link from a page in the folder `out`."""
    return quote(Path(os.path.relpath(path.resolve(), out.resolve())).as_posix())

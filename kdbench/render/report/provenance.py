"""The facts at the head of a report: when it ran, on which machine, with which cases. Makes links safe."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from kdbench import units
from kdbench.evidence import Evidence
from kdbench.evidence.intervals import FEWEST
from kdbench.measure.target_id import HERE, target_name
from kdbench.render.words.words import counted, listed, processor, processors_of, target_place
from kdbench.results.plan_json import RecordedPlan
from kdbench.results.records import Environment, Latency

THIS_MACHINE = "here"
"""The name of the device that the suite ran on."""


@dataclass(frozen=True)
class Device:
    """A device in words; a text is empty if no record says it."""

    name: str
    processor: str
    system: str
    runtimes: str


def facts(evidence: Evidence) -> list[tuple[str, str]]:
    """(name, text) of the date, machine, targets, cases, seeds and baseline."""
    results, plan = evidence.results, evidence.results.plan
    troubled = [case.name for case in evidence.cases if case.problems]
    found = {
        "When": "" if results.dates is None else units.period(*results.dates),
        **_machines(evidence),
        "Targets": "; ".join(target_place(target) for target in evidence.targets),
        "Cases": f"{counted(len(plan.cases), 'case')}; {counted(len(troubled), 'case')} with failures or skips"
        if troubled
        else f"{counted(len(plan.cases), 'case')}, all complete",
        "Seeds": _seeds(plan),
        "Baseline": plan.baseline,
    }
    return [(name, text) for name, text in found.items() if text]


def _seeds(plan: RecordedPlan) -> str:
    if plan.cases and not any(case.trained for case in plan.cases.values()):
        return "none, as nothing was trained"
    said = ", ".join(str(seed) for seed in plan.seeds)
    return said if len(plan.seeds) >= FEWEST else f"{said} (too few for intervals over seeds)"


def _machines(evidence: Evidence) -> dict[str, str]:
    """Processor and runtime; with several devices the processor, system and runtimes of each."""
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
    facts = [record.facts for record in evidence.results.of(Environment) if record.fingerprint in timed]
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


def relative(path: Path, out: Path) -> str:
    """The path as a link from a page in the folder `out`."""
    return quote(Path(os.path.relpath(path.resolve(), out.resolve())).as_posix())

"""Whether each target of a suite can be measured here, proved by a tiny model in the target's own session."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kdbench.doctor.findings import Asked, Interpreter, Machine, Trouble
from kdbench.doctor.interpreters import Found, Trials, trial_of
from kdbench.errors import MeasureError
from kdbench.measure import energy
from kdbench.suite.cases import Suite
from kdbench.suite.targets import Target, converter_of, targets_of
from kdbench.timing import probe


@dataclass(frozen=True)
class Here:
    """The findings that targets are judged by. Interpreters are keyed as a suite names them; None is this one."""

    machine: Machine
    founds: Mapping[str | None, Found]
    interpreters: Mapping[str | None, Interpreter]


def begin(suite: Suite, founds: Mapping[str | None, Found], trials: Trials) -> None:
    """Start a trial of every target's session whose interpreter has a runtime."""
    for target in targets_of(suite.measure):
        if founds[target.entry.python].reason is None:
            trials.begin(target.entry.python, _session(target))


def verdicts(suite: Suite, here: Here, trials: Trials) -> list[Asked]:
    """One for each target, in the suite's order."""
    return [_verdict(target, here, trials) for target in targets_of(suite.measure)]


def _verdict(target: Target, here: Here, trials: Trials) -> Asked:
    python = target.entry.python
    found, interpreter = here.founds[python], here.interpreters[python]
    asked = Asked(target.id, python, can=False, notes=tuple(_notes(target, here.machine)))
    if found.reason is not None:
        remedy = interpreter.remedy or next(iter(interpreter.troubles), None)
        return replace(asked, reason=found.reason, remedy=remedy)
    trial = trial_of(found, _session(target), trials, here.machine.gpus)
    if not trial.works:
        return replace(asked, reason=trial.reason, remedy=trial.remedy)
    missing = _no_converter(target)
    if missing is not None:
        return replace(asked, reason=missing)
    if target.entry.memory and here.machine.peak_memory is not None:
        remedy = Trouble("leave memory out: `memory: false` in the measure entry")
        return replace(asked, reason=here.machine.peak_memory.rstrip("."), remedy=remedy)
    return replace(asked, can=True, kernels=trial.kernels, precision=trial.precision, lacks=tuple(_lacks(target)))


def _no_converter(target: Target) -> str | None:
    """Why the files of a target cannot be made here, the remedy in it; None where they can, or need no making."""
    entry = target.entry
    if not target.runtime.made_from:
        return None
    try:
        probe.converter(converter_of(entry), entry.provider, entry.runtime)
    except MeasureError as error:
        return str(error).rstrip(".")
    return None


def _session(target: Target) -> dict[str, Any]:
    """The target's own session, but that the tiny model leaves nothing in its engine cache."""
    return {name: value for name, value in target.session.items() if name != "engine_cache"}


def _lacks(target: Target) -> list[str]:
    """Energy, where the machine has no counter: then there is no record of it."""
    name, reason = energy.counter(target.entry.provider)
    return [f"energy cannot be read: {reason}"] if target.entry.energy and name is None else []


def _notes(target: Target, machine: Machine) -> list[str]:
    cores = min(machine.usable_core_count, machine.physical_core_count or machine.usable_core_count)
    if target.threads > cores:
        return [f"{target.threads} threads share {cores} physical cores: its times say little about a larger machine"]
    return []

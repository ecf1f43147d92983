"""Each interpreter's packages, and every provider it has, tried. Knows no suite."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.doctor import remedies
from kdbench.doctor.findings import Interpreter, Plugin, Trial, Trouble
from kdbench.doctor.remedies import PLAIN, PLAIN_PROVIDER
from kdbench.errors import MeasureError
from kdbench.measure.provider import ONNXRUNTIME
from kdbench.measure.providers import PROVIDERS, precisions_of, runtime_of
from kdbench.timing import probe

NUMPY_ONLY = ("numpy",)
"""What measuring needs beside a runtime of its own."""
NEEDED = (*NUMPY_ONLY, PLAIN)
"""What measuring with onnxruntime needs."""
Say = Callable[[str], None]
"""Told what is being looked at."""
Session = Mapping[str, Any]
"""Fields of a job's session: the provider, and how it is asked."""


@dataclass(frozen=True)
class Found:
    """The answer of `probe.diagnosis` about an interpreter, or why there is none."""

    python: str | None
    answer: Mapping[str, Any]
    reason: str | None = None
    wanted: str = PLAIN_PROVIDER
    """A provider that it is named for: what to install where it has none."""

    @property
    def path(self) -> str:
        """As a suite or the command line names it."""
        return self.python or sys.executable

    @property
    def is_own(self) -> bool:
        """Whether it is the one that kdbench runs in."""
        return self.python is None or Path(shutil.which(self.python) or self.python).absolute() == Path(sys.executable)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Faults of its onnxruntime as it was installed."""
        return tuple(remedies.overwritten(self.answer, self.path, self.is_own))

    @property
    def available(self) -> tuple[str, ...]:
        """onnxruntime's names of the providers compiled in."""
        return tuple(self.answer.get("onnxruntime", {}).get("providers_available", ()))

    def named(self) -> list[str]:
        """Short names of the providers compiled in, in onnxruntime's order."""
        return [short for name in self.available for short, known in PROVIDERS.items() if known == name]


def look(python: str | None, wanted: str, needs: tuple[str, ...] = NEEDED) -> Found:
    """One interpreter's packages; a broken one is a Found with the reason.

    `wanted`: a provider it is named for. `needs`: the packages without which it cannot do what it is named for.
    """
    try:
        answer = probe.diagnosis(python)
    except MeasureError as error:
        return Found(python, {}, str(error).rstrip("."), wanted)
    errors = [str(answer[package]["error"]) for package in needs if "error" in answer[package]]
    return Found(python, answer, errors[0] if errors else None, wanted)


class Trials:
    """Sessions tried in interpreters, each at most once, several side by side as nothing is timed."""

    def __init__(self, pool: ThreadPoolExecutor, say: Say) -> None:
        self._pool = pool
        self._say = say
        self._answers: dict[tuple[str | None, str], Any] = {}

    def begin(self, python: str | None, session: Session) -> None:
        """Start a trial, unless it has been."""
        key = (python, json.dumps(session, sort_keys=True))
        if key not in self._answers:
            self._answers[key] = self._pool.submit(self._try, python, dict(session))

    def answer(self, python: str | None, session: Session) -> Mapping[str, Any]:
        """The answer of a trial; waits for it."""
        found: Mapping[str, Any] = self._answers[python, json.dumps(session, sort_keys=True)].result()
        return found

    def _try(self, python: str | None, session: dict[str, Any]) -> Mapping[str, Any]:
        self._say(f"trying {session['provider']} in {python or 'this interpreter'}")
        try:
            return probe.trial(python, session)
        except MeasureError as error:
            return {"works": False, "reason": str(error), "cause": None}


def tried(founds: Iterable[Found], trials: Trials, gpus: tuple[str, ...]) -> list[Interpreter]:
    """Every interpreter with each of its providers tried; `gpus` are those of this machine."""
    founds = list(founds)
    for found in founds:
        for provider in found.named():
            trials.begin(found.python, {"provider": provider})
        for session in _plugin_sessions(found):
            trials.begin(found.python, session)
    return [_interpreter(found, trials, gpus) for found in founds]


def _interpreter(found: Found, trials: Trials, gpus: tuple[str, ...]) -> Interpreter:
    answer, troubles = found.answer, found.troubles
    runtime = answer.get("onnxruntime", {})
    return Interpreter(
        path=found.path,
        is_own=found.is_own,
        reason=found.reason,
        remedy=_remedy(found) if found.reason and not troubles else None,
        python_version=answer.get("python_version"),
        numpy_version=answer.get("numpy", {}).get("version"),
        onnxruntime_version=runtime.get("version"),
        distributions=tuple(f"{entry['name']} {entry['version']}" for entry in answer.get("distributions", ())),
        tells_assignment=bool(runtime.get("tells_assignment")),
        trials=tuple(trial_of(found, {"provider": name}, trials, gpus) for name in found.named()),
        unnamed_providers=tuple(name for name in found.available if name not in PROVIDERS.values()),
        plugins=tuple(_plugin(found, entry, trials) for entry in _plugins(found)),
        troubles=troubles,
    )


def _plugins(found: Found) -> list[Mapping[str, Any]]:
    """The plug-in packages of an interpreter that has a runtime to plug them into."""
    return [] if found.reason else list(found.answer.get("plugins", ()))


def _plugin_sessions(found: Found) -> list[Session]:
    return [_plugin_session(entry) for entry in _plugins(found) if "provider" in entry]


def _plugin_session(entry: Mapping[str, Any]) -> Session:
    """How a plug-in is asked: by kdbench's name of its provider, or, of one that it does not know, by its own."""
    names = {known: short for short, known in PROVIDERS.items()}
    provider = names.get(entry["provider"], entry["provider"])
    return {"provider": provider, "plugin": entry["module"], "precision": precisions_of(provider)[0]}


def _plugin(found: Found, entry: Mapping[str, Any], trials: Trials) -> Plugin:
    if "error" in entry:
        return Plugin(entry["module"], reason=entry["error"])
    answer = trials.answer(found.python, _plugin_session(entry))
    devices = tuple(answer.get("devices", ()))
    reason = None if answer["works"] else reason_of(found, answer)
    return Plugin(entry["module"], entry["provider"], devices, reason)


def _remedy(found: Found) -> Trouble | None:
    """How an interpreter that measures nothing could measure; None where no command is known to help."""
    if not found.answer:
        return remedies.new_environment(found.path, found.wanted) if remedies.missing_file(found.path) else None
    missing = [name for name in NEEDED if found.answer[name].get("missing")]
    if not missing:
        return None
    if found.answer["refuses_pip"]:
        return remedies.own_environment(found.wanted) or remedies.own_environment(PLAIN_PROVIDER)
    package = remedies.package_of(found.wanted) or PLAIN
    packages = [package if name == PLAIN else name for name in missing]
    return Trouble("install it", remedies.install(found.answer, found.path, *packages))


def trial_of(found: Found, session: Session, trials: Trials, gpus: tuple[str, ...]) -> Trial:
    """The trial of a provider in an interpreter, with the remedy where it did not work."""
    provider = session["provider"]
    answer = trials.answer(found.python, session)
    if answer["works"]:
        return Trial(provider, True, dict(answer["node_count_by_provider"]), answer.get("effective_precision"))
    if session.get("plugin") or session.get("runtime") or runtime_of(provider) != ONNXRUNTIME:
        reason = reason_of(found, answer)  # not compiled in: its reason says what to install
        return Trial(provider, False, reason=reason, remedy=remedies.library(session, reason, found.answer, found.path))
    mended = remedies.provider_remedy(provider, found.answer, found.path, found.is_own, gpus)
    remedy = next(iter(found.troubles), mended)
    return Trial(provider, False, reason=reason_of(found, answer, PROVIDERS.get(provider)), remedy=remedy)


def reason_of(found: Found, answer: Mapping[str, Any], name: str | None = None) -> str:
    """Why it did not run: that it is not there at all, else what the runtime said, else what the program said.

    `name`: onnxruntime's name of the provider, where it must be compiled in.
    """
    if name is not None and name not in found.available:
        return f"its onnxruntime {found.answer['onnxruntime']['version']} has no {name}"
    if answer.get("cause"):
        return str(answer["cause"])
    if "reason" in answer:
        return str(answer["reason"]).rstrip(".")
    ran = ", ".join(answer["node_count_by_provider"])
    return f"{ran} ran all of its kernels"

"""The doctor: tries what this machine can measure, and names what is missing with the command that installs it."""

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from kdbench.doctor.asked import Here, begin, verdicts
from kdbench.doctor.findings import Diagnosis, Torch
from kdbench.doctor.interpreters import NEEDED, NUMPY_ONLY, Say, Trials, look, tried
from kdbench.doctor.machine import this_machine
from kdbench.doctor.missing import not_installed
from kdbench.doctor.remedies import PLAIN_PROVIDER
from kdbench.errors import MeasureError
from kdbench.measure.carried import declared
from kdbench.measure.provider import ONNXRUNTIME
from kdbench.suite.cases import Suite
from kdbench.suite.form import MeasureEntry
from kdbench.timing import probe


def diagnose(suite: Suite | None, pythons: Sequence[str], say: Say = lambda what: None) -> Diagnosis:
    """Look at this machine, this interpreter, those in `pythons` and those that the suite measures with.

    Nothing that is broken raises: it is a finding with its reason. `say` is told what is being looked at.
    """
    say("watching what else uses the processors")
    here = this_machine()
    named: dict[str | None, str] = dict.fromkeys([None, *pythons], PLAIN_PROVIDER)
    entries = suite.measure if suite else ()
    for entry in entries:
        named.setdefault(entry.python, entry.provider)
    with_onnxruntime = {None, *pythons, *(entry.python for entry in entries if _is_onnxruntimes(entry))}
    needs = [NEEDED if python in with_onnxruntime else NUMPY_ONLY for python in named]
    with ThreadPoolExecutor(here.usable_core_count) as pool:
        trials = Trials(pool, say)
        torch = pool.submit(_torch)
        say("asking interpreters what they have")
        founds = dict(zip(named, pool.map(look, named, named.values(), needs), strict=True))
        if suite is not None:
            begin(suite, founds, trials)
        looked_at = dict(zip(named, tried(founds.values(), trials, here.gpus), strict=True))
        asked = verdicts(suite, Here(here, founds, looked_at), trials) if suite else []
        return Diagnosis(
            machine=here,
            torch=torch.result(),
            interpreters=tuple(looked_at.values()),
            missing=tuple(not_installed(looked_at.values(), here)),
            suite=suite.name if suite else None,
            asked=tuple(asked),
        )


def _is_onnxruntimes(entry: MeasureEntry) -> bool:
    return declared(entry.runtime, entry.provider).name == ONNXRUNTIME


def _torch() -> Torch:
    try:
        found = probe.torch_devices()
    except MeasureError as error:
        return Torch(reason=str(error).rstrip("."))
    return Torch(found["version"], found["devices"], _no_compiler())


def _no_compiler() -> str | None:
    """Why torch.compile cannot make code for the CPU: it calls a C++ compiler."""
    named = os.environ.get("CXX", "g++")
    if any(shutil.which(name) for name in (named, "clang++")):
        return None
    return f"there is no C++ compiler ({named})"

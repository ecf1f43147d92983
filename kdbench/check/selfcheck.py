"""The gate tried on this machine: a file is timed against its own copy, again and again. Returns data."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.check.resampled_noise import NoiseTold, noise_told
from kdbench.errors import MeasureError
from kdbench.evidence.intervals import rate_interval
from kdbench.measure.client import Client
from kdbench.timing.copies import write_copy
from kdbench.timing.duel import USUAL, Duel, Effort, Pair, duel
from kdbench.timing.verdict_rule import DEFAULT

PAIRS = 20
MAX_RATIO = 1.03

Told = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """One comparison of a file with its own copy."""

    verdict: str
    first: tuple[float, ...]
    """Natural logarithms of copy / file, one a process of the first stage."""
    second: tuple[float, ...]
    """Such logarithms of the second stage; empty where the first was enough."""
    wall_ns: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """How the gate behaves on this machine, for one file and session."""

    model: str
    session: dict[str, Any]
    batch_size: int
    max_ratio: float
    """The slow-down that must not go unseen."""
    created_utc: str
    latency_ns: float
    """The median over processes of each process's median call."""
    trials: tuple[Trial, ...]
    expected: NoiseTold
    """How often the gate's rule would err with the spread that was seen."""

    @property
    def alarms(self) -> int:
        """Trials in which the gate called a file slower than its own copy."""
        return sum(trial.verdict == "slower" for trial in self.trials)

    @property
    def doubts(self) -> int:
        return sum(trial.verdict == "cannot tell" for trial in self.trials)

    @property
    def confirmations(self) -> int:
        """Trials that needed the second stage."""
        return sum(bool(trial.second) for trial in self.trials)

    @property
    def false_alarms(self) -> tuple[float, float]:
        """The exact 95 % interval of the rate of false alarms, one-sided where there was none."""
        return rate_interval(self.alarms, len(self.trials))

    @property
    def wall_ns(self) -> float:
        """Nanoseconds that a row takes, on average."""
        return float(np.mean([trial.wall_ns for trial in self.trials]))

    @property
    def is_sound(self) -> bool:
        """Whether the gate can be trusted with `max_ratio` here: no trial called the file slower than its copy, and the
        spread that was seen lets the rule hold."""
        return self.alarms == 0 and self.expected.sound_ratio == self.max_ratio


def selfcheck(
    model: Path,
    name: str,
    inputs: Path,
    session: dict[str, Any],
    batch_size: int = 1,
    python: str | None = None,
    pairs: int = PAIRS,
    max_ratio: float = MAX_RATIO,
    effort: Effort = USUAL,
    progress: Told = lambda words: None,
) -> SelfCheck:
    """Time `model` against `pairs` copies that differ in bytes only, each under the gate's whole rule.

    `inputs` is an .npz of examples by input name. Raises MeasureError where the model cannot be read or timed.
    """
    trials, medians = [], []
    with tempfile.TemporaryDirectory() as folder:
        reference, inputs = _copy(model, folder, 0), inputs.absolute()
        client = Client(Path(folder) / "scratch", session, python)
        for number in range(1, pairs + 1):
            progress(f"{name}: pair {number} of {pairs}")
            pair = Pair(name, _copy(model, folder, number), reference, max_ratio)
            begin = time.perf_counter_ns()
            (found,) = duel([pair], client, inputs, batch_size, effort=effort)
            trials.append(_trial(found, time.perf_counter_ns() - begin))
            medians += [float(np.median(process)) for process in found.reference_samples_ns]
            pair.new.unlink()
    return SelfCheck(
        model=name,
        session=session,
        batch_size=batch_size,
        max_ratio=max_ratio,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        latency_ns=float(np.median(medians)),
        trials=tuple(trials),
        expected=noise_told([trial.first for trial in trials], max_ratio, DEFAULT),
    )


def _trial(found: Duel, wall_ns: int) -> Trial:
    if found.verdict is None:
        raise MeasureError(f"the model cannot be timed: {found.error}")
    return Trial(found.verdict, found.first, found.second, wall_ns, found.warnings)


def _copy(model: Path, folder: str, number: int) -> Path:
    return write_copy(model, Path(folder) / f"copy-{number}.onnx", f"kdbench selfcheck, copy {number}")

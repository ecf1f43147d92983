"""Reads WAV and FLAC files: samples of one rate, cut or filled to a length, and log-mel features where asked for.

Which of the choices that libraries make differently were made stands in the manifest's `data.settings.sound`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kdbench.handover.predicting.example import BadInput, Example, Examples, Manifest, given_inputs, leave_out
from kdbench.handover.predicting.example import settings as settings_of
from kdbench.handover.predicting.folders import find_files
from kdbench.tasks.sound_numbers import SUFFIXES, UNREADABLE, fitted, log_mel, read_sound

READS = "WAV files (FLAC with the package soundfile), or folders of them, also with a folder a class"
FORM = ("fft", "window", "hop", "bands", "low", "high", "scale", "norm", "floor")
"""What the settings say of features."""


def read(path: str, manifest: Manifest) -> Examples:
    """Every readable recording; the others are named on stderr. Raises BadInput where there are none."""
    form = settings_of(manifest, "sound")
    names = [one["name"] for one in given_inputs(manifest)]
    for file, targets in find_files(Path(path), manifest, SUFFIXES):
        try:
            samples = prepared(read_recording(file, form["sample_rate"]), form, file)
        except BadInput as error:
            leave_out(error)
            continue
        made = {"samples": lambda samples=samples: samples, "log_mel": lambda samples=samples: centred(samples, form)}
        yield Example(str(file), tuple(made[name]()[np.newaxis] for name in names), targets)


def prepared(samples: Any, form: dict[str, Any], file: Path) -> Any:
    """The middle of a recording, or all of it and silence behind; itself where each has its own length."""
    count = form.get("samples")
    if count is not None:
        return fitted(samples, count)
    if len(samples) <= form["fft"] // 2:
        raise BadInput(f"{file} has {len(samples)} samples, and more than {form['fft'] // 2} are needed.")
    return samples


def centred(samples: Any, form: dict[str, Any]) -> Any:
    """Features less the training split's mean, as they were stored."""
    said: dict[str, Any] = {name: form.get(name) for name in FORM}
    return log_mel(samples, form["sample_rate"], **said) - np.float32(form["mean"])


def read_recording(path: Path, sample_rate: int) -> Any:
    """Samples (n,) from -1 to 1, channels averaged. Raises BadInput."""
    samples, found = _read(path)
    if found != sample_rate:
        raise BadInput(
            f"{path} has {found:,} samples a second, and the model takes {sample_rate:,}; convert it first "
            f"(ffmpeg -i IN -ar {sample_rate} OUT)."
        )
    if not len(samples):
        raise BadInput(f"{path} holds no sound.")
    return samples


def _read(path: Path) -> tuple[Any, int]:
    try:
        return read_sound(path)
    except ImportError:
        raise BadInput(
            f"{path} is FLAC, which needs the package soundfile; type: pip install soundfile, or convert it to WAV."
        ) from None
    except UNREADABLE as error:
        form = "" if path.suffix.lower() == ".flac" else " as WAV"
        raise BadInput(f"{path} cannot be read{form} ({str(error) or 'it ends too early'}).") from None

"""Recordings as files: read as one channel of numbers from -1 to 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import DataError
from kdbench.tasks.sound_numbers import UNREADABLE, read_sound


def read_recording(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """Samples (n,) of a WAV or FLAC file, channels averaged.

    Raises DataError for a file that cannot be read, has no sample, or another sample rate.
    """
    samples, found = _read(path)
    if found != sample_rate:
        raise DataError(
            f"'{path}' has a sample rate of {found:,} Hz, and the task says {sample_rate:,}; "
            f"say `sample_rate: {found}`, or convert the recordings first (ffmpeg -i IN -ar {sample_rate} OUT)."
        )
    if not len(samples):
        raise DataError(f"'{path}' holds no sound; remove it.")
    return samples


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    try:
        return read_sound(path)
    except ImportError:
        raise DataError(
            f"'{path}' is FLAC, which needs the package soundfile: pip install 'kdbench[audio]', or convert it to WAV."
        ) from None
    except UNREADABLE as error:
        form = "" if path.suffix.lower() == ".flac" else " as WAV"
        reason = str(error) or "it ends too early"
        raise DataError(f"cannot read '{path}'{form} ({reason}); replace or remove it.") from None

"""Recordings as files: read as one channel of numbers from -1 to 1."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import DataError

SUFFIXES = (".wav", ".flac")


def read_recording(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """Samples (n,) of a WAV or FLAC file, channels averaged.

    Raises DataError for a file that cannot be read, has no sample, or another sample rate.
    """
    samples, found = _read_flac(path) if path.suffix.lower() == ".flac" else _read_wave(path)
    if found != sample_rate:
        raise DataError(
            f"'{path}' has a sample rate of {found:,} Hz, and the task says {sample_rate:,}; "
            f"say `sample_rate: {found}`, or convert the recordings first (ffmpeg -i IN -ar {sample_rate} OUT)."
        )
    if not len(samples):
        raise DataError(f"'{path}' holds no sound; remove it.")
    return samples


def _read_wave(path: Path) -> tuple[NDArray[np.float32], int]:
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError, OSError) as error:
        reason = str(error) or "it ends too early"
        raise DataError(f"cannot read '{path}' as WAV ({reason}); replace or remove it.") from None
    whole = data[: len(data) - len(data) % (channels * width)]
    return _scaled(whole, width).reshape(-1, channels).mean(1, dtype=np.float32), rate


def _scaled(data: bytes, width: int) -> NDArray[np.float32]:
    """PCM of 8 (unsigned), 16, 24 or 32 bits as numbers from -1 to 1."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return np.asarray(wide.view("<i4")[:, 0] / 2**31, np.float32)
    return np.asarray(np.frombuffer(data, f"<i{width}") / 2 ** (8 * width - 1), np.float32)


def _read_flac(path: Path) -> tuple[NDArray[np.float32], int]:
    try:
        import soundfile
    except ImportError:
        raise DataError(
            f"'{path}' is FLAC, which needs the package soundfile: pip install 'kdbench[audio]', or convert it to WAV."
        ) from None
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"cannot read '{path}' ({error}); replace or remove it.") from None
    return samples.mean(1, dtype=np.float32), int(rate)

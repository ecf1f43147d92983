"""Sound files as samples, and samples as log-mel features: numpy alone. predict.py is handed over with this very file.

Davis and Mermelstein 1980 for the features.
"""

from __future__ import annotations

import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (".wav", ".flac")
UNREADABLE = (wave.Error, EOFError, OSError, RuntimeError)
"""What `read_sound` raises for files that are torn, odd or not there; ImportError where FLAC has no package."""
LINEAR = 200 / 3
"""Hz a mel below 1 kHz on Slaney's scale; above, 27 mels are a factor of 6.4 (Slaney 1998, Auditory Toolbox)."""
STEP = np.log(6.4) / 27


def read_sound(path: Path) -> tuple[Any, int]:
    """float32 (n,) from -1 to 1, channels averaged, and samples a second. Raises what UNREADABLE says, or ImportError.

    WAV holds PCM of 8 (unsigned), 16, 24 or 32 bits; FLAC needs the package soundfile.
    """
    if path.suffix.lower() == ".flac":
        import soundfile

        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return samples.mean(1, dtype=np.float32), int(rate)
    with wave.open(str(path), "rb") as file:
        channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
        data = file.readframes(file.getnframes())
    whole = data[: len(data) - len(data) % (channels * width)]
    return _scaled(whole, width).reshape(-1, channels).mean(1, dtype=np.float32), rate


def _scaled(data: bytes, width: int) -> Any:
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return np.asarray(wide.view("<i4")[:, 0] / 2**31, np.float32)
    return np.asarray(np.frombuffer(data, f"<i{width}") / 2 ** (8 * width - 1), np.float32)


def fitted(samples: Any, count: int) -> Any:
    """The middle `count` samples of a recording (n,), or all of it and silence behind its end."""
    if len(samples) < count:
        return np.pad(samples, (0, count - len(samples)))
    start = (len(samples) - count) // 2
    return samples[start : start + count]


def log_mel(
    samples: Any,
    sample_rate: int,
    *,
    fft: int,
    window: int,
    hop: int,
    bands: int,
    low: float,
    high: float | None,
    scale: str,
    norm: str,
    floor: float,
) -> Any:
    """float32 (bands, frames) of a signal (n,), n > fft // 2: log(max(mel energies, floor)).

    Frame t is centred on sample t * hop, reflected at both ends; high None is half of the sample rate.
    """
    padded = np.pad(np.asarray(samples, np.float64), fft // 2, mode="reflect")
    starts = np.arange(frame_count(len(samples), hop)) * hop
    frames = padded[starts[:, None] + np.arange(fft)]
    power = np.abs(np.fft.rfft(frames * hann(window, fft))) ** 2
    highest = sample_rate / 2 if high is None else high
    energies = power @ filter_bank(fft, bands, low, highest, scale, norm, sample_rate)
    return np.log(np.maximum(energies, floor)).T.astype(np.float32)


def frame_count(sample_count: int, hop: int) -> int:
    """How many frames a signal gives."""
    return 1 + sample_count // hop


@cache
def hann(length: int, fft: int) -> Any:
    """A periodic Hann window, centred in `fft` points."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    before = (fft - length) // 2
    return np.pad(window, (before, fft - length - before))


@cache
def filter_bank(fft: int, bands: int, low: float, high: float, scale: str, norm: str, sample_rate: int) -> Any:
    """(fft // 2 + 1, bands): the weight of each frequency in each band."""
    lowest, highest = mel(np.array([low, high]), scale)
    corners = hertz(np.linspace(lowest, highest, bands + 2), scale)
    frequencies = np.linspace(0, sample_rate / 2, fft // 2 + 1)[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    weights = np.maximum(0, np.minimum(rising, falling))
    return weights * (2 / (right - left)) if norm == "slaney" else weights


def mel(frequency: Any, scale: str) -> Any:
    """Hz as mels: 2595 log10(1 + f / 700), or linear below 1 kHz and logarithmic above (Slaney)."""
    if scale == "htk":
        return 2595 * np.log10(1 + frequency / 700)
    return np.where(frequency < 1000, frequency / LINEAR, 15 + np.log(np.maximum(frequency, 1) / 1000) / STEP)


def hertz(mels: Any, scale: str) -> Any:
    """Mels as Hz."""
    if scale == "htk":
        return 700 * (10 ** (mels / 2595) - 1)
    return np.where(mels < 15, mels * LINEAR, 1000 * np.exp(STEP * (mels - 15)))

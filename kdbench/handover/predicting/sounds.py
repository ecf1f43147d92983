"""Reads WAV and FLAC files: samples of one rate, cut or filled to a length, and log-mel features where asked for.

Davis and Mermelstein 1980 for the features; which of the choices that libraries make differently were made stands in
the manifest's `data.settings.sound`.
"""

from __future__ import annotations

import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.handover.predicting.example import BadInput, Example, Examples, Manifest, given_inputs, leave_out
from kdbench.handover.predicting.example import settings as settings_of
from kdbench.handover.predicting.folders import find_files

READS = "WAV files (FLAC with the package soundfile), or folders of them, also with a folder a class"
SUFFIXES = (".wav", ".flac")
LINEAR = 200 / 3
"""Hz a mel below 1 kHz on Slaney's scale; above, 27 mels are a factor of 6.4 (Slaney 1998, Auditory Toolbox)."""
STEP = np.log(6.4) / 27


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
    if count is None:
        if len(samples) <= form["fft"] // 2:
            raise BadInput(f"{file} has {len(samples)} samples, and more than {form['fft'] // 2} are needed.")
        return samples
    if len(samples) < count:
        return np.pad(samples, (0, count - len(samples)))
    start = (len(samples) - count) // 2
    return samples[start : start + count]


def centred(samples: Any, form: dict[str, Any]) -> Any:
    """Features less the training split's mean, as they were stored."""
    return log_mel(samples, form) - np.float32(form["mean"])


def log_mel(samples: Any, form: dict[str, Any]) -> Any:
    """float32 (bands, frames): log(max(energy, floor)) of the mel bands of frames centred on every `hop`-th sample."""
    padded = np.pad(np.asarray(samples, np.float64), form["fft"] // 2, mode="reflect")
    starts = np.arange(1 + len(samples) // form["hop"]) * form["hop"]
    frames = padded[starts[:, None] + np.arange(form["fft"])]
    power = np.abs(np.fft.rfft(frames * window(form["window"], form["fft"]))) ** 2
    high = form["sample_rate"] / 2 if form.get("high") is None else form["high"]
    bank = filter_bank(form["fft"], form["bands"], form["low"], high, form["scale"], form["norm"], form["sample_rate"])
    return np.log(np.maximum(power @ bank, form["floor"])).T.astype(np.float32)


@cache
def window(length: int, fft: int) -> Any:
    """A periodic Hann window, centred in `fft` points."""
    found = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    before = (fft - length) // 2
    return np.pad(found, (before, fft - length - before))


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
    """Hz as mels: 2595 log10(1 + f / 700), or linear below 1 kHz and logarithmic above."""
    if scale == "htk":
        return 2595 * np.log10(1 + frequency / 700)
    return np.where(frequency < 1000, frequency / LINEAR, 15 + np.log(np.maximum(frequency, 1) / 1000) / STEP)


def hertz(mels: Any, scale: str) -> Any:
    """Mels as Hz."""
    if scale == "htk":
        return 700 * (10 ** (mels / 2595) - 1)
    return np.where(mels < 15, mels * LINEAR, 1000 * np.exp(STEP * (mels - 15)))


def read_recording(path: Path, sample_rate: int) -> Any:
    """Samples (n,) from -1 to 1, channels averaged. Raises BadInput."""
    samples, found = _read_flac(path) if path.suffix.lower() == ".flac" else _read_wave(path)
    if found != sample_rate:
        raise BadInput(
            f"{path} has {found:,} samples a second, and the model takes {sample_rate:,}; convert it first "
            f"(ffmpeg -i IN -ar {sample_rate} OUT)."
        )
    if not len(samples):
        raise BadInput(f"{path} holds no sound.")
    return samples


def _read_wave(path: Path) -> tuple[Any, int]:
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError, OSError) as error:
        raise BadInput(f"{path} cannot be read as WAV ({str(error) or 'it ends too early'}).") from None
    whole = data[: len(data) - len(data) % (channels * width)]
    return _scaled(whole, width).reshape(-1, channels).mean(1, dtype=np.float32), rate


def _scaled(data: bytes, width: int) -> Any:
    """PCM of 8 (unsigned), 16, 24 or 32 bits as numbers from -1 to 1."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return np.asarray(wide.view("<i4")[:, 0] / 2**31, np.float32)
    return np.asarray(np.frombuffer(data, f"<i{width}") / 2 ** (8 * width - 1), np.float32)


def _read_flac(path: Path) -> tuple[Any, int]:
    try:
        import soundfile
    except ImportError:
        raise BadInput(
            f"{path} is FLAC, which needs the package soundfile; type: pip install soundfile, or convert it to WAV."
        ) from None
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise BadInput(f"{path} cannot be read ({error}).") from None
    return samples.mean(1, dtype=np.float32), int(rate)

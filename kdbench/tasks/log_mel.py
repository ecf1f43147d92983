"""Log-mel features of sound, in numpy; every number that libraries choose differently is said."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Samples = NDArray[np.floating[Any]]


class LogMel(BaseModel):
    """How sound becomes log(max(mel energies, floor)), float32 (bands, frames).

    The signal (-1 to 1) is padded by fft // 2 on both sides by reflection; frame t is centred on sample t * hop,
    multiplied by a periodic Hann window of `window` samples centred in `fft`, and its power spectrum |X|^2 is summed in
    triangles that are evenly spaced on the mel scale. The logarithm is the natural one. With `scale: htk, norm: none`
    these are torchaudio's defaults, with `scale: slaney, norm: slaney` librosa's (but for librosa's constant padding).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fft: int = Field(512, ge=16)
    """Points of the Fourier transform."""
    window: int = Field(400, ge=2)
    """Samples of the window; 400 are 25 ms at 16 kHz."""
    hop: int = Field(160, ge=1)
    """Samples from one frame to the next; 160 are 10 ms at 16 kHz."""
    bands: int = Field(40, ge=1)
    low: float = Field(0.0, ge=0)
    """Lowest frequency, in Hz."""
    high: float | None = Field(None, gt=0)
    """Highest frequency, in Hz; by default half of the sample rate."""
    scale: Literal["htk", "slaney"] = "htk"
    """The mel scale: 2595 log10(1 + f / 700), or linear below 1 kHz and logarithmic above (Slaney 1998)."""
    norm: Literal["none", "slaney"] = "none"
    """Whether each triangle is divided by half of its width in Hz."""
    floor: float = Field(1e-6, gt=0)
    """Smallest energy before the logarithm."""

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if self.window > self.fft:
            raise ValueError(f"window has {self.window} samples, more than fft ({self.fft}); raise fft")
        return self

    def frame_count(self, sample_count: int) -> int:
        """How many frames a signal gives."""
        return 1 + sample_count // self.hop

    def features(self, samples: Samples, sample_rate: int) -> NDArray[np.float32]:
        """(bands, frames) of a signal (n,), n > fft // 2."""
        padded = np.pad(np.asarray(samples, np.float64), self.fft // 2, mode="reflect")
        starts = np.arange(self.frame_count(len(samples))) * self.hop
        frames = padded[starts[:, None] + np.arange(self.fft)]
        power = np.abs(np.fft.rfft(frames * _window(self.window, self.fft))) ** 2
        energies = power @ filter_bank(self, sample_rate)
        return np.log(np.maximum(energies, self.floor)).T.astype(np.float32)


@cache
def _window(length: int, fft: int) -> NDArray[np.float64]:
    """A periodic Hann window, centred in `fft` points."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    before = (fft - length) // 2
    return np.pad(window, (before, fft - length - before))


@cache
def filter_bank(form: LogMel, sample_rate: int) -> NDArray[np.float64]:
    """(fft // 2 + 1, bands): the weight of each frequency in each band."""
    high = form.high if form.high is not None else sample_rate / 2
    lowest, highest = _mel(np.array([form.low, high]), form.scale)
    corners = _hertz(np.linspace(lowest, highest, form.bands + 2), form.scale)
    frequencies = np.linspace(0, sample_rate / 2, form.fft // 2 + 1)[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (frequencies - left) / (centre - left), (right - frequencies) / (right - centre)
    weights: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    return weights * (2 / (right - left)) if form.norm == "slaney" else weights


LINEAR = 200 / 3
"""Hz a mel below 1 kHz on Slaney's scale; above, 27 mels are a factor of 6.4 (Slaney 1998, Auditory Toolbox)."""
STEP = np.log(6.4) / 27


def _mel(hertz: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "htk":
        return 2595 * np.log10(1 + hertz / 700)
    return np.where(hertz < 1000, hertz / LINEAR, 15 + np.log(np.maximum(hertz, 1) / 1000) / STEP)


def _hertz(mel: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, mel * LINEAR, 1000 * np.exp(STEP * (mel - 15)))

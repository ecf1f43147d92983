"""What log-mel features of sound are, as fields: every number that libraries choose differently is said."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from kdbench.tasks import sound_numbers

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
        return sound_numbers.frame_count(sample_count, self.hop)

    def features(self, samples: Samples, sample_rate: int) -> NDArray[np.float32]:
        """(bands, frames) of a signal (n,), n > fft // 2."""
        found: NDArray[np.float32] = sound_numbers.log_mel(samples, sample_rate, **self.model_dump())
        return found

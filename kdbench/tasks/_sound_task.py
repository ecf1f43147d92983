"""What every task of recordings shares: how sound becomes a network's inputs, and what those are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from kdbench.protocols import Input, Output, Preprocessing, SymbolicAxis, Task, TaskDescription
from kdbench.ragged import Array, typical_lengths
from kdbench.tasks.arrays import Examples, write_split
from kdbench.tasks.log_mel import LogMel

if TYPE_CHECKING:
    from torch import Tensor

Signals = Sequence[NDArray[np.float32]]
SoundInput = Literal["log_mel", "samples"]
FRAMES, SAMPLES = "frames", "samples"
"""The axes that vary where each recording has its own length."""


@dataclass(frozen=True)
class Split:
    """The recordings of one split, and their targets, one array or list an output."""

    signals: Signals
    """(n,) each, from -1 to 1."""
    targets: tuple[Array | Sequence[Array], ...]


def _distinct(names: tuple[SoundInput, ...]) -> tuple[SoundInput, ...]:
    if len(set(names)) < len(names):
        raise ValueError("an input is given twice; name each once")
    return names


class SoundTask(Task):
    """Recordings (WAV; FLAC with the package soundfile) as log-mel pictures, as samples, or both."""

    root: str
    """The folder with the recordings."""
    manifest: str | None = None
    """A CSV or TSV file, below root unless the path is absolute: a row a recording, with the columns `file` (below
    root), `split` (train, validation, test) where `hold_out` does not say it, and what the outputs are named."""
    pattern: str | None = None
    """In place of a manifest: what the names of files mean, without their ending. `{label}_{speaker}_{index}` makes
    columns of `7_theo_12.wav`. Then `hold_out` says which recordings are for the test."""
    hold_out: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Column -> values whose recordings are the test split. `{speaker: [theo]}`: people whom the model has never
    heard."""
    sample_rate: int = Field(16000, gt=0)
    """Samples a second; recordings of another rate are refused."""
    features: LogMel = LogMel()
    """How sound becomes features."""
    inputs: Annotated[tuple[SoundInput, ...], AfterValidator(_distinct)] = Field(("log_mel",), min_length=1)
    """What a network is given: `log_mel`, pictures (1, bands, frames); `samples`, (1, samples). Of both, a student or
    teacher may take one alone (its field `inputs`)."""
    augment: Literal["none", "masks"] = "none"
    """`masks`: one band of up to `masked_bands` mel bands and one stretch of up to `masked_frames` frames of each
    training example are set to the mean (SpecAugment, Park et al. 2019, section 2, without time warping)."""
    masked_bands: int = Field(8, ge=0)
    masked_frames: int = Field(20, ge=0)
    validation_fraction: float = Field(0.1, ge=0, lt=1)
    """Share of each class's training recordings that is set apart for validation where none are named; 0 for none."""
    split_seed: int = Field(0, ge=0)
    """Decides which recordings go into validation."""
    origin: str = ""
    """Where the recordings come from and on what terms; it goes with every model that `kdbench get` hands over."""

    @model_validator(mode="after")
    def _place_is_told_once(self) -> Self:
        if self.manifest is not None and self.pattern is not None:
            raise ValueError("a manifest and a pattern both say what the recordings are; give one of them")
        if self.hold_out and self.manifest is None and self.pattern is None:
            raise ValueError("hold_out names columns of a manifest; give one, or lay the test recordings in root/test")
        if self.pattern is not None and not self.hold_out:
            raise ValueError("with a pattern, hold_out says which recordings are for the test: `{speaker: [NAME]}`")
        return self

    def data_origin(self) -> str:
        """The field `origin`."""
        return self.origin

    def views(self) -> int:
        """With masks 64 pairs of them, and the example as it is."""
        return 65 if self.augment == "masks" else 1

    def augmented(self, inputs: tuple[Tensor, ...], views: Tensor) -> tuple[Tensor, ...]:
        """The pictures with the masks of their view; what is masked becomes the training split's mean."""
        return self.augmented_ragged(inputs, views, {})

    def augmented_ragged(
        self, inputs: tuple[Tensor, ...], views: Tensor, lengths: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """The same, the masks within each picture's own frames."""
        if self.augment == "none":
            return inputs
        from kdbench.tasks._masks import masked

        own = lengths.get(FRAMES)
        return tuple(
            masked(given, views, self.masked_bands, self.masked_frames, own) if given.dim() == 4 else given
            for given in inputs
        )

    def described(
        self,
        out: Path,
        splits: Mapping[str, Split],
        outputs: tuple[Output, ...],
        sample_count: int | None,
        more: Mapping[str, Any],
        like: Signals | None = None,
    ) -> TaskDescription:
        """Write the splits as inputs and targets, and say what they are.

        sample_count: the length that all signals have, None where each has its own; more: further fields of the
        description; like: signals whose mean and spread the inputs are brought to, by default the training split's.
        """
        made = {name: self._made(name, splits, sample_count, like) for name in self.inputs}
        for split, given in splits.items():
            write_split(out, split, tuple(each.examples[split] for each in made.values()), given.targets)
        mean = made["log_mel"].mean if "log_mel" in made else 0.0
        return TaskDescription(
            inputs=tuple(one for each in made.values() for one in each.inputs),
            outputs=outputs,
            axes=tuple(each.axis for each in made.values() if each.axis is not None),
            example_counts={split: len(given.signals) for split, given in splits.items()},
            settings={
                "sound": {
                    "sample_rate": self.sample_rate,
                    "samples": sample_count,
                    "mean": mean,
                    **self.features.model_dump(mode="json"),
                }
            },
            **more,
        )

    def _made(
        self, name: SoundInput, splits: Mapping[str, Split], sample_count: int | None, like: Signals | None
    ) -> _Made:
        """One input of every split."""
        of = self._pictures if name == "log_mel" else _waves
        found = {split: of(given.signals) for split, given in splits.items()}
        train = found["train"] if like is None else of(like)
        mean = float(np.concatenate([each.ravel() for each in train]).mean()) if name == "log_mel" else 0.0
        spread = float(np.concatenate([each.ravel() for each in train]).std()) or 1.0
        place = (1, self.features.bands) if name == "log_mel" else (1,)
        centred = {split: [each - np.float32(mean) for each in rows] for split, rows in found.items()}
        preprocessing = Preprocessing(std=(spread,))  # centred, so that a mask of 0 is the mean
        if sample_count is not None:
            length = train[0].shape[-1]
            sound = Input(name=name, axes=(*place, length), preprocessing=preprocessing)
            return _Made((sound,), {split: np.stack(rows) for split, rows in centred.items()}, mean)
        axis = FRAMES if name == "log_mel" else SAMPLES
        silence = float(np.log(self.features.floor)) - mean if name == "log_mel" else 0.0
        sound = Input(name=name, axes=(*place, axis), padding=silence, preprocessing=preprocessing)
        count = Input(name=f"{axis}_count", axes=(), role="lengths", dtype="int64", covers=axis)
        lengths = typical_lengths(np.array([each.shape[-1] for each in found["train"]]))
        rows = {split: [np.moveaxis(each, -1, 0) for each in given] for split, given in centred.items()}
        amount = (self.features.hop if axis == FRAMES else 1) / self.sample_rate
        varying = SymbolicAxis(name=axis, lengths=lengths, unit="seconds of sound", amount=amount)
        return _Made((sound, count), rows, mean, varying)

    def _pictures(self, signals: Signals) -> list[NDArray[np.float32]]:
        """(1, bands, frames) each."""
        return [self.features.features(signal, self.sample_rate)[np.newaxis] for signal in signals]


@dataclass(frozen=True)
class _Made:
    """One input as it is described and stored, by split."""

    inputs: tuple[Input, ...]
    examples: Mapping[str, Examples]
    mean: float
    axis: SymbolicAxis | None = None


def _waves(signals: Signals) -> list[NDArray[np.float32]]:
    """(1, samples) each."""
    return [signal[np.newaxis] for signal in signals]

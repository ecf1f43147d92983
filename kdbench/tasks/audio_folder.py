"""Your own recordings, one class each: keywords, sounds, speakers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from kdbench.protocols import Input, Output, Preprocessing, Task, TaskDescription
from kdbench.tasks.log_mel import LogMel
from kdbench.tasks.recording_lists import Recording, Recordings, list_recordings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

NAMED_FILES = 5
"""Files that a note names before it only counts."""


class AudioFolder(Task):
    """Recordings (WAV; FLAC with the package soundfile) as log-mel pictures (1, bands, frames), one class each.

    They lie under root/train/CLASS/ and root/test/CLASS/ (and root/validation/CLASS/), or a `manifest` lists them: a
    CSV or TSV file with the columns `file` (below root), `label`, perhaps `split` (train, validation, test), and others
    that `hold_out` may name. Each recording is cut in its middle, or filled with silence behind its end, to `seconds`.
    """

    paper: ClassVar[str] = "Warden 2018, Speech Commands; Davis and Mermelstein 1980 for mel filters"

    root: str
    """The folder with the recordings."""
    manifest: str | None = None
    """A CSV or TSV file, below root unless the path is absolute, instead of class folders."""
    hold_out: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Column of the manifest -> values whose recordings are the test split, `{speaker: [theo]}`: people whom the model
    has never heard."""
    sample_rate: int = Field(16000, gt=0)
    """Samples a second; recordings of another rate are refused."""
    seconds: float = Field(1.0, gt=0)
    """Length of an example."""
    features: LogMel = LogMel()
    """How sound becomes features."""
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
    def _long_enough(self) -> AudioFolder:
        if self.hold_out and self.manifest is None:
            raise ValueError("hold_out names columns of a manifest; give one, or lay the test recordings in root/test")
        if round(self.seconds * self.sample_rate) <= self.features.fft // 2:
            raise ValueError(f"seconds is shorter than half of the fft ({self.features.fft} samples); raise it")
        return self

    def data_origin(self) -> str:
        """The field `origin`."""
        return self.origin

    def identity(self) -> dict[str, Any]:
        """Every field that decides numbers; `root` is replaced by a digest of its files' names, sizes and times.

        Raises DataError without them.
        """
        return {**self.model_dump(mode="json", exclude={"root", "origin"}), "listing": self._listing().digest()}

    def views(self) -> int:
        """With masks 64 pairs of them, and the example as it is."""
        return 65 if self.augment == "masks" else 1

    def augmented(self, inputs: tuple[Tensor, ...], views: Tensor) -> tuple[Tensor, ...]:
        """The features with the masks of their view; what is masked becomes the training split's mean."""
        if self.augment == "none":
            return inputs
        from kdbench.tasks._masks import masked

        return tuple(masked(pictures, views, self.masked_bands, self.masked_frames) for pictures in inputs)

    def decode(self, out: Path) -> TaskDescription:
        """Raises DataError when recordings are not there, cannot be read, or leave a split without examples."""
        import numpy as np

        from kdbench.tasks._labelled import split_off
        from kdbench.tasks.arrays import write_split

        listing = self._listing()
        splits = {split: self._read(listing.root, files) for split, files in listing.splits.items()}
        targets = {split: np.array([file.label for file in files]) for split, files in listing.splits.items()}
        if "validation" not in splits and self.validation_fraction:
            kept, taken = split_off(targets["train"], self.validation_fraction, self.split_seed, "recordings")
            splits = {"train": splits["train"][kept], "validation": splits["train"][taken], "test": splits["test"]}
            labels = targets["train"]
            targets = {"train": labels[kept], "validation": labels[taken], "test": targets["test"]}
        mean, spread = float(splits["train"].mean()), float(splits["train"].std()) or 1.0
        for split, pictures in splits.items():  # centred, so that a mask of 0 is the mean
            write_split(out, split, (pictures - np.float32(mean),), targets[split])
        return TaskDescription(
            inputs=(
                Input(
                    name="log_mel",
                    axes=(1, self.features.bands, self.features.frame_count(self._sample_count)),
                    preprocessing=Preprocessing(std=(spread,)),
                ),
            ),
            outputs=(Output(axes=(len(listing.class_names),), class_names=listing.class_names),),
            example_counts={split: len(pictures) for split, pictures in splits.items()},
            settings={
                "sound": {
                    "sample_rate": self.sample_rate,
                    "samples": self._sample_count,
                    "mean": mean,
                    **self.features.model_dump(mode="json"),
                }
            },
        )

    @property
    def _sample_count(self) -> int:
        return round(self.seconds * self.sample_rate)

    def _listing(self) -> Recordings:
        return list_recordings(Path(self.root).expanduser(), self.manifest, self.hold_out)

    def _read(self, root: Path, files: list[Recording]) -> NDArray[np.float32]:
        """(N, 1, bands, frames)."""
        import numpy as np

        from kdbench.tasks.recordings import read_recording

        pictures = []
        for file in files:
            samples = fitted(read_recording(root / file.name, self.sample_rate), self._sample_count)
            pictures.append(self.features.features(samples, self.sample_rate)[np.newaxis])
        return np.stack(pictures)


def fitted(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The middle `count` samples of a recording, or all of it and silence behind its end."""
    import numpy as np

    if len(samples) < count:
        return np.pad(samples, (0, count - len(samples)))
    start = (len(samples) - count) // 2
    return samples[start : start + count]

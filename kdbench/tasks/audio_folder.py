"""Your own recordings: keywords, sounds, speakers, what was said; as features, as samples, or both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from kdbench.protocols import TaskDescription
from kdbench.tasks._sound_outputs import SoundOutput, described
from kdbench.tasks._sound_task import FRAMES, SAMPLES, SoundTask
from kdbench.tasks.recording_lists import Place, Recordings, list_recordings


class AudioFolder(SoundTask):
    """Recordings (WAV; FLAC with the package soundfile) as log-mel pictures, as samples, or both: what is in them.

    They lie under root/train/CLASS/ and root/test/CLASS/ (and root/validation/CLASS/); or a `manifest` lists them; or
    their names say what they are (`pattern`). Each recording is cut in its middle, or filled with silence behind its
    end, to `seconds`; with `seconds: own` it stays as it is. Then networks are given the number of frames as well, and
    what they answer must not depend on the silence that fills a batch. `outputs` tells what is learnt of a
    recording: the class `label`, several classes, or what was said.
    """

    version: ClassVar[int] = 3
    paper: ClassVar[str] = "Warden 2018, Speech Commands; Davis and Mermelstein 1980 for mel filters"

    seconds: Annotated[float, Field(gt=0)] | Literal["own"] = 1.0
    """Length of an example; `own`: each recording keeps its own."""
    outputs: dict[str, SoundOutput] = Field({"label": SoundOutput()}, min_length=1)
    """What is told about a recording, by column of the manifest or part of the pattern: `{digit: {}, speaker: {}}` for
    two classes, `{text: {kind: sequence}}` for what was said. The first one decides."""
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Column -> values of the recordings that are kept, of every split, `{speaker: [theo]}`. Class names, the mean of
    the features and the share of validation stay those of all recordings."""

    @model_validator(mode="after")
    def _fits_together(self) -> AudioFolder:
        if self.only and self.manifest is None and self.pattern is None:
            raise ValueError("only names columns of a manifest or parts of a pattern; give one")
        if self.seconds != "own" and round(self.seconds * self.sample_rate) <= self.features.fft // 2:
            raise ValueError(f"seconds is shorter than half of the fft ({self.features.fft} samples); raise it")
        return self

    def identity(self) -> dict[str, Any]:
        """Every field that decides numbers; `root` is replaced by a digest of its files' names, sizes and times.

        Raises DataError without them.
        """
        return {**self.model_dump(mode="json", exclude={"root", "origin"}), "listing": self.listing().digest()}

    def kinds(self) -> tuple[str, ...]:
        """Those of the outputs."""
        return tuple(one.kind for one in self.outputs.values())

    def decode(self, out: Path) -> TaskDescription:
        """Raises DataError when recordings are not there, cannot be read, or leave a split without examples."""
        from kdbench.tasks._recorded import decoded

        return decoded(self, out)

    def listing(self) -> Recordings:
        """Every recording, `only` or not. Raises DataError without them, or where there is nothing to tell apart."""
        place = Place(Path(self.root).expanduser(), self.manifest, self.pattern, self.hold_out)
        found = list_recordings(place, [*self.outputs, *self.only])
        for name, one in self.outputs.items():
            described(name, one, found.texts(name), self.axis)
        found.only(self.only)
        return found

    @property
    def axis(self) -> str | None:
        """What varies with the recordings' length; None where all have one."""
        if self.seconds != "own":
            return None
        return FRAMES if "log_mel" in self.inputs else SAMPLES

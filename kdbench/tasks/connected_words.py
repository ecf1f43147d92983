"""Utterances of several words, joined from recordings of single ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, PositiveInt, model_validator

from kdbench.protocols import TaskDescription
from kdbench.tasks._sound_task import SoundTask
from kdbench.tasks.recording_lists import Place, Recordings, list_recordings

Seconds = Annotated[float, Field(ge=0)]


class ConnectedWords(SoundTask):
    """Several recordings of single words, one after the other with silence between, and the words as a sequence (CTC).

    Recordings are found as in `audio_folder`; a split's utterances are joined from that split's recordings alone. How
    many words, which recordings and how long the silence is are drawn uniformly. Utterances keep their own length.
    """

    version: ClassVar[int] = 2
    paper: ClassVar[str] = "Leonard 1984, TIDIGITS, for connected digits; Graves et al. 2006 for CTC"

    word: str = "label"
    """The column of the manifest, or part of the pattern, that says which word a recording is."""
    same: str | None = None
    """A column that the recordings of one utterance agree in: `speaker`."""
    words: tuple[PositiveInt, PositiveInt] = (2, 5)
    """The least and the most words of an utterance."""
    silence: tuple[Seconds, Seconds] = (0.0, 0.11)
    """Seconds of silence between two words, the least and the most."""
    train_count: int = Field(1000, gt=0)
    """Utterances to learn from."""
    validation_count: int = Field(100, ge=0)
    """Utterances that stopping and choosing go by, of recordings that are set apart (`validation_fraction`)."""
    test_count: int = Field(200, gt=0)
    """Utterances that the result is judged by."""
    subsampling: int = Field(4, ge=1)
    """A network gives ceil(n / subsampling) steps for n frames of features. Networks for it keep to that rate, so that
    teacher and student can be compared step by step."""
    metrics: tuple[str, ...] = ()
    """What good means, by names of metrics; by default the word error rate."""

    @model_validator(mode="after")
    def _ranges(self) -> ConnectedWords:
        for name in ("words", "silence"):
            least, most = getattr(self, name)
            if least > most:
                raise ValueError(f"{name} goes from the least to the most, got {least} to {most}; turn them round")
        if self.inputs != ("log_mel",):
            raise ValueError("what was said is learnt from log_mel alone; leave out `inputs`")
        if self.validation_count and not self.validation_fraction and self.manifest is None:
            raise ValueError(
                "validation needs recordings of its own; raise validation_fraction, or validation_count: 0"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Every field that decides numbers; `root` is replaced by a digest of its files' names, sizes and times.

        Raises DataError without them.
        """
        return {**self.model_dump(mode="json", exclude={"root", "origin"}), "listing": self.listing().digest()}

    def kinds(self) -> tuple[str, ...]:
        """A sequence."""
        return ("sequence",)

    def decode(self, out: Path) -> TaskDescription:
        """Raises DataError when recordings are not there or cannot be read."""
        from kdbench.tasks._connected import decoded

        return decoded(self, out)

    def listing(self) -> Recordings:
        """Every recording. Raises DataError without them."""
        place = Place(Path(self.root).expanduser(), self.manifest, self.pattern, self.hold_out)
        return list_recordings(place, [self.word, *([self.same] if self.same is not None else [])])

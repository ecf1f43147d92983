"""Recordings from disk to arrays: read, split, fitted to a length, described."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import DataError
from kdbench.protocols import Output, TaskDescription
from kdbench.tasks import _sound_outputs
from kdbench.tasks._labelled import split_off
from kdbench.tasks._sound_task import Split
from kdbench.tasks.recording_lists import Recordings
from kdbench.tasks.recordings import read_recording
from kdbench.tasks.sound_numbers import fitted

if TYPE_CHECKING:
    from kdbench.tasks.audio_folder import AudioFolder


def decoded(task: AudioFolder, out: Path) -> TaskDescription:
    """Write a folder's recordings as a task's arrays. Raises DataError."""
    everybody = with_validation(task.listing(), first_classes(task), task.validation_fraction, task.split_seed)
    listing = everybody.only(task.only)
    outputs = tuple(
        _sound_outputs.described(name, one, everybody.texts(name), task.axis) for name, one in task.outputs.items()
    )
    splits = {split: _split(task, listing, split, outputs) for split in listing.splits}
    like = _signals(task, everybody, "train") if task.only else None
    count = None if task.seconds == "own" else round(task.seconds * task.sample_rate)
    return task.described(out, splits, outputs, count, {"notes": _notes(task, outputs, splits)}, like)


def with_validation(listing: Recordings, column: str | None, fraction: float, seed: int) -> Recordings:
    """The recordings, validation split off from training where there is none: a share of each class of a column.

    Raises DataError where the share is too small or too large.
    """
    if "validation" in listing.splits or not fraction:
        return listing
    train = listing.splits["train"]
    classes = np.array(listing.texts(column)) if column is not None else np.zeros(len(train))
    kept, taken = split_off(classes, fraction, seed, "recordings")
    parts = {"train": [train[place] for place in kept], "validation": [train[place] for place in taken]}
    return Recordings(listing.root, listing.columns, {**parts, "test": listing.splits["test"]})


def first_classes(task: AudioFolder) -> str | None:
    """The column of the first output of classes; None without one."""
    return next((name for name, one in task.outputs.items() if one.kind == "classes"), None)


def _split(task: AudioFolder, listing: Recordings, split: str, outputs: tuple[Output, ...]) -> Split:
    targets = (
        _sound_outputs.numbers(output, task.outputs[output.name], listing.texts(output.name, split))
        for output in outputs
    )
    return Split(_signals(task, listing, split), tuple(targets))


def _signals(task: AudioFolder, listing: Recordings, split: str) -> list[NDArray[np.float32]]:
    found = []
    for file in listing.splits[split]:
        samples = read_recording(listing.root / file.name, task.sample_rate)
        if task.seconds != "own":
            samples = fitted(samples, round(task.seconds * task.sample_rate))
        elif len(samples) <= task.features.fft // 2:
            raise DataError(
                f"'{listing.root / file.name}' has {len(samples)} samples, not more than half of the fft "
                f"({task.features.fft}); remove it, or say `seconds`, to which recordings are filled with silence."
            )
        found.append(samples)
    return found


def _notes(task: AudioFolder, outputs: tuple[Output, ...], splits: dict[str, Split]) -> tuple[str, ...]:
    """A sentence where CTC cannot learn some of the training recordings."""
    notes = []
    for number, output in enumerate(outputs):
        if output.kind == "sequence":
            signals: Any = splits["train"].signals
            frames = np.array([task.features.frame_count(len(signal)) for signal in signals])
            short = _sound_outputs.too_short(output, splits["train"].targets[number], frames)
            if short:
                notes.append(short_note(output, short))
    return tuple(notes)


def short_note(output: Output, count: int) -> str:
    """The sentence about training examples that CTC cannot learn."""
    return (
        f"{count:,} training recordings have fewer frames than the symbols of '{output.name}' need at a subsampling of "
        f"{output.subsampling}; they teach nothing."
    )

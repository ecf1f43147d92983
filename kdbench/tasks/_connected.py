"""Recordings of single words to utterances of several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import DataError
from kdbench.protocols import TaskDescription
from kdbench.ragged import Index
from kdbench.streams import stream
from kdbench.tasks import _sound_outputs
from kdbench.tasks._recorded import short_note, with_validation
from kdbench.tasks._sound_task import FRAMES, Split
from kdbench.tasks.recordings import read_recording

if TYPE_CHECKING:
    from kdbench.tasks.connected_words import ConnectedWords

Signal = NDArray[np.float32]


def decoded(task: ConnectedWords, out: Path) -> TaskDescription:
    """Write the utterances of every split as a task's arrays. Raises DataError."""
    fraction = task.validation_fraction if task.validation_count else 0.0
    listing = with_validation(task.listing(), task.word, fraction, task.split_seed)
    one = _sound_outputs.SoundOutput(kind="sequence", subsampling=task.subsampling, metrics=task.metrics)
    output = _sound_outputs.described("words", one, listing.texts(task.word), FRAMES)
    counts = {"train": task.train_count, "validation": task.validation_count, "test": task.test_count}
    splits = {}
    for split, files in listing.splits.items():
        if counts[split]:
            signals = [read_recording(listing.root / file.name, task.sample_rate) for file in files]
            groups = listing.texts(task.same, split) if task.same is not None else [""] * len(files)
            rows, joined = zip(*utterances(task, split, signals, groups, counts[split]), strict=True)
            said = listing.texts(task.word, split)
            targets = _sound_outputs.numbers(output, one, (" ".join(said[place] for place in row) for row in rows))
            splits[split] = Split(joined, (targets,))
    lengths = np.array([task.features.frame_count(len(signal)) for signal in splits["train"].signals])
    short = _sound_outputs.too_short(output, splits["train"].targets[0], lengths)
    return task.described(out, splits, (output,), None, {"notes": (short_note(output, short),) if short else ()})


def utterances(
    task: ConnectedWords, split: str, signals: list[Signal], groups: list[str], count: int
) -> list[tuple[Index, Signal]]:
    """`count` utterances: the places of the recordings that each was joined from, and its samples (n,).

    groups: for each recording what those of one utterance agree in. Raises DataError where one would be too short for
    features.
    """
    random = stream(f"connected words, {split}", task.split_seed)
    names, group_of = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(group_of == number) for number in range(len(names))]
    found = []
    for _ in range(count):
        group = members[int(random.integers(len(members)))]
        row = random.choice(group, int(random.integers(task.words[0], task.words[1] + 1)))
        pauses = random.uniform(*task.silence, size=len(row) - 1)
        parts = [signals[row[0]]]
        for place, pause in zip(row[1:], pauses, strict=True):
            parts += [np.zeros(round(pause * task.sample_rate), np.float32), signals[place]]
        joined = np.concatenate(parts)
        if len(joined) <= task.features.fft // 2:
            raise DataError(
                f"an utterance of {split} has {len(joined)} samples, not more than half of the fft "
                f"({task.features.fft}); take longer recordings, or more `words`."
            )
        found.append((row, joined))
    return found

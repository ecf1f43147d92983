"""What a network of sound is given, read off a task before it is built. Knows no torch."""

from __future__ import annotations

from typing import NamedTuple

from kdbench.errors import ModelError
from kdbench.protocols import TaskDescription


class Sound(NamedTuple):
    """The one sound that a network takes."""

    name: str
    bands: int
    """Mel bands; 1 for samples."""
    is_picture: bool
    """Whether it is log-mel features (1, bands, frames), and not samples (1, n)."""
    subsampling: int | None
    """How many frames make one of an output's steps; None where no output is a sequence."""


def sound_of(model: str, task: TaskDescription) -> Sound:
    """The sound of a task that gives one, perhaps with how long each recording is. Raises ModelError."""
    stored = [one for one in task.inputs if one.stored]
    counts = [one for one in task.inputs if one.role == "lengths"]
    if len(stored) != 1:
        names = ", ".join(one.name for one in stored)
        raise ModelError(
            f"{model} takes one sound, and the task has {names}; say `inputs: [{stored[0].name}]` beside it."
        )
    one = stored[0]
    if one.dtype != "float32" or len(one.axes) not in (2, 3) or one.axes[0] != 1 or isinstance(one.axes[-2], str):
        raise ModelError(
            f"{model} takes log-mel features (1, bands, frames) or samples (1, n), as the task audio_folder gives "
            f"them; got '{one.name}' of shape {one.axes}."
        )
    if one.symbolic is not None and [count.covers for count in counts] != [one.symbolic]:
        raise ModelError(
            f"{model} must be told how long each '{one.name}' is: the task needs an input of role lengths that covers "
            f"'{one.symbolic}'."
        )
    rates = {output.subsampling for output in task.outputs if output.kind == "sequence"}
    if len(rates) > 1:
        raise ModelError(f"{model} gives steps at one rate, and the outputs ask for {sorted(rates)}.")
    picture = len(one.axes) == 3
    return Sound(one.name, int(one.axes[1]) if picture else 1, picture, next(iter(rates), None))


def picture_of(model: str, task: TaskDescription) -> Sound:
    """The same where it is log-mel features. Raises ModelError."""
    sound = sound_of(model, task)
    if not sound.is_picture:
        raise ModelError(f"{model} takes log-mel features, and '{sound.name}' is samples; use audio_tcn.")
    return sound


def halvings(model: str, sound: Sound, own: int) -> int:
    """How often a network halves time: as the task's sequence says, else `own` times. Raises ModelError."""
    if sound.subsampling is None:
        return own
    times = sound.subsampling.bit_length() - 1
    if 1 << times != sound.subsampling:
        raise ModelError(
            f"{model} halves time, so that it gives a step for 1, 2, 4 or 8 frames, and the task's `subsampling` is "
            f"{sound.subsampling}."
        )
    return times

"""Utterances joined from recordings: only of their split and person, with the silence that was asked for."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.errors import DataError
from kdbench.tasks._connected import utterances
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.connected_words import ConnectedWords
from kdbench.testing import check_task

RATE = 8000


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Constant signals of 400 samples, each recording at a level of its own."""
    root = tmp_path_factory.mktemp("levels")
    level = 0
    for word in ("one", "two", "three"):
        for speaker in ("ann", "ben"):
            for index in range(6):
                level += 1
                with wave.open(str(root / f"{word}_{speaker}_{index}.wav"), "wb") as file:
                    file.setnchannels(1)
                    file.setsampwidth(2)
                    file.setframerate(RATE)
                    file.writeframes(np.full(400, 100 * level, "<i2").tobytes())
    return root


def task(root: Path, **fields: Any) -> ConnectedWords:
    return ConnectedWords.from_fields(
        {
            "root": str(root),
            "pattern": "{label}_{speaker}_{index}",
            "hold_out": {"index": ["0"]},
            "same": "speaker",
            "sample_rate": RATE,
            "features": {"fft": 256, "window": 200, "hop": 80, "bands": 8},
            "train_count": 40,
            "validation_count": 6,
            "validation_fraction": 0.2,
            "test_count": 10,
            **fields,
        }
    )


def test_utterances_are_of_one_person_and_as_long_as_their_words_and_pauses() -> None:
    signals = [np.full(100 + place, place + 1.0, np.float32) for place in range(8)]
    asked = task(Path("nowhere"), words=[2, 4], silence=[0.01, 0.02], features={"fft": 64, "window": 64, "hop": 32})
    found = utterances(asked, "train", signals, ["a", "b"] * 4, 200)
    counts = {len(row) for row, _ in found}
    assert counts == {2, 3, 4}
    for row, joined in found:
        assert len(set(row % 2)) == 1, "of one person"
        heard = joined[joined > 0]
        assert heard.tolist() == np.concatenate([signals[place] for place in row]).tolist()
        silence = len(joined) - len(heard)
        assert 80 * (len(row) - 1) <= silence <= 160 * (len(row) - 1)
    again = utterances(asked, "train", signals, ["a", "b"] * 4, 200)
    assert all(np.array_equal(one, other) for (one, _), (other, _) in zip(found, again, strict=True))
    other = utterances(asked, "test", signals, ["a", "b"] * 4, 200)
    assert [row.tolist() for row, _ in found] != [row.tolist() for row, _ in other]


def test_words_become_a_sequence_at_the_rate_that_is_asked_for(root: Path, tmp_path: Path) -> None:
    description = task(root, subsampling=2).decode(tmp_path)
    (output,) = description.outputs
    assert (output.kind, output.frames, output.subsampling) == ("sequence", "frames", 2)
    assert output.class_names == ("<blank>", "one", "three", "two")
    assert output.metrics == ("word_error_rate",)
    assert description.example_counts == {"train": 40, "validation": 6, "test": 10}
    targets = ArrayData.open(tmp_path, description).split("train").targets[0]
    assert {len(targets[place]) for place in range(40)} <= {2, 3, 4, 5}
    assert description.notes == ()
    (note,) = task(root, subsampling=16).decode(tmp_path).notes
    assert "fewer frames than the symbols of 'words' need at a subsampling of 16" in note


def test_the_task_of_utterances_keeps_the_contract(root: Path) -> None:
    check_task(task(root))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"words": [3, 2]}, "words goes from the least to the most"),
        ({"inputs": ["samples"]}, "learnt from log_mel alone"),
        ({"validation_fraction": 0}, "raise validation_fraction"),
    ],
)
def test_fields_of_utterances_that_contradict_each_other_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        task(Path("nowhere"), **fields)


def test_an_utterance_too_short_for_features_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not more than half of the fft"):
        task(root, words=[1, 1], features={"fft": 1024, "window": 200, "hop": 80, "bands": 8}).decode(tmp_path)

"""Raw data as predict.py reads it: tables, texts and recordings become the very inputs that the decode stage stored."""

import csv
import json
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdbench.handover.predicting import sounds, tables, texts
from kdbench.handover.predicting.example import BadInput, Example
from kdbench.protocols import Task, TaskDescription
from kdbench.ragged import Ragged
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.audio_folder import AudioFolder
from kdbench.tasks.table import Table
from kdbench.tasks.text_file import TextFile

PEOPLE = [
    ("19", "nurse", "1.0", "2.5", "no"),
    ("", "clerk", "2", "-1", "yes"),
    ("44", "n/a", "3", "0.25", "no"),
    ("61", "cook", "1", "7", "yes"),
]
HEADER = ("age", "job", "rating", "size", "bought")


def manifest(task: TaskDescription) -> dict[str, Any]:
    """What `get` writes of a task, as far as readers look at it."""
    outputs = [{"output": one.name, "kind": one.kind, "class_names": list(one.class_names)} for one in task.outputs]
    inputs = [{"name": one.name, "role": one.role, "axes": one.axes} for one in task.inputs]
    return json.loads(json.dumps({"data": {"settings": task.settings}, "inputs": inputs, "outputs": outputs}))  # type: ignore[no-any-return]


def decoded(task: Task, place: Path, module: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[ArrayData, dict[str, Any]]:
    """A task's arrays, its manifest, and its companions where predict.py looks for them."""
    out = place / "task"
    out.mkdir()
    description = task.decode(out)
    monkeypatch.setattr(module, "FOLDER", place, raising=False)
    return ArrayData.open(out, description), manifest(description)


def same(found: Iterator[Example], data: ArrayData, split: str = "test") -> int:
    """Asserts that examples have a split's inputs and targets, in their order; returns how many there are."""
    count, given = 0, [one for one in data.description.inputs if one.stored]
    for number, example in enumerate(found):
        for one, mine, stored in zip(given, example.inputs, data.inputs(split), strict=True):
            theirs = stored[number]
            if isinstance(stored, Ragged):
                theirs = np.moveaxis(theirs, 0, one.axes.index(one.symbolic or ""))
            np.testing.assert_array_equal(mine, theirs)
        if example.targets is not None:
            np.testing.assert_array_equal(example.targets[0], data.targets(split)[number])
        count += 1
    assert count == data.count(split)
    return count


def write_table(path: Path, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows([header, *rows])
    return path


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ArrayData, dict[str, Any], Path]:
    train = write_table(tmp_path / "train.csv", HEADER, PEOPLE * 4)
    new = [("33", "pilot", "1", "1e1", "yes"), ("", "cook", "4", "3", "no"), ("2", "", "2.0", "0", "yes")]
    test = write_table(tmp_path / "test.csv", HEADER, new)
    task = Table(
        train=str(train), validation=str(train), test=str(test), target="bought", separator=";",
        missing=("", "n/a"), categories=("rating",),
    )  # fmt: skip
    return *decoded(task, tmp_path, tables, monkeypatch), test


def test_a_table_is_read_as_it_was_decoded_gaps_and_unknown_categories_too(
    people: tuple[ArrayData, dict[str, Any], Path],
) -> None:
    data, said, test = people
    assert same(tables.read(str(test), said), data) == 3
    numbers, categories = next(tables.read(str(test), said)).inputs
    assert (numbers.tolist(), categories.tolist()) == ([33, 10], [0, 1]), "pilot is in no row that was trained on"


def test_columns_go_by_name_and_a_target_is_not_needed(
    people: tuple[ArrayData, dict[str, Any], Path], tmp_path: Path
) -> None:
    data, said, _ = people
    other = write_table(
        tmp_path / "o.csv", ("note", "size", "rating", "job", "age"), [("x", "1e1", "1", "pilot", "33")]
    )
    (example,) = tables.read(str(other), said)
    assert example.targets is None
    for mine, stored in zip(example.inputs, data.inputs("test"), strict=True):
        np.testing.assert_array_equal(mine, stored[0])


@pytest.mark.parametrize(
    ("header", "row", "sentence"),
    [
        (("age", "job", "size"), ("1", "cook", "2"), "1: there is no column 'rating'; the model needs age, size, job"),
        (HEADER, ("old", "cook", "1", "2", "no"), "2: 'old' is no number, and age is a column of numbers."),
        (
            HEADER,
            ("1", "cook", "1", "2", "perhaps"),
            "2: bought: 'perhaps' is no class of this model",
        ),
        (HEADER, ("1", "cook"), "2: 2 fields, and the header has 5."),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_its_line(
    people: tuple[ArrayData, dict[str, Any], Path], tmp_path: Path, header: Any, row: Any, sentence: str
) -> None:
    path = write_table(tmp_path / "bad.csv", header, [row])
    with pytest.raises(BadInput) as refusal:
        list(tables.read(str(path), people[1]))
    assert str(refusal.value).startswith(f"{path}:{sentence}")


def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ArrayData, dict[str, Any], Path]:
    rows = [("yes", "is it raining", "it rains a lot today"), ("no", "is it late", "the sun is up")] * 8
    for name, some in (("train", rows), ("test", [*rows[:3], ("yes", "long " * 30, "short")])):
        text = "\n".join("\t".join(row) for row in [("answer", "question", "passage"), *some])
        (tmp_path / f"{name}.tsv").write_text(text, encoding="utf-8")
    task = TextFile(
        train=str(tmp_path / "train.tsv"), validation=str(tmp_path / "train.tsv"), test=str(tmp_path / "test.tsv"),
        text="question", pair="passage", label="answer", vocabulary=300, max_length=24,
    )  # fmt: skip
    return *decoded(task, tmp_path, texts, monkeypatch), tmp_path / "test.tsv"


def test_pairs_of_texts_become_the_ids_that_were_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, said, test = pairs(tmp_path, monkeypatch)
    assert same(texts.read(str(test), said), data) == 4
    (typed,) = texts.read_words(["is it raining", "it rains a lot today"], said)
    for mine, stored in zip(typed.inputs, data.inputs("test"), strict=True):
        np.testing.assert_array_equal(mine, stored[0])
    (tmp_path / "t.txt").write_text("is it raining\tit rains a lot today\n")
    (line,) = texts.read(str(tmp_path / "t.txt"), said)
    np.testing.assert_array_equal(line.inputs[0], typed.inputs[0])


def test_texts_that_do_not_fit_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said, _ = pairs(tmp_path, monkeypatch)
    (tmp_path / "a.jsonl").write_text('{"question": "who", "passage": " "}\n{"question": "who"}\n')
    with pytest.raises(BadInput, match=r"a.jsonl:2: there is no column 'passage'; the model reads question and pass"):
        list(texts.read(str(tmp_path / "a.jsonl"), said))
    assert capsys.readouterr().err == f"left out: {tmp_path / 'a.jsonl'}:1: the text is empty.\n"
    with pytest.raises(BadInput, match="--text takes 2 texts for this model, got 1"):
        list(texts.read_words(["who"], said))
    with pytest.raises(BadInput, match="--text: the text is empty"):
        list(texts.read_words(["who", " "], said))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(BadInput, match="needs the package tokenizers; type: pip install tokenizers"):
        list(texts.read_words(["who", "me"], said))


def write_sound(path: Path, samples: np.ndarray, rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def tones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ArrayData, dict[str, Any]]:
    draw = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 3)):
        for pitch, name in ((300, "low"), (1500, "high")):
            for number, length in enumerate(draw.integers(1500, 5000, count)):
                wave_ = np.sin(2 * np.pi * pitch * np.arange(length) / 8000) / 3 + draw.normal(0, 0.1, length)
                write_sound(tmp_path / "sounds" / split / name / f"{number}.wav", wave_)
    features = {"fft": 256, "window": 200, "hop": 80, "bands": 16, "scale": "slaney", "norm": "slaney"}
    task = AudioFolder.from_fields(
        {"root": str(tmp_path / "sounds"), "sample_rate": 8000, "seconds": 0.4, "features": features,
         "validation_fraction": 0.25}
    )  # fmt: skip
    return decoded(task, tmp_path, sounds, monkeypatch)


def test_recordings_become_the_features_that_were_stored(
    tones: tuple[ArrayData, dict[str, Any]], tmp_path: Path
) -> None:
    data, said = tones
    assert same(sounds.read(str(tmp_path / "sounds" / "test"), said), data) == 6


def test_recordings_that_cannot_be_used_are_left_out_by_name(
    tones: tuple[ArrayData, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, said = tones
    odd = tmp_path / "odd"
    write_sound(odd / "rate.wav", np.zeros(4000), rate=16000)
    write_sound(odd / "none.wav", np.zeros(0))
    (odd / "torn.wav").write_bytes(b"RIFF")
    (odd / "a.flac").write_bytes(b"fLaC")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert list(sounds.read(str(odd), said)) == []
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"left out: {odd / 'a.flac'} is FLAC, which needs the package soundfile; type: pip install soundfile, or "
        "convert it to WAV.",
        f"left out: {odd / 'none.wav'} holds no sound.",
        f"left out: {odd / 'rate.wav'} has 16,000 samples a second, and the model takes 8,000; convert it first ("
        "ffmpeg -i IN -ar 8000 OUT).",
        f"left out: {odd / 'torn.wav'} cannot be read as WAV (it ends too early).",
    ]


def test_a_recording_of_its_own_length_must_be_long_enough_for_features(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"x.wav has 128 samples, and more than 128 are needed"):
        sounds.prepared(np.zeros(128), {"samples": None, "fft": 256}, tmp_path / "x.wav")


def test_recordings_of_their_own_length_are_read_as_pictures_and_as_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(0)
    for name in ("low", "high"):
        for number in range(8):
            length = int(draw.integers(700, 1500))
            write_sound(tmp_path / "sounds" / f"{name}_{number}.wav", draw.normal(0, 0.1, length))
    task = AudioFolder.from_fields(
        {"root": str(tmp_path / "sounds"), "pattern": "{label}_{index}", "hold_out": {"index": ["0", "1"]},
         "sample_rate": 8000, "seconds": "own", "inputs": ["log_mel", "samples"],
         "features": {"fft": 256, "window": 200, "hop": 80, "bands": 16}}
    )  # fmt: skip
    data, said = decoded(task, tmp_path, sounds, monkeypatch)
    names = ["high_0", "high_1", "low_0", "low_1"]
    found = [example for name in names for example in sounds.read(str(tmp_path / "sounds" / f"{name}.wav"), said)]
    assert same(iter(found), data) == 4

"""Recordings as log-mel pictures: the numbers against another transform, layouts, splits, masks, bad input."""

import json
import math
import os
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kdbench.errors import DataError
from kdbench.tasks import sound_numbers
from kdbench.tasks._masks import masked
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.audio_folder import AudioFolder
from kdbench.tasks.batches import chosen_batch
from kdbench.tasks.log_mel import LogMel
from kdbench.tasks.recordings import read_recording
from kdbench.tasks.sound_numbers import filter_bank, fitted, mel
from kdbench.testing import check_task

RATE = 8000
FORM = {"fft": 256, "window": 200, "hop": 80, "bands": 20}


def write_wave(path: Path, samples: NDArray[np.floating[Any]], width: int = 2, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(RATE)
        whole = np.round(samples * (2 ** (8 * width - 1) - 1)).astype("<i8")
        if width == 1:
            whole += 128
        file.writeframes(whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes())


def tone(hertz: float, seconds: float = 0.5) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Low and high tones; two speakers, who differ in loudness."""
    root = tmp_path_factory.mktemp("tones")
    rows = ["file,label,speaker,split"]
    for split, count in (("train", 10), ("test", 4)):
        for label, hertz in (("low", 300), ("high", 1500)):
            for number in range(count):
                name = f"{split}/{label}/{number}.wav"
                write_wave(root / name, tone(hertz + number) * (1 if number % 2 else 0.1))
                rows.append(f"{name},{label},{'ann' if number % 2 else 'ben'},{split}")
    (root / "list.csv").write_text("\n".join(rows))
    return root


def task(root: Path, **fields: Any) -> AudioFolder:
    return AudioFolder(root=str(root), sample_rate=RATE, seconds=0.5, features=LogMel(**FORM), **fields)


def bank(form: LogMel) -> NDArray[np.float64]:
    found: NDArray[np.float64] = filter_bank(form.fft, form.bands, form.low, RATE / 2, form.scale, form.norm, RATE)
    return found


def test_features_are_the_mel_energies_of_another_fourier_transform() -> None:
    """torch.stft centres, reflects and windows as torchaudio's MelSpectrogram does."""
    form, signal = LogMel(**FORM), np.random.default_rng(0).normal(size=4000) * 0.1
    window = torch.hann_window(form.window, periodic=True, dtype=torch.float64)
    spectrum = torch.stft(torch.from_numpy(signal), form.fft, form.hop, form.window, window, return_complex=True)
    energies = spectrum.abs().square().numpy().T @ bank(form)
    np.testing.assert_allclose(form.features(signal, RATE), np.log(np.maximum(energies, 1e-6)).T, atol=1e-5)
    assert form.features(signal, RATE).shape == (20, form.frame_count(4000)) == (20, 51)


def test_the_mel_scales_go_through_their_published_points() -> None:
    """HTK: 1000 Hz is 1000 mel, within rounding of the formula; Slaney: 1000 Hz is 15, 6400 Hz 42."""
    assert float(mel(np.array([1000.0]), "htk")[0]) == pytest.approx(2595 * math.log10(1 + 1000 / 700))
    assert mel(np.array([200.0, 1000.0, 6400.0]), "slaney") == pytest.approx([3, 15, 42])
    for scale in ("htk", "slaney"):
        points = np.array([50.0, 900.0, 3500.0])
        assert sound_numbers.hertz(mel(points, scale), scale) == pytest.approx(points)
    area = bank(LogMel(**FORM, scale="slaney", norm="slaney")).sum(0) * RATE / 256
    assert area[5:] == pytest.approx(np.ones(15), rel=0.1), "each triangle covers one"


def test_a_tone_is_loudest_in_the_band_that_holds_its_frequency() -> None:
    form = LogMel(**FORM)
    loudest = int(form.features(tone(1500), RATE).mean(1).argmax())
    weights = bank(form)[:, loudest]
    frequencies = np.flatnonzero(weights) * RATE / 256
    assert frequencies.min() <= 1500 <= frequencies.max()


@pytest.mark.parametrize(("width", "tolerance"), [(1, 1e-2), (2, 1e-4), (3, 1e-6), (4, 1e-7)])
def test_samples_of_every_width_come_back(tmp_path: Path, width: int, tolerance: float) -> None:
    write_wave(tmp_path / "a.wav", tone(300), width=width)
    np.testing.assert_allclose(read_recording(tmp_path / "a.wav", RATE), tone(300), atol=tolerance)


def test_channels_are_averaged(tmp_path: Path) -> None:
    stereo = np.stack([tone(300), np.zeros(4000)], axis=1).reshape(-1)
    write_wave(tmp_path / "a.wav", stereo, channels=2)
    np.testing.assert_allclose(read_recording(tmp_path / "a.wav", RATE), tone(300) / 2, atol=1e-4)


def test_a_recording_is_cut_in_its_middle_or_filled_behind_its_end() -> None:
    assert fitted(np.arange(6, dtype=np.float32), 4).tolist() == [1, 2, 3, 4]
    assert fitted(np.ones(2, np.float32), 4).tolist() == [1, 1, 0, 0]


def test_folders_become_splits_of_pictures_and_say_how(root: Path, tmp_path: Path) -> None:
    description = task(root, validation_fraction=0.2).decode(tmp_path)
    assert description.class_names == ("high", "low")
    assert description.example_counts == {"train": 16, "validation": 4, "test": 8}
    assert description.input_shapes == ((1, 20, 51),)
    pictures = np.asarray(ArrayData.open(tmp_path, description).inputs("train")[0])
    assert float(pictures.mean()) == pytest.approx(0, abs=1e-4)
    sound = description.settings["sound"]
    assert isinstance(sound, dict)
    assert (sound["sample_rate"], sound["samples"], sound["bands"]) == (8000, 4000, 20)
    assert float(pictures.std()) == pytest.approx(description.inputs[0].preprocessing.std[0], rel=1e-5)
    json.dumps(description.settings)


def test_the_task_keeps_the_contract(root: Path) -> None:
    check_task(task(root, augment="masks"))


def test_a_manifest_can_hold_out_a_speaker(root: Path, tmp_path: Path) -> None:
    description = task(root, manifest="list.csv", hold_out={"speaker": ("ben",)}).decode(tmp_path)
    assert description.example_counts == {"train": 12, "validation": 2, "test": 14}
    data = ArrayData.open(tmp_path, description)
    quiet, loud = np.asarray(data.inputs("test")[0]).max(), np.asarray(data.inputs("train")[0]).max()
    assert quiet < loud - 3, "ben is ten times quieter: ln(100) in energy"


def test_the_key_knows_labels_splits_and_files(root: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text((root / "list.csv").read_text().replace("ben,test", "ben,train"))
    plain = task(root, manifest="list.csv").identity()
    assert plain == task(root, manifest="list.csv").identity()
    assert plain["listing"] != task(root, manifest=str(tmp_path / "list.csv")).identity()["listing"]


def test_masks_hide_a_band_and_a_stretch_and_view_0_nothing() -> None:
    pictures = torch.ones(3, 1, 20, 51)
    views = torch.tensor([0, 1, 7])
    plain, one, other = masked(pictures, views, 8, 20)
    assert plain.eq(1).all()
    assert torch.equal(masked(pictures[1:2], views[1:2], 8, 20)[0], one), "whatever else is in the batch"
    for picture in (one, other):
        hidden = picture[0] == 0
        bands, frames = hidden.all(1).sum(), hidden.all(0).sum()
        assert bands <= 8
        assert frames <= 20
        assert hidden.sum() == bands * 51 + frames * 20 - bands * frames
    assert not torch.equal(one, other)


def test_masks_lie_within_an_examples_own_frames_whatever_it_is_padded_to() -> None:
    views, lengths = torch.arange(1, 41), torch.full((40,), 9)
    short = masked(torch.ones(40, 1, 20, 9), views, 8, 6)
    padded = torch.cat([torch.ones(40, 1, 20, 9), torch.full((40, 1, 20, 30), 3.0)], 3)
    found = masked(padded, views, 8, 6, lengths)
    assert torch.equal(found[..., :9], short)
    assert found[..., 9:].eq(3).all(), "what fills the batch stays"
    assert (short == 0).all((1, 2)).any(), "stretches of time are among them"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,label,split\na.wav,x,train", "has no column 'file'"),
        ("file,label\na.wav,x", "has no column 'split'"),
        ("file,label,split\na.wav,x,dev", "row 2: the split is one of train, validation, test, got 'dev'"),
        ("file,label,split\na.wav,,train", "row 2: a label was expected"),
        ("file,label,split\ngone.wav,x,train\ngone.wav,y,train\ngone.wav,y,test", "gone.wav' (No such file"),
        ("file,label,split\n", "has no row behind its header"),
        ("file,label,split\nhere.wav,x,train\nhere.wav,x,test", "1 classes of 'label', at least 2"),
    ],
)
def test_a_manifest_that_cannot_be_followed_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    write_wave(tmp_path / "here.wav", tone(300))
    with pytest.raises(DataError) as error:
        task(tmp_path, manifest="list.csv").identity()
    assert said in str(error.value)


def test_a_recording_of_another_rate_names_the_remedy(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="say `sample_rate: 8000`"):
        AudioFolder(root=str(root)).decode(tmp_path)


def test_what_is_no_sound_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF0000WAVE")
    with pytest.raises(DataError, match=r"cannot read '.*a\.wav' as WAV"):
        read_recording(tmp_path / "a.wav", RATE)
    write_wave(tmp_path / "b.wav", np.zeros(0))
    with pytest.raises(DataError, match="holds no sound"):
        read_recording(tmp_path / "b.wav", RATE)


def test_fields_that_contradict_each_other_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="hold_out names columns of a manifest"):
        task(root, hold_out={"speaker": ("ben",)})
    with pytest.raises(ValueError, match="shorter than half of the fft"):
        AudioFolder(root=str(root), seconds=0.01)
    with pytest.raises(ValueError, match="raise fft"):
        LogMel(fft=256, window=400)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones whose names say what they are, LABEL_SPEAKER_INDEX; their lengths grow with the index, and ben is quiet."""
    root = tmp_path_factory.mktemp("named")
    for label, hertz in (("low", 300), ("high", 1500)):
        for speaker, loudness in (("ann", 1.0), ("ben", 0.1)):
            for index in range(10):
                samples = tone(hertz + 5 * index, 0.2 + 0.03 * index) * loudness
                write_wave(root / "deep" / f"{label}_{speaker}_{index}.wav", samples)
    return root


def told(root: Path, **fields: Any) -> AudioFolder:
    return AudioFolder.from_fields(
        {
            "root": str(root),
            "pattern": "{label}_{speaker}_{index}",
            "hold_out": {"index": ["0", "1", "2"]},
            "sample_rate": RATE,
            "features": FORM,
            "validation_fraction": 0.2,
            **fields,
        }
    )


def test_names_of_files_say_class_person_and_split(named: Path, tmp_path: Path) -> None:
    description = told(named, outputs={"label": {}, "speaker": {"loss_weight": 0.5}}).decode(tmp_path)
    assert description.example_counts == {"train": 22, "validation": 6, "test": 12}
    assert [(one.name, one.class_names, one.loss_weight) for one in description.outputs] == [
        ("label", ("high", "low"), 1.0),
        ("speaker", ("ann", "ben"), 0.5),
    ]
    data = ArrayData.open(tmp_path, description)
    by_label, by_speaker = (np.asarray(targets) for targets in data.split("test").targets)
    assert by_label.tolist() == [0] * 6 + [1] * 6, "sorted by name: high_ann, high_ben, low_ann, low_ben"
    assert by_speaker.tolist() == ([0] * 3 + [1] * 3) * 2
    loud = np.asarray(data.inputs("test")[0]).max((1, 2, 3))
    assert loud[by_speaker == 0].min() > loud[by_speaker == 1].max() + 3


def test_each_recording_can_keep_its_own_length(named: Path, tmp_path: Path) -> None:
    description = told(named, seconds="own", inputs=["log_mel", "samples"]).decode(tmp_path)
    assert [(one.name, one.axes, one.role) for one in description.inputs] == [
        ("log_mel", (1, 20, "frames"), "values"),
        ("frames_count", (), "lengths"),
        ("samples", (1, "samples"), "values"),
        ("samples_count", (), "lengths"),
    ]
    data = ArrayData.open(tmp_path, description)
    lengths = data.lengths("test")
    assert lengths["samples"][:3].tolist() == [1600, 1840, 2080]
    assert lengths["frames"][:3].tolist() == [21, 24, 27], "one more than a frame for every 80 samples"
    assert description.axis("samples").lengths["longest"] == round(0.47 * RATE)
    first = np.asarray(data.inputs("test")[0][0])
    alone = LogMel(**FORM).features(read_recording(named / "deep" / "high_ann_0.wav", RATE), RATE)
    sound = description.settings["sound"]
    assert isinstance(sound, dict)
    np.testing.assert_allclose(first[:, 0].T + sound["mean"], alone, atol=1e-5)
    assert description.inputs[0].padding == pytest.approx(math.log(1e-6) - float(sound["mean"])), "silence"  # type: ignore[arg-type]
    assert sound["samples"] is None


def test_a_part_of_the_people_keeps_everybodys_classes_mean_and_validation(named: Path, tmp_path: Path) -> None:
    """A teacher of everybody hears the part as it is used to, and has not learnt what the part is validated by."""
    folders = {name: tmp_path / name for name in ("all", "ann", "ben")}
    for folder in folders.values():
        folder.mkdir()
    everybody = told(named).decode(folders["all"])
    parts = {name: told(named, only={"speaker": [name]}).decode(folders[name]) for name in ("ann", "ben")}
    for part in parts.values():
        assert part.settings == everybody.settings
        assert part.inputs == everybody.inputs
        assert part.class_names == everybody.class_names
    arrays = {name: ArrayData.open(folders[name], made) for name, made in {"all": everybody, **parts}.items()}
    for split in ("train", "validation", "test"):
        rows = {name: {row.tobytes() for row in np.asarray(data.inputs(split)[0])} for name, data in arrays.items()}
        assert rows["ann"] | rows["ben"] == rows["all"]
        assert not rows["ann"] & rows["ben"]
    assert told(named).identity() != told(named, only={"speaker": ["ann"]}).identity()


def test_what_was_said_is_a_row_of_words_or_characters(named: Path, tmp_path: Path) -> None:
    rows = ["file,split,text"]
    for split, index in (("train", 3), ("train", 4), ("test", 1)):
        rows += [f"deep/low_ann_{index}.wav,{split},go up", f"deep/high_ann_{index}.wav,{split},up  up go"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    same = {"manifest": str(tmp_path / "list.csv"), "pattern": None, "hold_out": {}, "seconds": "own"}
    more = {"validation_fraction": 0, **same}
    description = told(named, outputs={"text": {"kind": "sequence"}}, **more).decode(tmp_path)
    (output,) = description.outputs
    assert (output.class_names, output.frames, output.subsampling) == (("<blank>", "go", "up"), "frames", 4)
    targets = ArrayData.open(tmp_path, description).split("test").targets[0]
    assert [list(targets[place]) for place in range(2)] == [[2, 2, 1], [1, 2]]
    letters = told(named, outputs={"text": {"kind": "sequence", "symbols": "characters", "subsampling": 16}}, **more)
    description = letters.decode(tmp_path)
    assert description.class_names == ("<blank>", " ", "g", "o", "p", "u")
    (note,) = description.notes
    assert note.startswith("4 training recordings have fewer frames than the symbols of 'text' need"), "3 steps at most"
    assert letters.kinds() == ("sequence",)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"pattern": "{label}-{index}"}, "is not named as the pattern '{label}-{index}' says"),
        ({"outputs": {"lable": {}}}, "has no {lable}. Did you mean 'label'?"),
        ({"only": {"speaker": ["bem"]}}, "no example has speaker 'bem'. Did you mean 'ben'?"),
        ({"only": {"index": ["4"]}, "hold_out": {"speaker": ["ben"]}}, "index 4: 2 in the train split, and at least 5"),
        ({"outputs": {"label": {"kind": "sequence"}}}, "say `seconds: own`"),
        ({"hold_out": {"speaker": ["ann"]}, "outputs": {"speaker": {}}}, "have 1 classes of 'speaker', at least 2"),
        ({"seconds": "own", "features": {**FORM, "fft": 8192}}, "not more than half of the fft (8192)"),
        ({"hold_out": {"index": ["99"]}}, "is in the test split"),
    ],
)
def test_recordings_that_do_not_fit_are_refused_with_the_remedy(
    named: Path, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError) as error:
        told(named, **fields).decode(tmp_path)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"manifest": "list.csv"}, "give one of them"),
        ({"hold_out": {}}, "with a pattern, hold_out says"),
        ({"inputs": ["samples", "samples"]}, "given twice"),
        ({"pattern": None, "hold_out": {}, "only": {"speaker": ["ann"]}}, "only names columns of a manifest"),
    ],
)
def test_fields_of_recordings_that_contradict_each_other_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        told(Path("nowhere"), **fields)


def test_masks_leave_samples_alone(named: Path) -> None:
    task = told(named, inputs=["log_mel", "samples"], augment="masks")
    pictures, samples = task.augmented((torch.ones(2, 1, 20, 30), torch.ones(2, 1, 99)), torch.tensor([3, 4]))
    assert not pictures.eq(1).all()
    assert samples.eq(1).all()
    check_task(task)


def test_recordings_of_their_own_length_are_masked_alike_in_any_batch(named: Path, tmp_path: Path) -> None:
    masking = told(named, seconds="own", augment="masks")
    data = ArrayData.open(tmp_path, masking.decode(tmp_path))
    index, views = np.arange(data.count("train")), 1 + np.arange(data.count("train"))
    together = chosen_batch(data, masking, index, views, torch.device("cpu"))
    lengths = together.lengths["frames"]
    assert len(set(lengths.tolist())) > 1
    for place in range(3):
        alone = chosen_batch(data, masking, index[place : place + 1], views[place : place + 1], torch.device("cpu"))
        torch.testing.assert_close(together.inputs[0][place, ..., : lengths[place]], alone.inputs[0][0])


@pytest.mark.skipif("KDBENCH_DATA" not in os.environ, reason="KDBENCH_DATA names no folder with fsdd/ in it")
@pytest.mark.skipif(not Path(os.environ.get("KDBENCH_DATA", ""), "fsdd").is_dir(), reason="it has no fsdd/")
def test_the_spoken_digits_are_split_as_their_makers_say(tmp_path: Path) -> None:
    root = Path(os.environ["KDBENCH_DATA"]) / "fsdd" / "recordings"
    listing = told(root, hold_out={"index": list("01234")}).listing()
    assert {split: len(files) for split, files in listing.splits.items()} == {"train": 2700, "test": 300}
    unheard = told(root, hold_out={"speaker": ["theo"]}, only={"label": ["7"]}).listing()
    assert {split: len(files) for split, files in unheard.splits.items()} == {"train": 2500, "test": 500}

import os
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from kdbench.errors import DataError
from kdbench.protocols import TaskDescription
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.image_folder import ImageFolder

COLOURS = {"blue": (0, 0, 200), "red": (200, 0, 0)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten training and four test images of each of two classes, 8x8, of one colour each."""
    for split, count in (("train", 10), ("test", 4)):
        for name, colour in COLOURS.items():
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8), colour).save(folder / f"{number}.png")
    return tmp_path / "data"


def _declared(root: Path, **fields: Any) -> ImageFolder:
    return ImageFolder.from_fields({"root": str(root), "image_size": 8, **fields})


def _decoded(root: Path, **fields: Any) -> tuple[ArrayData, TaskDescription]:
    out = root.parent / "out"
    out.mkdir()
    description = _declared(root, **fields).decode(out)
    return ArrayData.open(out, description), description


def test_classes_are_the_sorted_folders_and_images_carry_their_folders_class(root: Path) -> None:
    data, description = _decoded(root)
    assert description.class_names == ("blue", "red")
    assert description.example_counts == {"train": 18, "validation": 2, "test": 8}
    assert description.input_shapes == ((3, 8, 8),)
    for split in description.example_counts:
        (images,), targets = data.inputs(split), data.targets(split)
        assert images.dtype == np.uint8
        for image, target in zip(images, targets, strict=True):
            assert tuple(image[:, 3, 3]) == COLOURS[description.class_names[target]]


def test_a_validation_fraction_of_0_leaves_every_image_to_training(root: Path) -> None:
    _, description = _decoded(root, validation_fraction=0)
    assert description.example_counts == {"train": 20, "test": 8}


def test_mean_and_deviation_are_computed_on_the_training_split(root: Path) -> None:
    data, description = _decoded(root)
    pixels = data.inputs("train")[0] / 255
    np.testing.assert_allclose(description.inputs[0].preprocessing.mean, pixels.mean((0, 2, 3)), atol=1e-6)
    # green is 0 everywhere: it is left as it is, not divided by nothing
    np.testing.assert_allclose(description.inputs[0].preprocessing.std, [100 / 255, 1, 100 / 255], atol=1e-6)
    assert description.inputs[0].preprocessing.scale == 1 / 255


def test_a_given_mean_and_deviation_are_taken_as_they_are(root: Path) -> None:
    _, description = _decoded(root, mean=[0.1, 0.2, 0.3], std=[1, 2, 3])
    rule = description.inputs[0].preprocessing
    assert (rule.mean, rule.std) == (
        (0.1, 0.2, 0.3),
        (1.0, 2.0, 3.0),
    )


def test_every_kind_of_file_is_read_and_others_are_passed_over(root: Path) -> None:
    for suffix in ("jpg", "JPEG", "webp", "bmp"):
        Image.new("RGB", (8, 8), COLOURS["red"]).save(root / "test" / "red" / f"more.{suffix}")
    Image.new("P", (8, 8)).save(root / "test" / "red" / "palette.png")
    Image.new("RGBA", (8, 8), (200, 0, 0, 255)).save(root / "test" / "red" / "alpha.png")
    for name in ("Thumbs.db", ".hidden.png"):
        (root / "test" / "red" / name).write_bytes(b"x")
    (root / "test" / ".cache").mkdir()
    _, description = _decoded(root)
    assert description.example_counts["test"] == 8 + 6
    assert description.notes == ()


def test_other_sizes_are_resized_on_the_shorter_side_and_cut_to_the_centre(root: Path) -> None:
    wide = np.zeros((16, 64, 3), np.uint8)
    wide[:, 22:42] = 255  # the centre is 24 to 40; smoothing looks a little further
    Image.fromarray(wide).save(root / "test" / "blue" / "0.png")
    data, _ = _decoded(root)
    assert (data.inputs("test")[0][0] == 255).all()


def test_a_picture_lying_on_its_side_is_turned_upright(root: Path) -> None:
    picture = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    exif = picture.getexif()
    exif[0x0112] = 6  # EXIF orientation: shown turned by 90 degrees clockwise
    picture.save(root / "test" / "blue" / "0.png", exif=exif)
    data, _ = _decoded(root, grayscale=True)
    np.testing.assert_array_equal(data.inputs("test")[0][0, 0], np.rot90(np.asarray(picture), -1))


def test_grey_images_have_one_channel(root: Path) -> None:
    data, description = _decoded(root, grayscale=True)
    assert description.input_shapes == ((1, 8, 8),)
    # ITU-R 601: 0.299 R + 0.587 G + 0.114 B
    assert set(np.unique(data.inputs("test")[0])) == {round(0.114 * 200), round(0.299 * 200)}


def test_a_subset_takes_so_many_of_each_class_and_says_so(root: Path) -> None:
    data, description = _decoded(root, examples_per_class=5, validation_fraction=0.2)
    assert description.example_counts == {"train": 8, "validation": 2, "test": 8}
    assert np.bincount(data.targets("validation")).tolist() == [1, 1]
    assert description.notes == ("At most 5 images of each class were used, in training and in test.",)


def test_unreadable_images_are_named_counted_and_left_out(root: Path) -> None:
    whole = (root / "train" / "red" / "0.png").read_bytes()
    (root / "train" / "red" / "1.png").write_bytes(b"no picture")
    (root / "test" / "blue" / "2.png").write_bytes(whole[: len(whole) - 25])
    _, description = _decoded(root, validation_fraction=0)
    assert description.example_counts == {"train": 19, "test": 7}
    (note,) = description.notes
    assert note.startswith("2 of 28 images could not be read and were left out: train/red/1.png (not an image), ")
    assert "test/blue/2.png (" in note
    assert str(root) not in note


def test_one_unreadable_image_is_written_of_in_the_singular(root: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(root / "train" / "red" / "1.png")
    _, description = _decoded(root)
    assert description.notes == (
        "1 of 28 images could not be read and was left out: "
        "train/red/1.png (mode I;16 has more than 8 bits a channel).",
    )


def test_at_most_five_unreadable_images_are_named(root: Path) -> None:
    for number in range(8):
        (root / "train" / "red" / f"{number}.png").write_bytes(b"")
    _, description = _decoded(root)
    assert description.notes[0].count("not an image") == 5
    assert description.notes[0].endswith(", and 3 more.")


def test_a_class_of_which_nothing_can_be_read_stops_it(root: Path) -> None:
    for path in (root / "train" / "red").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the images in '.*train/red' could be read; replace them\."):
        _decoded(root)


def test_test_images_that_cannot_be_read_at_all_stop_it(root: Path) -> None:
    for path in (root / "test").glob("*/*"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the images in '.*test' could be read; replace them\."):
        _decoded(root)


def test_a_missing_folder_is_named_with_the_layout_that_was_expected(root: Path) -> None:
    with pytest.raises(DataError) as error:
        _declared(Path("nowhere")).identity()
    assert str(error.value) == (
        "cannot read the folder 'nowhere' (No such file or directory); "
        "image_folder expects 'nowhere' to hold train/CLASS/* and test/CLASS/*."
    )
    shutil.rmtree(root / "test")
    with pytest.raises(DataError, match=r"cannot read the folder '.*data/test'"):
        _declared(root).identity()


def test_classes_that_differ_between_train_and_test_are_named(root: Path) -> None:
    (root / "test" / "red").rename(root / "test" / "Red")
    with pytest.raises(DataError, match=r"2 differ: 'Red' is in test and not in train\.$"):
        _declared(root).identity()


def test_a_class_without_training_images_is_named(root: Path) -> None:
    shutil.rmtree(root / "train" / "blue")
    (root / "train" / "blue").mkdir()
    with pytest.raises(DataError, match=r"no image \(\.png, .*\) lies in '.*train/blue'; add some, or remove it\."):
        _declared(root).identity()


def test_a_single_class_is_nothing_to_tell_apart(root: Path) -> None:
    for split in ("train", "test"):
        shutil.rmtree(root / split / "red")
    with pytest.raises(DataError, match=r"holds 1 class folders, at least 2 are needed"):
        _declared(root).identity()


def test_a_validation_fraction_that_takes_nothing_or_everything_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match=r"validation_fraction 0\.01 of 20 training images leaves no validation image"):
        _decoded(root, validation_fraction=0.01)
    shutil.rmtree(root.parent / "out")
    with pytest.raises(DataError, match=r"validation_fraction 0\.99 of 20 training images leaves a class without"):
        _decoded(root, validation_fraction=0.99)


def test_two_copies_of_a_folder_have_one_identity_and_a_changed_file_another(root: Path) -> None:
    here = _declared(root).identity()
    copy = shutil.copytree(root, root.parent / "copy")  # keeps the files' times
    assert _declared(copy).identity() == here
    changed = copy / "test" / "red" / "0.png"
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))
    assert _declared(copy).identity() != here


def test_a_file_more_and_another_field_change_the_identity(root: Path) -> None:
    here = _declared(root).identity()
    assert _declared(root, image_size=16).identity() != here
    shutil.copy2(root / "test" / "red" / "0.png", root / "test" / "red" / "new.png")
    assert _declared(root).identity() != here


def test_the_home_folder_may_be_written_as_a_tilde(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    assert _declared(Path("~/data")).identity() == _declared(root).identity()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"mean": [0.5, 0.5, 0.5]}, "mean and std are given together, or neither"),
        ({"mean": [0.5], "std": [0.5]}, r"mean needs one number a channel \(3\), got 1"),
        ({"grayscale": True, "mean": [0.5], "std": [1, 1]}, r"std needs one number a channel \(1\), got 2"),
        ({"mean": [0.5] * 3, "std": [1, 0, 1]}, "greater than 0"),
        ({"validation_fraction": 1}, "less than 1"),
        ({"image_size": 0}, "greater than 0"),
        ({"augment": "mixup"}, "'none' or 'crop_flip'"),
        ({"examples_per_class": 0}, "greater than 0"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        _declared(Path("data"), **fields)


@pytest.mark.skipif("KDBENCH_DATA" not in os.environ, reason="KDBENCH_DATA names no folder with cifar10/ in it")
def test_real_photographs_are_decoded_in_proportion(tmp_path: Path) -> None:
    root = Path(os.environ["KDBENCH_DATA"]) / "cifar10"
    declared = ImageFolder(root=str(root), image_size=32, examples_per_class=20, validation_fraction=0.1)
    description = declared.decode(tmp_path)
    assert description.example_counts == {"train": 180, "validation": 20, "test": 200}
    assert len(description.class_names) == 10
    # the published statistics of the whole data set; 180 images of it come close
    np.testing.assert_allclose(description.inputs[0].preprocessing.mean, (0.4914, 0.4822, 0.4465), atol=0.05)
    np.testing.assert_allclose(description.inputs[0].preprocessing.std, (0.2470, 0.2435, 0.2616), atol=0.03)


def test_a_validation_folder_is_taken_when_it_is_there(root: Path) -> None:
    for name, colour in COLOURS.items():
        (root / "validation" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8), colour).save(root / "validation" / name / f"{number}.png")
    data, description = _decoded(root)
    assert description.example_counts == {"train": 20, "test": 8, "validation": 6}
    assert np.bincount(data.targets("validation")).tolist() == [3, 3]
    assert description.validation_origin == "own"


def test_validation_taken_from_train_is_told_apart_unless_it_is_said_to_be_unseen(root: Path) -> None:
    assert _decoded(root)[1].validation_origin == "train"
    shutil.rmtree(root.parent / "out")
    assert _decoded(root, validation_unseen=True)[1].validation_origin == "own"


def test_a_class_without_a_validation_folder_is_named(root: Path) -> None:
    (root / "validation" / "red").mkdir(parents=True)
    with pytest.raises(DataError, match="'blue' is in train and not in validation"):
        _declared(root).identity()


def _exif(orientation: int, resolution: bytes) -> bytes:
    """An EXIF block with an orientation and an XResolution that is text, where the standard has a fraction."""
    entries = struct.pack("<HHHII", 2, 0x0112, 3, 1, orientation) + struct.pack("<HHI4s", 0x011A, 2, 3, resolution)
    return b"Exif\0\0" + b"II*\0" + struct.pack("<I", 8) + entries + struct.pack("<I", 0)


def test_odd_metadata_does_not_matter_beside_the_orientation(root: Path) -> None:
    lying = Image.new("RGB", (8, 8), (0, 0, 0))
    lying.paste((255, 255, 255), (0, 0, 4, 8))  # the left half is white
    for name, exif in {"0.jpg": _exif(6, b"72\0\0"), "1.jpg": b"Exif\0\0" + b"II*\0" + b"\xff" * 40}.items():
        lying.save(root / "test" / "blue" / name, exif=exif, quality=100)
    data, description = _decoded(root)
    assert not description.notes
    images = data.inputs("test")[0][data.targets("test") == 0]
    turned, plain = images[0], images[2]  # before 0.png and 1.png, by name
    assert turned[:, 0].min() > 200  # turned clockwise, the top is white
    assert turned[:, 7].max() < 50
    assert plain[:, :, 0].min() > 200


def test_a_file_that_would_start_a_program_is_left_out_by_name(root: Path) -> None:
    (root / "test" / "red" / "9.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n")
    _, description = _decoded(root)
    assert description.example_counts["test"] == 8
    assert description.notes == ("1 of 29 images could not be read and was left out: test/red/9.png (not an image).",)


def test_what_is_no_regular_file_or_of_another_format_is_passed_over_and_said(root: Path) -> None:
    os.mkfifo(root / "train" / "red" / "pipe.png")
    for name in ("a.gif", "b.TIFF", "c.avif", "d.jfif", "e.ppm"):
        (root / "train" / "blue" / name).write_bytes(b"x")
    (root / "train" / "blue" / "labels.txt").write_text("no picture")
    _, description = _decoded(root)
    assert description.example_counts["train"] == 18
    (note,) = description.notes
    assert note.startswith("6 pictures were passed over")
    for name in ("train/blue/a.gif", "train/blue/e.ppm", "and 1 more"):
        assert name in note


def test_names_that_unicode_writes_in_two_ways_are_one_class(root: Path) -> None:
    (root / "train" / "red").rename(root / "train" / "caf\u00e9")
    (root / "test" / "red").rename(root / "test" / "cafe\u0301")
    _, description = _decoded(root)
    assert description.class_names == ("blue", "caf\u00e9")
    assert description.example_counts["test"] == 8
    (root / "train" / "cafe\u0301").mkdir()
    with pytest.raises(DataError, match="two folders named 'caf\u00e9'"):
        _declared(root).identity()


def test_names_that_are_not_utf_8_are_refused_for_a_class_and_read_for_a_file(root: Path) -> None:
    odd = os.fsencode(root / "train" / "red") + b"/\xe9.png"
    with open(odd, "wb") as file:
        file.write(b"torn")
    _, description = _decoded(root)
    assert "train/red/\ufffd.png (not an image)" in description.notes[0]
    description.model_dump_json()
    os.mkdir(os.fsencode(root / "train") + b"/caf\xe9")
    with pytest.raises(DataError, match="not UTF-8; rename it"):
        _declared(root).identity()


def test_a_class_without_test_images_is_decoded_and_seen_in_the_targets(root: Path) -> None:
    shutil.rmtree(root / "test" / "red")
    (root / "test" / "red").mkdir()
    data, _ = _decoded(root)
    assert set(data.targets("test")) == {0}

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from kdbench.errors import DataError
from kdbench.protocols import TaskDescription
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.batches import chosen_batch
from kdbench.tasks.checks import check_targets
from kdbench.tasks.mask_folder import MaskFolder
from kdbench.tasks.shapes import Shapes
from kdbench.testing import check_task

COLOURS = {"ground": [0, 0, 0], "circle": [255, 0, 0], "square": [0, 0, 255]}
BRIGHTNESS = np.array([20, 120, 220], np.uint8)
"""The pixels' colour of each class, so that an image tells its mask."""
SIZE = 16


def _mask(seed: int) -> np.ndarray:
    """A circle and a square on the ground, uint8 (SIZE, SIZE)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    mask = np.zeros((SIZE, SIZE), np.uint8)
    top, left = random.integers(0, SIZE - 6, 2)
    mask[top : top + 6, left : left + 6] = 2
    mask[np.hypot(rows - random.integers(4, 12), columns - random.integers(4, 12)) < 4] = 1
    return mask


def _saved(root: Path, masked: Callable[[np.ndarray], Image.Image] = Image.fromarray) -> Path:
    for split, count in (("train", 10), ("test", 4)):
        for name in ("images", "masks"):
            (root / split / name).mkdir(parents=True)
        for number in range(count):
            mask = _mask(number + (100 if split == "test" else 0))
            Image.fromarray(BRIGHTNESS[mask]).convert("RGB").save(root / split / "images" / f"{number}.png")
            masked(mask).save(root / split / "masks" / f"{number}.png")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return _saved(tmp_path / "data")


def _task(root: Path, **fields: Any) -> MaskFolder:
    return MaskFolder.from_fields({"root": str(root), "image_size": SIZE, "grayscale": True, **fields})


def _decoded(root: Path, **fields: Any) -> tuple[ArrayData, TaskDescription]:
    out = root.parent / "out"
    out.mkdir()
    description = _task(root, **fields).decode(out)
    data = ArrayData.open(out, description)
    for split in description.example_counts:
        check_targets(data.split(split), split, description)
    return data, description


def test_every_image_has_its_own_mask(root: Path) -> None:
    data, description = _decoded(root, class_names=["ground", "circle", "square"])
    (output,) = description.outputs
    assert (output.kind, output.axes, output.ignore) == ("dense_classes", (3, SIZE, SIZE), 255)
    assert description.example_counts == {"train": 9, "validation": 1, "test": 4}
    assert output.metrics == ("mean_iou",)
    for split in data.splits:
        np.testing.assert_array_equal(data.inputs(split)[0][:, 0], BRIGHTNESS[np.asarray(data.targets(split))])


def test_a_validation_folder_is_the_validation_split(root: Path) -> None:
    (root / "test").rename(root / "validation")
    _saved(root.parent / "more")
    (root.parent / "more" / "test").rename(root / "test")
    _, description = _decoded(root)
    assert description.example_counts == {"train": 10, "validation": 4, "test": 4}
    assert description.validation_origin == "own"


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_colours_and_palettes_say_the_same_as_numbers(mode: str, tmp_path: Path) -> None:
    table = np.array(list(COLOURS.values()), np.uint8)

    def masked(mask: np.ndarray) -> Image.Image:
        if mode == "RGB":
            return Image.fromarray(table[mask])
        image = Image.fromarray(mask).convert("L").convert("P")
        image = Image.frombytes("P", (SIZE, SIZE), mask.tobytes())
        image.putpalette(table.ravel().tolist())
        return image

    data, description = _decoded(_saved(tmp_path / "data", masked), **({"colours": COLOURS} if mode == "RGB" else {}))
    assert description.class_names == (tuple(COLOURS) if mode == "RGB" else ("0", "1", "2"))
    for number, mask in enumerate(data.targets("test")):
        np.testing.assert_array_equal(mask, _mask(100 + number))


def test_a_mask_is_resized_without_new_classes(root: Path) -> None:
    data, _ = _decoded(root, image_size=8, class_names=["ground", "circle", "square"])
    masks = np.asarray(data.targets("test"))
    assert masks.shape == (4, 8, 8)
    # each pixel is one of the four that it stands for
    for mask, whole in zip(masks, (_mask(100 + number) for number in range(4)), strict=True):
        blocks = whole.reshape(8, 2, 8, 2).transpose(0, 2, 1, 3).reshape(8, 8, 4)
        assert (blocks == mask[..., None]).any(-1).all()


def test_a_crop_and_a_flip_move_the_mask_with_its_image(root: Path) -> None:
    data, _ = _decoded(root, augment="crop_flip", padding=3)
    task = _task(root, augment="crop_flip", padding=3)
    index = np.arange(9).repeat(20)
    views = np.random.default_rng(0).integers(0, task.views(), len(index))
    batch = chosen_batch(data, task, index, views, torch.device("cpu"))
    rule = data.description.inputs[0].preprocessing
    pixels = ((batch.inputs[0][:, 0] * rule.std[0] + rule.mean[0]) / rule.scale).round().long()
    (masks,) = batch.targets
    outside = masks == 255
    assert torch.equal(pixels[~outside], torch.from_numpy(BRIGHTNESS.astype(np.int64))[masks[~outside]])
    assert not pixels[outside].any()
    assert 0 < outside.float().mean() < 0.4
    plain = chosen_batch(data, task, index, np.zeros_like(views), torch.device("cpu"))
    np.testing.assert_array_equal(plain.targets[0], np.asarray(data.targets("train"))[index])


def test_an_ignored_number_counts_nowhere_and_is_no_class(tmp_path: Path) -> None:
    def bordered(mask: np.ndarray) -> Image.Image:
        mask = mask.copy()
        mask[0] = 255
        return Image.fromarray(mask)

    data, description = _decoded(_saved(tmp_path / "data", bordered))
    assert description.outputs[0].class_count == 3
    assert (np.asarray(data.targets("test"))[:, 0] == 255).all()


def _changed(root: Path, case: str) -> None:
    image, mask = root / "train" / "images" / "3.png", root / "train" / "masks" / "3.png"
    if case == "no mask":
        mask.unlink()
    elif case == "no image":
        image.unlink()
    elif case == "another size":
        Image.fromarray(_mask(3)[:8]).save(mask)
    elif case == "torn image":
        image.write_bytes(image.read_bytes()[:60])
    elif case == "torn mask":
        mask.write_bytes(b"no picture")
    elif case == "coloured":
        Image.fromarray(_mask(3)).convert("RGB").save(mask)
    elif case == "16 bits":
        Image.fromarray(_mask(3).astype(np.uint16)).save(mask)
    elif case == "jpeg":
        Image.fromarray(_mask(3)).save(mask.with_suffix(".jpg"))
        mask.unlink()
    elif case == "a gap":
        Image.fromarray(_mask(3) * 2).save(mask)
    elif case == "no folder":
        (root / "test" / "masks").rename(root / "test" / "labels")


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("no mask", r"images/3.png' has no mask '.*masks/3.png'; add it, or remove the image."),
        ("no image", r"the mask '.*masks/3.png' has no image in"),
        ("another size", r"masks/3.png' has 16x8 pixels, and its image 16x16."),
        ("torn image", r"images/3.png' cannot be read \(.*\); mend it, or remove it and its mask."),
        ("torn mask", r"masks/3.png' cannot be read \(not an image\); mend it, or remove it and its image."),
        ("coloured", r"masks/3.png' is of mode RGB, and class numbers are grey or of a palette; say `colours`."),
        ("16 bits", r"masks/3.png' is of mode I;16, .*; save it with 8 bits."),
        ("jpeg", r"masks/3.jpg' is no PNG; other formats change numbers as they are saved."),
        ("a gap", r"train' hold class 4, and never 3; number the classes from 0"),
        ("no folder", r"there is no folder '.*test/masks'; images lie in test/images, masks in test/masks."),
    ],
)
def test_what_is_no_pair_is_refused_with_the_file(case: str, text: str, root: Path) -> None:
    _changed(root, case)
    with pytest.raises(DataError, match=text):
        _decoded(root, validation_fraction=0)


def test_numbers_and_colours_that_nothing_names_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hold 2, and classes are 0 to 1; say what counts nowhere as `ignore`"):
        _decoded(root, class_names=["ground", "circle"])
    table = np.array(list(COLOURS.values()), np.uint8)
    other = _saved(tmp_path / "other" / "data", lambda mask: Image.fromarray(table[mask]))
    with pytest.raises(DataError, match=r"has a pixel of colour \[0, 0, 255\], which `colours` does not name"):
        _decoded(other, colours={"ground": [0, 0, 0], "circle": [255, 0, 0]})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"class_names": ["a"], "colours": COLOURS}, "leave out class_names"),
        ({"ignore": 1, "class_names": ["a", "b"]}, "`ignore` is 1, which is the number of a class"),
        ({"colours": {"a": [0, 0, 0], "b": [0, 0, 0]}}, "two classes have one colour"),
        ({"ignore_colour": [0, 0, 0]}, "belongs to coloured masks"),
        ({"colours": {"a": [0, 0, 256]}}, "less than or equal to 255"),
        ({"mean": [0.5]}, "mean and std are given together"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        _task(Path("data"), **fields)


def test_generated_shapes_are_brighter_than_their_ground_and_of_the_right_form(tmp_path: Path) -> None:
    description = Shapes(train_count=20, validation_count=0, test_count=10, noise=0).decode(tmp_path)
    data = ArrayData.open(tmp_path, description)
    (pictures,), masks = data.inputs("train"), np.asarray(data.targets("train"))
    assert description.example_counts == {"train": 20, "test": 10}
    assert (pictures[:, 0][masks == 0] == 0).all()
    assert (pictures[:, 0][masks > 0] >= 0.3).all()
    assert set(np.unique(masks)) == {0, 1, 2}
    assert not np.array_equal(masks[:10], data.targets("test"))


def test_a_folder_of_masks_keeps_the_contract(root: Path) -> None:
    check_task(_task(root, augment="crop_flip", padding=3))

"""Images and masks read from folders in pairs, and written as a task with a class at each place."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from kdbench.errors import DataError
from kdbench.protocols import SPLITS, ImageForm, Input, Output, Preprocessing, TaskDescription
from kdbench.ragged import Index
from kdbench.tasks._labelled import channel_statistics
from kdbench.tasks.arrays import write_split
from kdbench.tasks.image_listing import SUFFIXES
from kdbench.tasks.pictures import UNREADABLE, read_picture, reason
from kdbench.tasks.rows import Rows, rows_in_piece
from kdbench.tasks.splits import at_random
from kdbench.tasks.spool import Spool

if TYPE_CHECKING:
    from kdbench.tasks.mask_folder import MaskFolder

IMAGES, MASKS = "images", "masks"
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pairs:
    """images: (N, C, H, W); masks: (N, H, W), class numbers. Either may be larger than memory."""

    images: Rows
    masks: Rows

    def taken(self, places: Index) -> Pairs:
        """Some of the pairs; none is brought to memory yet."""
        return Pairs(self.images[places], self.masks[places])


def decode(task: MaskFolder, out: Path) -> TaskDescription:
    """Write every split and describe it. Raises DataError."""
    root = Path(task.root).expanduser()
    own = (root / "validation").is_dir()
    splits = {split: _read(task, root / split, out) for split in SPLITS if split != "validation" or own}
    if not own:
        fractions = {"validation": task.validation_fraction}
        parts = at_random(len(splits["train"].images), fractions, task.split_seed)
        splits |= {split: splits["train"].taken(places) for split, places in reversed(parts.items())}
    names = tuple(task.colours) or task.class_names or _numbered(task, root, splits["train"].masks)
    splits = {split: splits[split] for split in SPLITS if split in splits}
    for split, pairs in splits.items():
        _check_classes(task, root / split, pairs.masks, len(names))
    preprocessing = _preprocessing(task, splits["train"].images)
    return write_masked(out, splits, names, task.ignore, preprocessing, "own" if own else task.validation_origin())


def write_masked(
    out: Path,
    splits: Mapping[str, Pairs],
    names: tuple[str, ...],
    ignore: int | None,
    preprocessing: Preprocessing,
    origin: str,
) -> TaskDescription:
    """Write images and masks, and describe them as a task of one input, `image`, and a class at each place."""
    for split, pairs in splits.items():
        write_split(out, split, (pairs.images,), pairs.masks)
    shape = splits["train"].images.shape[1:]
    return TaskDescription.model_validate(
        {
            "inputs": (Input(name="image", axes=shape, preprocessing=preprocessing),),
            "outputs": (Output(kind="dense_classes", axes=(len(names), *shape[1:]), class_names=names, ignore=ignore),),
            "example_counts": {split: len(pairs.images) for split, pairs in splits.items()},
            "validation_origin": origin,
        }
    )


def _read(task: MaskFolder, folder: Path, scratch: Path) -> Pairs:
    """Every pair of a folder, a few at a time in memory; scratch: where they lie until they are written."""
    files = _listed(folder)
    form, size = task.image_form(), task.image_size
    Image.init()  # before threads ask for it

    def read(pair: tuple[Path, Path]) -> tuple[Pixels, Pixels]:
        picture, mask = pair
        try:
            pixels = read_picture(picture, form)
        except UNREADABLE as error:
            raise DataError(
                f"'{picture}' cannot be read ({reason(error)}); mend it, or remove it and its mask."
            ) from None
        return pixels, _read_mask(task, picture, mask)

    with (
        Spool(scratch, np.uint8, _shape(form)) as images,
        Spool(scratch, np.uint8, (size, size)) as masks,
        warnings.catch_warnings(),
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        warnings.simplefilter("ignore")  # of odd metadata, without the file's name
        count = rows_in_piece(_shape(form), np.dtype(np.uint8))
        for start in range(0, len(files), count):
            for pixels, mask in pool.map(read, files[start : start + count]):
                images.add(pixels[np.newaxis])
                masks.add(mask[np.newaxis])
        return Pairs(Rows.of(images.mapped()), Rows.of(masks.mapped()))


def _shape(form: ImageForm) -> tuple[int, int, int]:
    return form.channels, form.size, form.size


def _listed(folder: Path) -> list[tuple[Path, Path]]:
    """(image, mask) by name. Raises DataError where one has no other."""
    found = {}
    for kind in (IMAGES, MASKS):
        place = folder / kind
        if not place.is_dir():
            raise DataError(
                f"there is no folder '{place}'; images lie in {folder.name}/{IMAGES}, masks in {folder.name}/{MASKS}."
            )
        taken = [path for path in sorted(place.iterdir()) if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
        found[kind] = {path.stem: path for path in taken}
        if len(found[kind]) < len(taken):
            twice = next(path for path in taken if found[kind][path.stem] != path)
            raise DataError(f"'{place}' has two files named '{twice.stem}'; a mask is found by its image's name.")
    images, masks = found[IMAGES], found[MASKS]
    if not images:
        raise DataError(f"'{folder / IMAGES}' holds no image ({', '.join(sorted(SUFFIXES))}).")
    for name in sorted(images.keys() ^ masks.keys()):
        if name in images:
            raise DataError(f"'{images[name]}' has no mask '{folder / MASKS / name}.png'; add it, or remove the image.")
        raise DataError(f"the mask '{masks[name]}' has no image in '{folder / IMAGES}'; add it, or remove the mask.")
    return [(images[name], masks[name]) for name in sorted(images)]


def _read_mask(task: MaskFolder, picture: Path, path: Path) -> Pixels:
    """(size, size) class numbers."""
    if path.suffix.lower() != ".png":
        raise DataError(f"the mask '{path}' is no PNG; other formats change numbers as they are saved.")
    try:
        with Image.open(path, formats=["PNG"]) as mask, Image.open(picture) as image:
            mask.load()
            upright = ImageOps.exif_transpose(image).size
    except UNREADABLE as error:
        raise DataError(
            f"the mask '{path}' cannot be read ({reason(error)}); mend it, or remove it and its image."
        ) from None
    if mask.size != upright:
        wide, high = mask.size
        raise DataError(f"the mask '{path}' has {wide}x{high} pixels, and its image {upright[0]}x{upright[1]}.")
    numbers = Image.fromarray(_class_numbers(task, mask, path))
    size = (task.image_size, task.image_size)
    if numbers.size != size:
        numbers = ImageOps.fit(numbers, size, Image.Resampling.NEAREST, centering=task.image_form().crop_centre)
    return np.asarray(numbers)


def _class_numbers(task: MaskFolder, mask: Image.Image, path: Path) -> Pixels:
    """(height, width): what a mask's pixels say, as class numbers."""
    if task.colours:
        return _of_colours(task, np.asarray(mask.convert("RGB")), path)
    if mask.mode not in ("1", "L", "P"):
        remedy = "say `colours`" if mask.mode.startswith("RGB") else "save it with 8 bits"
        raise DataError(
            f"the mask '{path}' is of mode {mask.mode}, and class numbers are grey or of a palette; {remedy}."
        )
    return np.asarray(mask).astype(np.uint8)


def _of_colours(task: MaskFolder, pixels: Pixels, path: Path) -> Pixels:
    weights = np.array([1 << 16, 1 << 8, 1])
    codes = pixels.astype(np.int64) @ weights
    numbers = np.full(codes.shape, -1, np.int16)
    for number, colour in enumerate(task.colours.values()):
        numbers[codes == np.array(colour) @ weights] = number
    if task.ignore_colour is not None:
        numbers[codes == np.array(task.ignore_colour) @ weights] = task.ignore
    if (numbers < 0).any():
        odd = pixels[numbers < 0][0].tolist()
        raise DataError(f"the mask '{path}' has a pixel of colour {odd}, which `colours` does not name.")
    return numbers.astype(np.uint8)


def _numbered(task: MaskFolder, root: Path, masks: Rows) -> tuple[str, ...]:
    """Numbers as names, up to the largest in the training masks. Raises DataError where one of them never occurs."""
    every = np.unique(np.concatenate([np.unique(piece) for piece in masks.pieces()]))
    found = [number for number in every.tolist() if number != task.ignore]
    if len(found) < 2:
        raise DataError(
            f"the masks of '{root / 'train'}' hold {len(found)} classes beside {task.ignore}; two are needed."
        )
    absent = sorted(set(range(found[-1] + 1)) - set(found))
    if absent:
        raise DataError(
            f"the masks of '{root / 'train'}' hold class {found[-1]}, and never {absent[0]}; number the classes from 0 "
            "without gaps, or say class_names (of class numbers) or colours (of a palette)."
        )
    return tuple(map(str, found))


def _check_classes(task: MaskFolder, folder: Path, masks: Rows, count: int) -> None:
    most = max(int(piece[piece != task.ignore].max(initial=0)) for piece in masks.pieces())
    if most >= count:
        raise DataError(
            f"the masks of '{folder}' hold {most}, and classes are 0 to {count - 1}; say what counts nowhere as "
            "`ignore`."
        )


def _preprocessing(task: MaskFolder, images: Rows) -> Preprocessing:
    if task.mean is not None and task.std is not None:
        return Preprocessing(scale=1 / 255, mean=task.mean, std=task.std)
    mean, std = channel_statistics(images)
    return Preprocessing(scale=1 / 255, mean=mean, std=std)

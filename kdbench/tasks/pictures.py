"""Image files to one array, several at a time; a file that cannot be read is left out and named."""

import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.Image import Transpose

from kdbench.errors import DataError
from kdbench.protocols import ImageForm
from kdbench.tasks._labelled import Labelled
from kdbench.tasks.image_listing import File, printable
from kdbench.tasks.rows import rows_in_piece
from kdbench.tasks.spool import Spool

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
"""What a file may hold, whatever its name says: pictures of pixels. Others start programs (EPS: Ghostscript)."""
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow raises for files that are torn or odd, found by feeding it such files; MemoryError is about no file."""
ORIENTATION = 0x0112
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the picture upright."""


def read_pictures(root: Path, files: Sequence[File], form: ImageForm, scratch: Path) -> tuple[Labelled, dict[str, str]]:
    """The readable images, uint8 (N, channels, size, size), and {file name: why it was left out}.

    The images are mapped from a file that has no name in the folder `scratch` and is gone with them: of however many,
    a few MiB are in memory at once.
    """
    shape = (form.channels, form.size, form.size)
    labels, unreadable = [], {}
    with Spool(scratch, np.uint8, shape) as spool:
        for file, picture in _read_each(root, files, form, rows_in_piece(shape, np.dtype(np.uint8))):
            if isinstance(picture, str):
                unreadable[printable(file.name)] = picture
            else:
                spool.add(picture[np.newaxis])
                labels.append(file.label)
        return Labelled(spool.mapped(), np.array(labels, np.int64)), unreadable


def _read_each(
    root: Path, files: Sequence[File], form: ImageForm, most: int
) -> Iterator[tuple[File, NDArray[np.uint8] | str]]:
    """Each file with its picture, or why it has none; at most `most` pictures are held."""

    def read(file: File) -> NDArray[np.uint8] | str:
        try:
            return read_picture(root / file.name, form)
        except MemoryError:
            raise DataError(
                f"memory has no room for the picture '{root / file.name}'; make it smaller, or remove it."
            ) from None
        except UNREADABLE as error:
            return reason(error)

    Image.init()  # before threads ask for it
    # Pillow decodes and resizes without holding the interpreter's lock
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # of odd metadata, without the file's name
        for start in range(0, len(files), most):
            some = files[start : start + most]
            yield from zip(some, pool.map(read, some), strict=True)


def read_picture(path: Path, form: ImageForm) -> NDArray[np.uint8]:
    """(channels, size, size), as the form says. Raises one of UNREADABLE."""
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"mode {image.mode} has more than 8 bits a channel")
        picture = _upright(image).convert("L" if form.channels == 1 else "RGB")
    size = (form.size, form.size)
    if picture.size != size:
        picture = ImageOps.fit(picture, size, Image.Resampling[form.resize.upper()], centering=form.crop_centre)
    pixels = np.asarray(picture)
    return pixels[np.newaxis] if form.channels == 1 else pixels.transpose(2, 0, 1)


def _upright(image: Image.Image) -> Image.Image:
    """The picture as its EXIF orientation says; whatever else its metadata holds, sound or not, does not matter."""
    try:
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except UNREADABLE:
        turn = None
    return image if turn is None else image.transpose(turn)


def reason(error: BaseException) -> str:
    """Why, without the path that Pillow puts into its messages."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__

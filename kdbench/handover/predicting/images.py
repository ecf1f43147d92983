"""Reads image files as the model's data was decoded: upright, RGB or grey, of one size."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.handover.predicting.example import BadInput, Example, Examples, Manifest, leave_out
from kdbench.handover.predicting.folders import find_files

READS = "images, or folders of images; a folder that holds a folder a class says how often the model is right"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
"""What a file may hold, whatever its name says. Others start programs (EPS: Ghostscript)."""
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, struct.error, zlib.error),
)
"""What Pillow raises for files that are torn or odd."""


def read(path: str, manifest: Manifest) -> Examples:
    """Every readable image; the others are named on stderr. Raises BadInput where there are none."""
    try:
        import PIL.Image  # noqa: F401  # whether it is there
    except ImportError:
        raise BadInput("reading images needs Pillow; type: pip install pillow.") from None
    for file, targets in find_files(Path(path), manifest, SUFFIXES):
        try:
            yield Example(str(file), (read_image(file, manifest["image"]),), targets)
        except UNREADABLE as error:
            leave_out(f"{file}: {error}")


def read_image(path: Path, form: dict[str, Any]) -> Any:
    """uint8 (channels, size, size): upright, RGB or grey, resized on the shorter side and cut where sizes differ."""
    from PIL import Image, ImageOps

    if not path.is_file():
        raise ValueError("it is no regular file")
    Image.init()
    try:
        with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"mode {image.mode} has more than 8 bits a channel")
            picture = upright(image).convert("L" if form["channels"] == 1 else "RGB")
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None
    size = (form["size"], form["size"])
    if picture.size != size:
        method = Image.Resampling[form["resize"].upper()]
        picture = ImageOps.fit(picture, size, method, centering=tuple(form["crop_centre"]))
    pixels = np.asarray(picture)
    return pixels[np.newaxis] if form["channels"] == 1 else pixels.transpose(2, 0, 1)


def upright(image: Any) -> Any:
    """The picture as its EXIF orientation says; whatever else its metadata holds does not matter."""
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(0x0112, 1)
    except UNREADABLE:
        orientation = 1
    turns = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
    if orientation not in range(2, 9):
        return image
    return image.transpose(Transpose[turns[int(orientation) - 2]])

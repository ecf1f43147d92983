"""Copies of a model in other bytes: a program that knows files by their digest takes each for a file of its own."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.errors import MeasureError
from kdbench.files import sha256_of
from kdbench.timing.onnx_files import content_of, copy_whole, data_files

DOC_STRING = 6
"""The number of ModelProto's field `doc_string` in onnx.proto."""
LENGTH_DELIMITED = 2
"""Protocol Buffers' wire type of a text."""


def several(model: Path, folder: Path, count: int) -> dict[str, Path]:
    """Digest -> path of `count` files that are one model: the file itself, then copies of it in `folder`.

    A model whose weights lie in files beside it is made one file first. Raises MeasureError where it cannot be read.
    """
    if data_files(model):
        model = write_copy(model, folder / f"{content_of(model)}.onnx", "kdbench, load 1")
    digest = sha256_of(model)
    found = {digest: model}
    for number in range(2, count + 1):
        copy = write_copy(model, folder / f"{digest}-{number}.onnx", f"kdbench, load {number}")
        found[sha256_of(copy)] = copy
    return found


def write_copy(model: Path, copy: Path, text: str) -> Path:
    """Write `model` as one file with `text` for its doc string. Raises MeasureError where it cannot be read."""
    try:
        copy_whole(model, copy)
        copy.write_bytes(with_doc_string(copy.read_bytes(), text))
    except OSError as error:
        raise MeasureError(f"cannot copy the model {model} ({error.strerror}); name an ONNX file.") from None
    return copy


def with_doc_string(model: bytes, text: str) -> bytes:
    """A serialized ONNX model with another doc string; not one byte of the rest changes.

    Of a field that is there twice Protocol Buffers take the last, so it is enough to add it at the end.
    """
    value = text.encode()
    return model + _varint(DOC_STRING << 3 | LENGTH_DELIMITED) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first, and a bit that says whether more follow."""
    *more, last = _sevens(number)
    return bytes([*(part | 0x80 for part in more), last])


def _sevens(number: int) -> Sequence[int]:
    return [number] if number < 0x80 else [number & 0x7F, *_sevens(number >> 7)]

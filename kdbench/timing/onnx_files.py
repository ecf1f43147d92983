"""A user's ONNX file, whose weights may lie in further files beside it: known by its content, and made whole."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from kdbench.errors import ModelError
from kdbench.files import regular, sha256_of

MENTION = b"location"
"""Stands in every file that keeps tensors elsewhere: the key under which it says where."""
LARGEST = 2**31 - 1
"""Bytes of one ONNX file, as Protocol Buffers have it."""


def content_of(path: Path) -> str:
    """A digest of a file and of those that its weights lie in.

    Raises OSError where the file itself cannot be read, ModelError where one that it names cannot.
    """
    digests = [sha256_of(path), *(sha256_of(place) for place in data_files(path))]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def data_files(path: Path) -> list[Path]:
    """The files beside an ONNX file that its weights lie in; none where it holds them itself.

    Raises ModelError where one is missing, lies elsewhere or is no regular file.
    """
    if MENTION not in path.read_bytes():
        return []
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs are there
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except DecodeError:
        return []  # whoever opens it says that it is no ONNX file
    constants = [value.t for node in graph.node for value in node.attribute if value.HasField("t")]
    outside = (tensor for tensor in (*graph.initializer, *constants) if uses_external_data(tensor))
    places = [path.parent / name for name in dict.fromkeys(ExternalDataInfo(tensor).location for tensor in outside)]
    for place in places:
        try:
            regular(place)
        except OSError as error:
            raise ModelError(
                f"'{path}' keeps its weights in '{place.name}' ({error.strerror}); put that file beside it."
            ) from None
        if not place.resolve().is_relative_to(path.parent.resolve()):
            raise ModelError(f"'{path}' keeps its weights in '{place}', outside its own folder; save it as one file.")
    return places


def copy_whole(path: Path, copy: Path) -> None:
    """Copy an ONNX file, with the weights that lie beside it in it. Raises OSError, ModelError."""
    places = data_files(path)
    if not places:
        shutil.copyfile(regular(path), copy)
        return
    import onnx

    if sum(place.stat().st_size for place in (path, *places)) > LARGEST:
        raise ModelError(f"'{path}' with its weights is larger than the 2 GiB that one ONNX file may have.")
    onnx.save(onnx.load(path), copy)

"""Files of one sort in a folder, by class where it has folders of their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdbench.handover.predicting.example import BadInput, Manifest, answering_outputs

Found = list[tuple[Path, "tuple[int, ...] | None"]]
"""Each file, and its true class where it lies in a folder of that name."""


def find_files(path: Path, manifest: Manifest, suffixes: tuple[str, ...]) -> Found:
    """A file; or a folder's files. Raises BadInput where there are none."""
    if not path.is_dir():
        if not path.exists():
            raise BadInput(f"there is no '{path}'.")
        return [(path, None)]
    first: dict[str, Any] = answering_outputs(manifest)[0]
    names = first["class_names"] if first["kind"] == "classes" else []
    found: Found = []
    for label, name in enumerate(names):
        found += [(file, (label,)) for file in _files_in(path / name, suffixes)]
    found = found or [(file, None) for file in _files_in(path, suffixes)]
    if not found:
        of_classes = f", nor in a folder of a class there ({', '.join(names)})" if names else ""
        raise BadInput(f"no file that ends in {', '.join(suffixes)} lies in {path}{of_classes}.")
    return found


def _files_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    files = folder.iterdir() if folder.is_dir() else ()
    found = (file for file in files if file.name.lower().endswith(suffixes) and not file.name.startswith("."))
    return sorted(found, key=lambda file: file.name)

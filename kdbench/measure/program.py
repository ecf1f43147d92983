"""The measuring program as one file, a zipapp: which modules are in it, and how it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdbench.files import write_archive

BROUGHT = "brought"
"""Where in the program the modules of a third party's runtime lie."""

ENTRY = "import sys\n\nfrom kdbench.measure.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"
"""The zipapp's __main__.py."""


@dataclass(frozen=True)
class Carried:
    """A third party's runtime as it travels with the program."""

    place: str
    """"module:Class", which the program imports."""
    files: Mapping[str, bytes]
    """The path of each module, below a folder that is searched last -> its text."""

    @property
    def digest(self) -> str:
        """Digest of the class's place and all texts: numbers of this runtime rest on them."""
        parts = [
            self.place.encode(),
            *(part for item in sorted(self.files.items()) for part in (item[0].encode(), item[1])),
        ]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()


def pack(path: Path, carried: Carried | None = None) -> Path:
    """Write the program as one file that any Python >= 3.9 with numpy and a runtime runs; always the same bytes."""
    return write_archive(path, {**sources(carried), "__main__.py": ENTRY.encode()})


def sources(carried: Carried | None = None) -> dict[str, bytes]:
    """The text of each of the program's modules, by its place in an archive."""
    package = Path(__file__).resolve().parent.parent
    ground = (package / name for name in ("__init__.py", "errors.py", "files.py", "ragged.py"))
    paths = [*ground, *(package / "measure").rglob("*.py"), *(package / "measure").rglob("*.mjs")]
    brought = {f"{BROUGHT}/{name}": text for name, text in carried.files.items()} if carried else {}
    return {**{path.relative_to(package.parent).as_posix(): path.read_bytes() for path in paths}, **brought}

"""The measuring program as one file, a zipapp: which modules are in it, and how it is written."""

from __future__ import annotations

from pathlib import Path

from kdbench.files import write_archive

ENTRY = "import sys\n\nfrom kdbench.measure.__main__ import main\n\nsys.exit(main(sys.argv[1:]))\n"
"""The zipapp's __main__.py."""


def pack(path: Path) -> Path:
    """Write the program as one file that any Python >= 3.9 with numpy and a runtime runs; always the same bytes."""
    return write_archive(path, {**sources(), "__main__.py": ENTRY.encode()})


def sources() -> dict[str, bytes]:
    """The text of each of the program's modules, by its place in an archive."""
    package = Path(__file__).resolve().parent.parent
    ground = (package / name for name in ("__init__.py", "errors.py", "files.py"))
    paths = [*ground, *(package / "measure").rglob("*.py")]
    return {path.relative_to(package.parent).as_posix(): path.read_bytes() for path in paths}

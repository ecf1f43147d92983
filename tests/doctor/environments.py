"""Python environments made by hand: with nothing, with this one's packages, with distributions that overwrite."""

import base64
import hashlib
import sys
import venv
from collections.abc import Callable
from pathlib import Path

Script = Callable[[str], Path]
"""The fixture `script`: makes a shell script that is named as an interpreter."""

STATE = "onnxruntime/capi/onnxruntime_pybind11_state.so"
RUNTIME = """
__version__ = {version!r}
class InferenceSession: pass
def get_available_providers(): return {providers!r}
"""


def environment(folder: Path) -> Path:
    """An environment without a package; the path of its interpreter."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    return folder / "bin" / "python"


def packages(python: Path) -> Path:
    """Where an environment's packages lie."""
    (folder,) = (python.parent.parent / "lib").glob("python*/site-packages")
    return folder


def share(python: Path) -> Path:
    """Let an environment see the packages of the one that runs the tests."""
    places = [place for place in sys.path if place.endswith("site-packages")]
    (packages(python) / "shared.pth").write_text("\n".join(places))
    return python


def add_numpy(python: Path) -> Path:
    (packages(python) / "numpy.py").write_text("__version__ = '2.0.0'\n")
    return python


def install(python: Path, name: str, version: str, providers: tuple[str, ...] = ("CPUExecutionProvider",)) -> None:
    """What pip leaves of an onnxruntime: its files over what is there, and a RECORD of them with their hashes."""
    site = packages(python)
    files = {
        "onnxruntime/__init__.py": RUNTIME.format(version=version, providers=list(providers)),
        STATE: f"compiled for {name} {version}",
        f"onnxruntime/{name}.txt": "only this one has it",
    }
    for file, text in files.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(text)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},{_hash(text)},{len(text)}\n" for file, text in files.items()))


def uninstall(python: Path, name: str) -> None:
    """What pip does: it removes every file of the RECORD, whoever else has it in its own."""
    site = packages(python)
    (info,) = site.glob(f"{name.replace('-', '_')}-*.dist-info")
    for line in (info / "RECORD").read_text().splitlines():
        (site / line.split(",")[0]).unlink()
    for file in info.iterdir():
        file.unlink()
    info.rmdir()


def _hash(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")

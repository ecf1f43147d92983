"""The house: who may import whom, what stays light, which code has changed without saying so."""

import ast
import hashlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdbench
from kdbench import registry

HOUSE = Path(kdbench.__file__).parent
HASHES = Path(__file__).with_name("part_hashes.json")


def storeys() -> list[tuple[list[str], list[set[str]]]]:
    """The drawing in kdbench's docstring from the ground up: rooms of each storey, and which of them are peers."""
    drawn = [line.split()[1:] for line in (kdbench.__doc__ or "").splitlines() if line.startswith("    ")]
    found = []
    for words in reversed(drawn):
        groups: list[set[str]] = []
        for before, word in zip(["", *words], words, strict=False):
            if word != "·":
                groups = [*groups[:-1], groups[-1] | {word}] if before == "·" else [*groups, {word}]
        found.append(([word for word in words if word != "·"], groups))
    return found


STOREYS = storeys()
OUTSIDE = {
    "torch": {
        *("functional", "state_dicts", "training", "techniques", "models", "tasks", "stages"),
        "run",
        "measure",
        "testing",
    },
    "torchvision": {"models", "tasks"},
    "pandas": {"evidence", "render"},
    "scipy": {"evidence", "render"},
    "matplotlib": {"render"},
    "ruamel": {"suite"},
    "rich": {"run", "render", "cli"},
    "onnxruntime": {"measure", "techniques", "handover"},
}
ROOT = {"__init__", "__main__"}


def room(path: Path) -> str:
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return sorted(HOUSE.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module a file imports at run time, with its line."""
    tree = ast.parse(path.read_text())
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            if node.module == "kdbench":
                yield from ((f"kdbench.{alias.name}", node.lineno) for alias in node.names)


def height(name: str) -> tuple[int, int]:
    """Storey, and place of the room's group of peers on it."""
    for storey, (_, groups) in enumerate(STOREYS):
        for place, group in enumerate(groups):
            if name in group:
                return storey, place
    raise AssertionError(f"kdbench/{name} has no place in the house; draw it in kdbench/__init__.py.")


def may_import(importer: str, imported: str) -> bool:
    if importer == imported or imported in {"__version__", "__init__", "load"}:
        return True
    return height(imported) < height(importer)


def test_a_room_imports_only_what_lies_below_it_or_to_its_left() -> None:
    wrong = [
        f"{path.relative_to(HOUSE)}:{line} imports {name}"
        for path in files()
        if room(path) not in ROOT
        for name, line in imports(path)
        if name.startswith("kdbench.") and not may_import(room(path), name.split(".")[1])
    ]
    assert wrong == []


@pytest.mark.parametrize("package", OUTSIDE)
def test_a_package_is_known_in_its_own_rooms_only(package: str) -> None:
    rooms = {room(path) for path in files() for name, _ in imports(path) if name.split(".")[0] == package}
    assert rooms <= OUTSIDE[package]


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_every_registered_part_is_described_without_loading_torch() -> None:
    code = (
        "import sys\n"
        "from kdbench import registry\n"
        "from kdbench.cli._listing import describe_text\n"
        "for kind in registry.KINDS:\n"
        "    for name in registry.TABLE[kind]:\n"
        "        describe_text(name)\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'onnx', 'onnxruntime', 'PIL', 'pandas', 'scipy', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    assert run(code) == "[]\n"


def test_a_suite_is_planned_without_loading_torch() -> None:
    suite = HOUSE.parent / "suites" / "quickstart.yaml"
    code = (
        "import sys\n"
        "from kdbench.plan import rows\n"
        "from kdbench.suite import reader\n"
        "from kdbench.timing import probe\n"
        f"loaded = reader.load({str(suite)!r})\n"
        "made = rows.make_plan(loaded, probe.machine([None]))\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'onnx', 'pandas'}\n"
        "print(len(made.stages) > 50, sorted(heavy & set(sys.modules)))\n"
    )
    assert run(code) == "True []\n"


def sources() -> dict[str, str]:
    """Registered name -> hash of what its numbers depend on: its own module and the private modules it shares."""
    found = {}
    for kind in registry.KINDS:
        for name, place in registry.TABLE[kind].items():
            module = Path(inspect.getfile(registry.resolve(kind, name)))
            version = registry.resolve(kind, name).version
            text = "".join(ast.dump(_without_docs(ast.parse(module.read_text()))) for module in _with_private(module))
            found[f"{kind} {name} {place} version {version}"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return found


def _with_private(module: Path) -> list[Path]:
    """A module and the private modules of its own room that it rests on."""
    found, waiting = [module], [module]
    while waiting:
        names = {name for name, _ in imports(waiting.pop())}
        private = [path for path in sorted(module.parent.glob("_*.py")) if path not in found]
        used = [path for path in private if any(name.endswith(f".{path.stem}") for name in names)]
        found += used
        waiting += used
    return [module, *sorted(found[1:])]


def _without_docs(tree: ast.Module) -> ast.Module:
    """Docstrings and field descriptions change no number."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]  # type: ignore[attr-defined]
    return tree


def test_a_part_whose_code_changed_says_whether_its_numbers_did() -> None:
    """After a change: raise `version` if the numbers change, then `python tests/contracts/test_rooms.py`."""
    known = json.loads(HASHES.read_text())
    for name, digest in sources().items():
        assert name in known, f"{name} is new here; run `python {Path(__file__).name}` to note it."
        assert known[name] == digest, f"{name} changed: raise `version` if its numbers change, then note the new hash."


if __name__ == "__main__":
    HASHES.write_text(json.dumps(sources(), indent=1, sort_keys=True) + "\n")

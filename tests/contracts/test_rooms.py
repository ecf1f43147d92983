"""The house: who may import whom, and what stays light."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kdbench

HOUSE = Path(kdbench.__file__).parent


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
    """Everything a file imports at run time by its full name, `kdbench.errors.KdbenchError`, with its line."""
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
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


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


def test_a_private_module_is_imported_within_its_own_folder_only() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer, found in module_imports().items()
        for imported in sorted(found)
        if imported.rpartition(".")[2].startswith("_") and not imported.endswith(".__main__")
        if not f"{importer}.".startswith(f"{imported.rpartition('.')[0]}.")
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        list(graphlib.TopologicalSorter(module_imports()).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def module_imports() -> dict[str, set[str]]:
    """Module -> the modules of kdbench that it imports at run time, anywhere in its code."""
    paths = {".".join(path.relative_to(HOUSE.parent).with_suffix("").parts): path for path in files()}
    modules = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = (name if name in modules else name.rpartition(".")[0] for name, _ in imports(path))
        found[module] = {name for name in names if name in modules and name != module}
    return found


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
        "from kdbench.cli._describe import describe_text\n"
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

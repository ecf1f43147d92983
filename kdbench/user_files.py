"""A user's own `file.py:Class`: the files that it is made of, what else it rests on, and the class that they give.

The file's own folder and the suite's are importable for the user's own files, and for nothing else: such a `utils.py`
or `random.py` is not in the way of any library. All these files are read as text, enter keys by their content, travel
with a stage's spec and run from that text, in any process and on any machine.

What a file imports from elsewhere must be installed where it runs. Where that is an editable place (no site-packages),
its text enters keys too. So does the content of every file and folder that a string in the user's own files names.
"""

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast

from kdbench.contents import content_digest
from kdbench.errors import UnknownName, UserCodeError, nearest, users_line

LONGEST_PATH = 255
INSTALLED = {"site-packages", "dist-packages"}
"""Folders that pip installs into."""


@dataclass(frozen=True)
class UserFile:
    """One of a user's own files."""

    module: str
    """The name that other files import it by: `blocks`, `parts.stem`."""
    path: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class UserCode:
    """The source of a `file.py:Class`: its own text, and all that it imports."""

    files: tuple[UserFile, ...]
    """The named file, then those that it imports from beside it. None for a class that is installed as editable."""
    digests: dict[str, str] = field(default_factory=dict)
    """What the code rests on beside them: modules of editable places and, once it is `located`, what strings name."""

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "UserCode":
        """From the JSON of `dataclasses.asdict`."""
        return cls(tuple(UserFile(**file) for file in data["files"]), data["digests"])

    def located(self) -> "UserCode":
        """A copy that knows the content of every file and folder that a string in its files names."""
        found = {}
        for file in self.files:
            for value in _mentions(file.text, file.path)[1]:
                digest = digest_of_named(value, Path(file.path).parent)
                if digest is not None:
                    found[f"'{value}'"] = digest
        return replace(self, digests={**self.digests, **dict(sorted(found.items()))})

    def identity(self) -> dict[str, Any]:
        """What keys depend on: every text and digest, wherever the files lie."""
        texts = {file.module: hashlib.sha256(file.text.encode()).hexdigest() for file in self.files}
        return {"files": texts, "digests": self.digests}

    def find_class(self, name: str) -> type[Any]:
        """The class of this name in the named file, or the function; the same code gives the same class.

        Raises UserCodeError where the code cannot be imported, UnknownName where it has no such class.
        """
        module = _load(self.files)
        found = getattr(module, name, None)
        if not isinstance(found, type | FunctionType):
            classes = [key for key, value in vars(module).items() if isinstance(value, type) and key[:1] != "_"]
            raise UnknownName(f"'{self.files[0].path}' has no class '{name}'. {nearest(name, classes)}")
        return cast("type[Any]", found)


def collect(path: Path, suite_folder: Path) -> UserCode:
    """The sources of the user's file at `path`.

    Raises UnknownName where it cannot be read, UserCodeError where a file is no Python.
    """
    code = _Collected([path.parent, suite_folder])
    code.add(path.stem, path, carried=True)
    return UserCode(tuple(code.files), dict(sorted(code.digests.items())))


def editable_digests(cls: type[Any]) -> dict[str, str]:
    """What a class of an installed package rests on where that package lies in an editable place; else nothing."""
    code = _Collected([])
    code.follow(cls.__module__)
    return dict(sorted(code.digests.items()))


class _Collected:
    """Files as they are found, each read once."""

    def __init__(self, beside: Sequence[Path]) -> None:
        self.beside = beside
        self.files: list[UserFile] = []
        self.digests: dict[str, str] = {}
        self.seen: set[Path] = set()

    def add(self, module: str, path: Path, carried: bool) -> None:
        if path in self.seen:
            return
        self.seen.add(path)
        text = _read(path)
        if carried:
            self.files.append(UserFile(module, str(path), text))
        else:
            self.digests[module] = hashlib.sha256(text.encode()).hexdigest()
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for name in _mentions(text, str(path))[0]:
            self.follow(_absolute(name, package))

    def follow(self, name: str) -> None:
        """Add what importing `name` runs: it and every package around it, where they are the user's."""
        parts = name.split(".")
        if parts[0] == "kdbench":  # also where the current folder is that of kdbench's own source
            return
        for length in range(1, len(parts) + 1):
            module = ".".join(parts[:length])
            beside = _module_file(module, self.beside)
            found = beside or _module_file(module, _editable_folders(parts[0]))
            if found is not None:
                self.add(module, found, carried=beside is not None)


def digest_of_named(value: str, folder: Path) -> str | None:
    """The content of the file or folder that a string names, as seen from the current folder and from `folder`.

    None where it names none.
    """
    if len(value) > LONGEST_PATH or "\0" in value or not any(letter.isalnum() for letter in value):
        return None
    place = Path(value).expanduser() if value.startswith("~/") else Path(value)
    found = (content_digest(at / place) for at in (Path(), folder))
    return "+".join(dict.fromkeys(digest for digest in found if digest is not None)) or None


def _read(path: Path) -> str:
    try:
        if not path.is_file() and path.exists():
            raise UnknownName(f"'{path}' is no regular file; name a Python file.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnknownName(f"cannot read '{path}' ({error.strerror}); it is looked up beside the suite file.") from None
    except UnicodeDecodeError:
        raise UserCodeError(f"'{path}' is not UTF-8 text; save it as UTF-8.") from None


@cache
def _mentions(text: str, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The modules that a text imports anywhere (`.` before relative ones), and its strings but docstrings."""
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError) as error:
        raise UserCodeError(_told(error, path)) from None
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    imported, strings = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            imported += [f"{start}{'.' if node.module else ''}{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            strings.append(node.value)
    return tuple(dict.fromkeys(imported)), tuple(dict.fromkeys(strings))


def _absolute(name: str, package: str) -> str:
    level = len(name) - len(name.lstrip("."))
    if level == 0:
        return name
    around = package.split(".")[: len(package.split(".")) - level + 1] if package else []
    return ".".join([*around, name[level:]])


def _module_file(module: str, folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        place = folder.joinpath(*module.split("."))
        for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if path.is_file():
                return path
    return None


@cache
def _editable_folders(top: str) -> tuple[Path, ...]:
    """The folder that holds a top-level module, where it is neither kdbench, the standard library nor installed."""
    if top in sys.stdlib_module_names or top == "kdbench" or not top.isidentifier():
        return ()
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # a module that was made by hand has no spec
        return ()
    if spec is None:
        return ()
    places = [Path(place).parent for place in spec.submodule_search_locations or ()]
    if spec.origin is not None and spec.has_location and not places:
        places = [Path(spec.origin).parent]
    return tuple(place for place in places if not INSTALLED & {*place.parts})


def _load(files: tuple[UserFile, ...]) -> ModuleType:
    """Import the first of these files."""
    finder = _finder(files)
    if finder not in sys.meta_path:
        sys.meta_path.append(finder)
    try:
        return importlib.import_module(f"{finder.prefix}.{files[0].module}")
    except (Exception, SystemExit) as error:  # whatever a user's file does when it is imported becomes a sentence
        raise UserCodeError(_told(error, files[0].path)) from error


def _told(error: BaseException, path: str) -> str:
    """One sentence: what went wrong, and the last line of the user's code that was reached."""
    place, text = users_line(error), (f"{type(error).__name__}: {error}".splitlines())[0].rstrip(".: ")
    if isinstance(error, SyntaxError):
        place, text = f"{error.filename or path}:{error.lineno}", f"{type(error).__name__}: {error.msg}"
    if isinstance(error, SystemExit):
        text = 'it ends the program (sys.exit); put that under `if __name__ == "__main__":`'
    if isinstance(error, ModuleNotFoundError):
        text += "; a module of your own lies beside the file or the suite, any other must be installed"
    return ": ".join([f"'{path}' cannot be imported", *([place] if place else []), f"{text}."])


@cache
def _finder(files: tuple[UserFile, ...]) -> "_Finder":
    return _Finder(files)


class _Finder(MetaPathFinder, Loader):
    """Gives a user's files as modules below a name of their own, `kdbench_user_DIGEST`."""

    def __init__(self, files: tuple[UserFile, ...]) -> None:
        self.files = {file.module: file for file in files}
        told = repr([(file.module, file.path, file.text) for file in files])
        self.prefix = f"kdbench_user_{hashlib.sha256(told.encode()).hexdigest()[:16]}"

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self.prefix and not fullname.startswith(f"{self.prefix}."):
            return None
        name = fullname[len(self.prefix) + 1 :]
        if name in self.files:
            place = self.files[name].path
            spec = ModuleSpec(fullname, self, origin=place, is_package=Path(place).name == "__init__.py")
            spec.has_location = True  # so that the module has a __file__
            return spec
        inside = not name or any(module.startswith(f"{name}.") for module in self.files)
        return ModuleSpec(fullname, self, is_package=True) if inside else None

    def exec_module(self, module: ModuleType) -> None:
        file = self.files.get(module.__name__[len(self.prefix) + 1 :])
        if file is not None:
            tops = {name.partition(".")[0] for name in self.files}
            tree = _OwnImports(self.prefix, tops).visit(ast.parse(file.text, file.path))
            exec(compile(ast.fix_missing_locations(tree), file.path, "exec"), module.__dict__)


class _OwnImports(ast.NodeTransformer):
    """Sends imports of the user's own modules to where `_Finder` has them."""

    def __init__(self, prefix: str, tops: set[str]) -> None:
        self.prefix = prefix
        self.tops = tops

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.level == 0 and (node.module or "").partition(".")[0] in self.tops:
            return ast.copy_location(ast.ImportFrom(f"{self.prefix}.{node.module}", node.names, 0), node)
        return node

    def visit_Import(self, node: ast.Import) -> list[ast.AST]:
        return [ast.copy_location(made, node) for alias in node.names for made in self._imports(alias)]

    def _imports(self, alias: ast.alias) -> Iterator[ast.stmt]:
        package, _, last = f"{self.prefix}.{alias.name}".rpartition(".")
        top = alias.name.partition(".")[0]
        if top not in self.tops:
            yield ast.Import([alias])
        elif alias.asname or top == alias.name:
            yield ast.ImportFrom(package, [ast.alias(last, alias.asname)], 0)
        else:  # `import a.b` loads a.b and binds a
            yield ast.ImportFrom(package, [ast.alias(last, "_")], 0)
            yield ast.ImportFrom(self.prefix, [ast.alias(top)], 0)

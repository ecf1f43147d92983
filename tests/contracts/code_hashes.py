"""What the numbers of each versioned unit rest on: the definitions that its code reaches, and a hash of each.

A unit is a registered part, the recipe, a kind of stage, or the training loop. From a unit's own definition the closure
follows every name that code uses: within a file, over imports (those inside functions too), through names that a
package loads lazily, and over strings that name a module of kdbench ("kdbench.measure.clock:run"). It goes from
definition to definition, not from file to file: whoever uses one loss rests on that loss and not on its neighbours.

What changes no number is left out: comments, docstrings, annotations of functions, the text of what is raised, and the
modules in WORDS. A name that is looked up in the registry at run time is not followed: that part has its own version,
which is in the same key.

`python tests/contracts/code_hashes.py` notes the hashes of now in code_hashes.json.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import kdbench
from kdbench import registry, stages

NOTED = Path(__file__).with_suffix(".json")
COMMAND = "python tests/contracts/code_hashes.py"
WORDS = {
    *("kdbench.errors", "kdbench.units", "kdbench.protocols.field_errors"),
    *("kdbench.registry", "kdbench.user_files", "kdbench.contents", "kdbench.protocols.part"),
}
"""Sentences; the table of names; fields and digests, which decide keys and no numbers."""
LOOP = ("kdbench.training.loop:Training", "kdbench.tasks.batches")
"""What `stages.LOOP_VERSION` speaks for; the kinds in LOOPED have it in their keys."""
LOOPED = ("train", "compress")
NAMED = 8
"""Parts that a message names before it only counts."""
MODULE_NAME = re.compile(r"kdbench(?:\.\w+)+(?::\w+)?")


def package_sources() -> dict[str, str]:
    """Module name -> text, for every module of kdbench; a package is called as it is imported."""
    top = Path(kdbench.__file__).parent
    names = {path: ".".join(path.relative_to(top.parent).with_suffix("").parts) for path in sorted(top.rglob("*.py"))}
    return {name.removesuffix(".__init__"): path.read_text() for path, name in names.items()}


@dataclass
class Module:
    """What one file binds at its top level."""

    defined: dict[str, list[ast.stmt]] = field(default_factory=dict)
    """Name -> the statements that bind it."""
    imported: dict[str, str] = field(default_factory=dict)
    """Name -> "module" or "module:name"."""
    stars: list[str] = field(default_factory=list)
    """Modules whose names are all taken."""
    digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    @cache
    def read(cls, text: str) -> "Module":
        tree = _Plain().visit(ast.parse(text))
        imported = imports(tree.body, deep=False)
        stars = [target.partition(":")[0] for name, target in imported.items() if name.startswith("*")]
        module = cls(imported=imported, stars=stars)
        for statement in tree.body:
            if not isinstance(statement, ast.Import | ast.ImportFrom) and not for_type_checkers(statement):
                for name in _bound(statement) or [""]:  # "" is what runs when the module is imported
                    module.defined.setdefault(name, []).append(statement)
        return module

    def digest(self, name: str) -> str:
        """The hash of the statements that bind a name."""
        if name not in self.digests:
            text = repr([_canonical(statement) for statement in self.defined[name]])
            self.digests[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.digests[name]


def for_type_checkers(statement: ast.stmt) -> bool:
    """Whether it is an `if TYPE_CHECKING:`, whose imports tell the home of lazy names."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


class _Plain(ast.NodeTransformer):
    """Takes away what changes no number."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)


def imports(statements: Iterable[ast.stmt], deep: bool) -> dict[str, str]:
    """What imports bind to names: the file's own ones, or with `deep` all that stand anywhere in these statements."""
    found: dict[str, str] = {}
    for statement in statements:
        inside = not isinstance(statement, ast.FunctionDef | ast.ClassDef)
        for node in ast.walk(statement) if deep or inside else ():
            if isinstance(node, ast.Import):
                found |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "kdbench imports by full names"
                names = {alias.asname or alias.name: f"{node.module}:{alias.name}" for alias in node.names}
                found |= {f"* {node.module}" if name == "*" else name: target for name, target in names.items()}
    return found


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    return [
        node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ] + [node.name for node in ast.walk(statement) if isinstance(node, ast.FunctionDef | ast.ClassDef)]


class Code:
    """A whole package as definitions "module:name" that use each other."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.modules = {name: Module.read(text) for name, text in sources.items()}
        self._used: dict[str, set[str]] = {}

    def closure(self, starts: Iterable[str]) -> set[str]:
        """Every definition that these ("module:name", or "module" for all of it) rest on, themselves included."""
        found: set[str] = set()
        waiting = [definition for start in starts for definition in self.resolved(start)]
        while waiting:
            definition = waiting.pop()
            if definition not in found:
                found.add(definition)
                waiting += self.used(definition)
        return found

    def digest(self, definition: str) -> str:
        """The same for code that differs in comments, docstrings and layout only."""
        module, _, name = definition.partition(":")
        return self.modules[module].digest(name)

    def resolved(self, target: str) -> set[str]:
        """The definitions behind "module:name" or "module"; none for what is not kdbench's, or only words."""
        module, _, name = target.partition(":")
        if name and f"{module}.{name}" in self.modules:
            module, name = f"{module}.{name}", ""
        if module in WORDS or module not in self.modules:
            return set()
        if not name:
            return self._whole(module)
        known = self.modules[module]
        if name in known.defined:
            return {f"{module}:{name}"}
        if name in known.imported:
            return self.resolved(known.imported[name])
        for star in known.stars:
            if star in self.modules and name in self.modules[star].defined:
                return {f"{star}:{name}"}
        # a lazy name whose home is not told by an import for type checkers: it may be anywhere in the package
        inside = [other for other in self.modules if other.startswith(f"{module}.")]
        return set().union(*(self._whole(other) for other in inside)) if "__getattr__" in known.defined else set()

    def _whole(self, module: str) -> set[str]:
        program = f"{module}.__main__"
        also = self._whole(program) if program in self.modules else set()
        return {f"{module}:{name}" for name in self.modules[module].defined} | also

    def used(self, definition: str) -> set[str]:
        """The definitions that one mentions, and what runs when its module is imported."""
        if definition not in self._used:
            module, _, name = definition.partition(":")
            known = self.modules[module]
            own = known.defined[name]
            names = {
                **known.imported,
                **{name: f"{module}:{name}" for name in known.defined},
                **imports(own, deep=True),
            }
            targets = {target for statement in own for target in self._mentioned(statement, names)}
            start = {f"{module}:"} if "" in known.defined else set()
            self._used[definition] = start.union(*(self.resolved(target) for target in targets))
        return self._used[definition]

    def _mentioned(self, node: ast.AST, names: Mapping[str, str]) -> Iterator[str]:
        """What a piece of code speaks of, as "module:name" or "module"."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            target = names[node.value.id]
            module = target.replace(":", ".")
            yield f"{module}:{node.attr}" if module in self.modules else target
            return
        if isinstance(node, ast.Name) and node.id in names:
            yield names[node.id]
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from MODULE_NAME.findall(node.value)
        for child in ast.iter_child_nodes(node):
            yield from self._mentioned(child, names)


def _canonical(node: object) -> object:
    """A syntax tree as nested lists, without what differs between versions of Python."""
    if isinstance(node, list):
        return [_canonical(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if name not in ("ctx", "kind", "type_comment"))
    return [type(node).__name__, *((name, _canonical(value)) for name, value in fields if value not in (None, []))]


@dataclass(frozen=True)
class Unit:
    """Code with a version of its own."""

    kind: str
    """Which table of versions: a key of TO_RAISE."""
    name: str
    definitions: frozenset[str]


TO_RAISE = {
    "loop": "LOOP_VERSION in kdbench/stages/__init__.py",
    "stage": "in VERSIONS of kdbench/stages/__init__.py",
    "part": "`version` of",
}


def units(code: Code) -> list[Unit]:
    """Every unit, with the definitions that its version speaks for."""
    loop = code.closure(LOOP)
    found = [Unit("loop", "", frozenset(loop))]
    for kind, place in stages.TABLE.items():
        if kind == "rehearse":  # no number rests on it
            continue
        rests_on = code.closure([place]) - (loop if kind in LOOPED else set())
        found.append(Unit("stage", kind, frozenset(rests_on)))
    parts = [place for kind in registry.KINDS for place in registry.TABLE[kind].values()]
    for place in (*parts, "kdbench.protocols.recipe:Recipe"):
        found.append(Unit("part", place.partition(":")[2], frozenset(code.closure([place]))))
    return found


def hashes(code: Code) -> dict[str, dict[str, str]]:
    """Module -> name -> hash, of every definition that a unit rests on."""
    found: dict[str, dict[str, str]] = {}
    for definition in sorted(set().union(*(unit.definitions for unit in units(code)))):
        module, _, name = definition.partition(":")
        found.setdefault(module, {})[name] = code.digest(definition)
    return found


def noted() -> dict[str, dict[str, str]]:
    """The hashes in code_hashes.json."""
    found: dict[str, dict[str, str]] = json.loads(NOTED.read_text())
    return found


def changes(before: Mapping[str, Mapping[str, str]], code: Code) -> list[str]:
    """One sentence for each definition that changed since `before`, with the units that rest on it.

    What is gone or moved is told by the code that had named it, which changed too.
    """
    now, all_units = hashes(code), units(code)
    found = []
    for module, names in now.items():
        for name in sorted(name for name, digest in names.items() if before.get(module, {}).get(name) != digest):
            touched = [unit for unit in all_units if f"{module}:{name}" in unit.definitions]
            what = name or "what runs at import"
            found.append(f"{module.replace('.', '/')}.py: {what} changed: raise {_to_raise(touched)}.")
    return found


def _to_raise(touched: list[Unit]) -> str:
    said = []
    for kind, where in TO_RAISE.items():
        names = [unit.name for unit in touched if unit.kind == kind]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        if names:
            said.append(f"{where} {', '.join(names[:NAMED])}{more}".rstrip())
    return "; ".join(said)


if __name__ == "__main__":
    NOTED.write_text(json.dumps(hashes(Code(package_sources())), indent=1, sort_keys=True) + "\n")

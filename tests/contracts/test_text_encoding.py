"""Text is UTF-8 wherever it is read or written, whatever a system's own encoding is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import kdbench


def unsaid(tree: ast.AST) -> Iterator[int]:
    """Lines at which text is read or written in the system's own encoding."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("read_text", "write_text"):
            if not (node.func.attr == "read_text" and node.args):  # a distribution's, by the name of a file
                yield node.lineno
        elif isinstance(node.func, ast.Name) and node.func.id == "open":
            modes = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
            if not any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes):
                yield node.lineno


def test_every_text_file_is_utf_8() -> None:
    package = Path(kdbench.__file__).parent
    found = {
        str(path.relative_to(package)): lines
        for path in sorted(package.rglob("*.py"))
        if (lines := [*unsaid(ast.parse(path.read_text(encoding="utf-8")))])
    }
    assert found == {}

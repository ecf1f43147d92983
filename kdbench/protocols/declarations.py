"""Whether a class keeps to what its base asks of it: methods it must have, class variables of the right kind."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, ClassVar, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from kdbench.errors import nearest
from kdbench.protocols.model import Model
from kdbench.protocols.part import Part
from kdbench.protocols.task import Task
from kdbench.protocols.technique import NEEDS, Technique

METHODS = {Technique: ("apply", "model, ctx"), Model: ("build", "task"), Task: ("decode", "out")}
"""The method that every class of a kind must have, with the arguments that it is called with."""


def declaration_faults(cls: type[Part]) -> Iterator[str]:
    """A sentence for everything that makes a user's class unusable before any of its code has run."""
    for base, (method, arguments) in METHODS.items():
        if issubclass(cls, base) and getattr(cls, "form", None) != "estimator":
            written = getattr(cls, method)
            if written is getattr(base, method):
                yield f"{cls.__name__} has no {method}(self, {arguments}), which every {base.__name__} needs."
            elif not _takes(written, len(arguments.split(", ")) + 1):
                yield f"{cls.__name__}.{method} must take (self, {arguments}), as kdbench calls it so."
            elif not _returns(written):
                yield f"{cls.__name__}.{method} returns nothing; end it with a return of what it made."
    bases: tuple[type[Part], ...] = (Part, *METHODS)
    for base in (base for base in bases if issubclass(cls, base)):
        hints: dict[str, Any] = inspect.get_annotations(base, eval_str=True)
        for name, hint in hints.items():
            if get_origin(hint) is ClassVar and name in base.__dict__:
                expected = _expected(get_args(hint)[0], getattr(cls, name))
                if expected is not None:
                    yield f"{cls.__name__}.{name} must be {expected}, got {getattr(cls, name)!r}."
    if issubclass(cls, Technique) and isinstance(cls.needs, set | frozenset):
        for need in sorted(map(str, cls.needs - NEEDS)):
            yield f"{cls.__name__}.needs has '{need}', which nothing provides. {nearest(need, NEEDS)}"


def _takes(method: Any, count: int) -> bool:
    try:
        inspect.signature(method).bind(*range(count))
    except TypeError:
        return False
    return True


def _returns(method: Any) -> bool:
    """Whether a method's source has a return with a value, or cannot end otherwise than by raising, or is not known."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    except (OSError, TypeError, SyntaxError):
        return True
    function = tree.body[0]
    inner = {
        node
        for outer in ast.walk(function)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and outer is not function
        for node in ast.walk(outer)
    }
    own = [node for node in ast.walk(function) if node not in inner]
    if isinstance(function, ast.FunctionDef) and isinstance(function.body[-1], ast.Raise):
        return True
    return any(isinstance(node, ast.Return) and node.value is not None for node in own)


def _expected(hint: Any, value: Any) -> str | None:
    """The kind of value that a class variable must have; None where it has it."""
    if get_origin(hint) is frozenset and not isinstance(value, set | frozenset):
        return "a set"
    try:
        TypeAdapter(hint).validate_python(frozenset(value) if isinstance(value, set) else value, strict=True)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Input should be ").removeprefix("a valid ")
        return f"a set of {message}" if get_origin(hint) is frozenset else message
    return None

"""Every field of a suite file, as text for a terminal and as a page, made from the types that check a suite."""

import inspect

from kdbench.cli._fields import fields_table, fields_text
from kdbench.protocols.part import Part
from kdbench.protocols.recipe import Recipe, Regularizer
from kdbench.protocols.stored_outputs import StoredOutputs
from kdbench.suite.form import CaseFields, ExportFields, MeasureEntry, StudentFields, SuiteFields, TeacherFields
from kdbench.suite.limits import SuiteLimits
from kdbench.suite.tolerances import LatencyTolerance, MetricTolerance, SizeTolerance, SuiteTolerances

ENTRIES: dict[str, tuple[type[Part], str]] = {
    "recipe": (Recipe, "recipes: {NAME: RECIPE}"),
    "regularizer": (Regularizer, "recipes: {NAME: {regularizer: REGULARIZER}}, or cases: {NAME: {regularizer: ...}}"),
    "teacher": (TeacherFields, "teacher: TEACHER, teachers: {NAME: TEACHER}, or cases: {NAME: {teacher: TEACHER}}"),
    "student": (StudentFields, "student: STUDENT, or cases: {NAME: {student: STUDENT}}"),
    "case": (CaseFields, "cases: {NAME: CASE}"),
    "export": (ExportFields, "export: {FIELD: VALUE, ...}"),
    "measure": (MeasureEntry, "measure: [ENTRY, ENTRY, ...]"),
    "limits": (SuiteLimits, "limits: LIMITS"),
    "check": (SuiteTolerances, "check: TOLERANCES"),
}
"""Name -> the type of an entry of a suite, and where it stands in the file."""
NESTED: dict[str, dict[str, type[Part]]] = {
    "teacher": {"stored": StoredOutputs},
    "check": {"latency": LatencyTolerance, "METRIC": MetricTolerance, "size": SizeTolerance},
}
"""Entry -> field -> the type of what stands there."""
PAGE = """# Every field of a suite

Made by `kdbench describe suite --format markdown` from the types that check a suite. In a terminal:
`kdbench describe suite`, or `kdbench describe measure` for one entry. Techniques, models and tasks have fields of their
own: `kdbench describe soft_distillation`.
"""


def suite_text() -> str:
    """The fields of a suite and of every entry in it."""
    head = f"suite  (a YAML file)\n\n{inspect.getdoc(SuiteFields)}\n\n{fields_text(SuiteFields)}"
    own = "Techniques, models and tasks have fields of their own: `kdbench describe soft_distillation`."
    return "\n\n\n".join([head, *map(entry_text, ENTRIES), own])


def entry_text(name: str) -> str:
    """The fields of one entry of a suite."""
    cls, where = ENTRIES[name]
    nested = [f"{name}.{field}: {inspect.getdoc(inner)}\n{fields_text(inner)}" for field, inner in _nested(name)]
    head = f"{name}  (in a suite, {where})\n\n{inspect.getdoc(cls)}\n\n{fields_text(cls)}"
    return "\n\n".join([head, *nested])


def field_text(name: str) -> str:
    """One key of a suite file."""
    entry = name if name in ENTRIES else name.removesuffix("s")
    more = f"\n\n{entry_text(entry)}" if entry in ENTRIES else ""
    return f"{name}  (a key of a suite)\n\n{fields_text(SuiteFields, name)}{more}"


def suite_page() -> str:
    """Every field of a suite and of its entries as a Markdown page."""
    parts = [PAGE, f"## suite\n\n{inspect.getdoc(SuiteFields)}\n\n{fields_table(SuiteFields)}"]
    for name, (cls, where) in ENTRIES.items():
        parts.append(f"## {name}\n\nIn a suite: `{where}`\n\n{inspect.getdoc(cls)}\n\n{fields_table(cls)}")
        parts += [
            f"### {name}.{field}\n\n{inspect.getdoc(inner)}\n\n{fields_table(inner)}" for field, inner in _nested(name)
        ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _nested(name: str) -> list[tuple[str, type[Part]]]:
    return list(NESTED.get(name, {}).items())

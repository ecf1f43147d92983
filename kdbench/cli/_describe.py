"""The text of `kdbench describe`: a part, an entry of a suite, a provider or a family. Never imports torch."""

import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench import registry
from kdbench.cli._fields import WIDTH, fields_text
from kdbench.cli._reference import ENTRIES, entry_text, field_text, suite_text
from kdbench.errors import UnknownName, nearest
from kdbench.measure.providers import FIELDS, TABLE, precisions_of, runtime_of
from kdbench.protocols import Metric, Model, Technique, as_model
from kdbench.protocols.part import Part, about
from kdbench.results.reference import is_reference
from kdbench.suite.form import SuiteFields

STARTS = {
    "fresh": "a student with new weights",
    "trained": "a student trained on labels",
    "pretrained": "a student from its weights file",
}


def describe_text(name: str, models: Mapping[str, Model] | None = None) -> str:
    """Everything a user may want to know of a name. Raises UnknownName.

    models: those whose tapped layers are shown; every registered one that can be made without fields where left out.
    """
    if name == "suite":
        return suite_text()
    if name in ENTRIES:
        return entry_text(name)
    if name in SuiteFields.model_fields:
        return field_text(name)
    if name in TABLE:
        return _provider_text(name)
    found = _find(name)
    if found is not None:
        return _part_text(name, *found, models)
    for kind in ("runtime", "executor"):
        if name in registry.names(kind):
            return f"{name}  ({kind})\n\n{inspect.getdoc(registry.resolve(kind, name))}"
    family = _family(name)
    if family:
        return "\n".join([f"{name}  (a family of {len(family)} techniques)", "", *_columns(family)])
    known = [
        *ENTRIES,
        *SuiteFields.model_fields,
        "suite",
        *TABLE,
        *(known for kind in registry.KINDS for known in registry.names(kind)),
    ]
    hint = nearest(name, known)
    if not hint.startswith("Did"):
        hint = (
            "`kdbench list techniques` (models, tasks, providers) has the names, `kdbench describe suite` the fields."
        )
    raise UnknownName(f"there is nothing called '{name}' to describe. {hint}")


def models_of(suite: Path) -> dict[str, Model]:
    """The teachers and students of a suite file, by what they are and whose. Raises SuiteError."""
    from kdbench.suite.reader import load

    found: dict[str, Model] = {}
    for case in load(suite).cases.values():
        for choice in case.teachers:
            if choice.model is not None:
                found.setdefault(f"teacher {choice.model.name}", choice.model.build())
        if case.student.model is not None:
            found.setdefault(f"student {case.student.title}", case.student.model.build())
    return found


def _find(name: str) -> tuple[str, type[Part]] | None:
    """The kind and the class of a registered name or of a user's `file.py:Class`."""
    if registry.is_file(name):
        found: Any = registry.resolve(registry.KINDS[0], name)
        cls: type[Part] = as_model(found)
        bases = {base.__name__ for base in cls.__mro__}
        return next((kind for kind in registry.KINDS if kind.capitalize() in bases), "part"), cls
    kind = next((kind for kind in registry.KINDS if name in registry.names(kind)), None)
    return (kind, registry.resolve(kind, name)) if kind else None


def _part_text(name: str, kind: str, cls: type[Part], models: Mapping[str, Model] | None) -> str:
    """Docstring, paper, what it needs and gives, the layers it taps, and every field."""
    lines = [f"{name}  ({kind}, version {cls.version})", "", *_explained(cls)]
    if cls.paper:
        lines += ["", f"Paper: {cls.paper}"]
    if issubclass(cls, Technique):
        lines += ["", *_capabilities(cls), *_tapped(cls, _registered() if models is None else models)]
    if issubclass(cls, Metric):
        lines += ["", *_judgement(cls)]
    return "\n".join([*lines, "", *(["Fields:", fields_text(cls)] if cls.model_fields else ["It has no fields."])])


def _capabilities(cls: type[Technique]) -> list[str]:
    works_on = {"torch": "a torch model", "onnx": "an ONNX file", "artefact": f"the file that {cls.runtime} reads"}
    lines = [f"Works on: {works_on[cls.form]}"]
    if cls.form == "torch":
        lines.append(f"First in a chain it takes: {STARTS[cls.start]}")
    if cls.needs:
        lines.append(f"Needs: {', '.join(sorted(cls.needs)).replace('_', ' ')}")
    if cls.form == "torch" and cls.roles:
        lines.append(f"Trains under recipe: {', '.join(sorted(cls.roles))}")
    return lines


def _judgement(cls: type[Metric]) -> list[str]:
    """What a metric judges, and how its values are written and tested."""
    unit = "a fraction, shown in per cent" if cls.unit == "fraction" else "a value, in a unit of its own or none"
    may = f"{100 * cls.tolerance:g} % of the reference's value" if cls.relative else f"{100 * cls.tolerance:g} points"
    if cls.unit == "value" and not cls.relative:
        may = f"{cls.tolerance:g}"
    lines = [
        f"Judges outputs of kind: {', '.join(sorted(cls.kinds))}",
        f"Better is: {cls.direction}",
        f"It is: {unit}",
        f"Needs: {'what a model decides' if cls.needs == 'decisions' else 'the outputs themselves'}",
    ]
    return [*lines, f"A check lets it be worse by: {may}" if cls.tested else "Its differences are not tested."]


def _explained(cls: type[Part]) -> list[str]:
    """The class's docstring; a model's architecture often is that of its family, whose docstring follows."""
    family = [base for base in cls.__mro__[1:] if issubclass(base, Model) and base is not Model]
    return [inspect.getdoc(cls) or "", *(line for base in family for line in ("", inspect.getdoc(base) or ""))]


def _tapped(cls: type[Technique], models: Mapping[str, Model]) -> list[str]:
    """The layers that a technique taps by default in each model; nothing where it taps none in any."""
    found = [(f"  {name}", ", ".join(cls.default_layers(model.layers()))) for name, model in models.items()]
    if not any(layers for _, layers in found):
        return []
    named = [(name, layers or "none by default: name them") for name, layers in found]
    return ["", "Layers it taps by default (`kdbench describe MODEL` has them all):", *_columns(named)]


def _registered() -> dict[str, Model]:
    """Every registered network that needs no field."""
    found = {name: registry.resolve("model", name) for name in registry.names("model")}
    bare = {name: cls for name, cls in found.items() if not any(f.is_required() for f in cls.model_fields.values())}
    return {name: cls() for name, cls in bare.items() if cls.form == "torch"}


def _family(name: str) -> list[tuple[str, str]]:
    """(name, first sentence) for the techniques of a family, by the folder that they are in or by what they are."""
    found = []
    for technique, place in registry.names("technique").items():
        cls = registry.resolve("technique", technique)
        if name in (cls.family, *place.partition(":")[0].split(".")[2:-1]):
            found.append((technique, about(cls)))
    return found


def _provider_text(name: str) -> str:
    """The precisions, fields and options of a provider, and how a suite asks for it."""
    provider = TABLE[name]
    reference = " Timed for reference: nobody deploys there." if is_reference(name, provider.runtime) else ""
    has = [field for field in FIELDS if getattr(provider, field)]
    has_options = provider.takes_options
    read = f"; those that kdbench sets were read from {provider.read_from}" if provider.read_from else ""
    rows = [
        ("Runtime:", f"{runtime_of(name)}, where it is called {provider.name}.{reference}"),
        ("Precisions:", ", ".join(precisions_of(name))),
        ("Fields:", ", ".join(has) if has else "none of its own (search, engine_cache, graphs belong to others)"),
        ("Options:", f"the provider's own, under `options`{read}" if has_options else "none"),
        *([("Remark:", provider.remark)] if provider.remark else []),
        ("In a suite:", f"measure: [{{provider: {name}}}]"),
    ]
    end = "`kdbench describe measure` has every field; `kdbench doctor` says whether it works on this machine."
    return "\n".join([f"{name}  (a provider)", "", *_columns(rows), "", end])


def _columns(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names and what is said of them, wrapped beside the names."""
    longest = max(len(name) for name, _ in rows)
    for name, text in rows:
        yield from textwrap.wrap(
            f"{name:<{longest}}  {text}", WIDTH, subsequent_indent=" " * (longest + 2), break_on_hyphens=False
        )

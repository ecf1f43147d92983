"""The text of `kdbench list`: what a suite can name, a line each. Never imports torch."""

import importlib
import inspect
import textwrap

from kdbench import registry
from kdbench.measure.provider import ONNXRUNTIME, TORCH, Provider
from kdbench.measure.providers import FIELDS, TABLE
from kdbench.protocols.part import about
from kdbench.results.reference import is_reference

PROVIDERS = "providers"
ELSEWHERE = "From other packages"
BY_NAME = "With runtime"


def list_text(kind: str, width: int | None) -> str:
    """One line a name, techniques by family; lines are cut at `width` characters, or never."""
    if kind == PROVIDERS:
        groups = {"": [(name, _offers(name, known)) for name, known in TABLE.items()]}
        for runtime in registry.names("runtime"):
            brought = registry.resolve("runtime", runtime).providers
            if runtime not in (ONNXRUNTIME, TORCH):  # whose providers need no `runtime`
                where = BY_NAME if runtime in registry.TABLE["runtime"] else f"{ELSEWHERE}, {BY_NAME.lower()}"
                groups[f"{where}: {runtime}"] = [(name, _offers(name, brought[name])) for name in brought]
    else:
        groups = {}
        single = kind.removesuffix("s")
        for name, place in registry.names(single).items():
            line = (name, about(registry.resolve(single, name)))
            groups.setdefault(_heading(single, place), []).append(line)
    longest = max(len(name) for lines in groups.values() for name, _ in lines)
    shown: list[str] = []
    for heading, lines in groups.items():
        indent = "  " if heading else ""
        shown += [*([""] if shown else []), *textwrap.wrap(heading, width or 1000)]
        shown += [_line(f"{indent}{name:<{longest}}  {text}", width) for name, text in lines]
    return "\n".join(shown)


def _line(text: str, width: int | None) -> str:
    """A line, cut after a whole word where it is longer than `width`."""
    if width is None or len(text) <= width:
        return text
    return textwrap.wrap(text, max(width - 4, 20), drop_whitespace=False)[0].rstrip() + " ..."


def _heading(kind: str, place: str) -> str:
    """The group that a registered class is listed in: a technique's family, as its folder says of itself."""
    if kind != "technique":
        return ""
    if not place.startswith("kdbench.techniques."):
        return ELSEWHERE
    family = importlib.import_module(place.partition(":")[0].rpartition(".")[0])
    return (inspect.getdoc(family) or "").partition("\n")[0].removesuffix(".")


def _offers(name: str, provider: Provider) -> str:
    """The runtime's name of a provider, its precisions, and those of a measure entry's fields that not all have."""
    precisions = ", ".join(provider.precisions)
    if is_reference(name, provider.runtime):
        how = "compiled" if provider.engine_cache else "eager"
        return f"{provider.runtime}, {how}, on the CPU: for reference, no deployment target ({precisions})"
    has = [field for field in FIELDS if getattr(provider, field)]
    return f"{provider.name} ({precisions}{'; ' if has else ''}{', '.join(has)})"

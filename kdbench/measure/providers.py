"""The table of kdbench's own providers, and what of a wish a provider does not have. Knows no runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kdbench.errors import nearest
from kdbench.measure import mobile_providers, onnxruntime_providers, torch_providers, web_providers
from kdbench.measure.provider import ONNXRUNTIME, Precision, Provider

PROVIDER_NAME = re.compile(r"[a-zA-Z]\w{0,39}", re.ASCII)
"""The form of a provider's name, a plug-in's too: it becomes part of targets and of paths."""
UNPINNED = "default"
"""The precision of a plug-in that this table does not know: whatever it computes in when nothing is said."""

TABLE: dict[str, Provider] = {
    **onnxruntime_providers.ROWS,
    **torch_providers.ROWS,
    **mobile_providers.ROWS,
    **web_providers.OWN,
}
"""Short name -> what may be asked of the provider. A runtime that is named by `runtime` has a table of its own."""

LEGACY = frozenset(short for short, provider in TABLE.items() if provider.is_legacy)
"""Providers that their makers only maintain."""

MEANT = {
    **dict.fromkeys(("nvidia", "cudnn"), "cuda"),
    **dict.fromkeys(("trt",), "tensorrt"),
    **dict.fromkeys(("rtx", "nvtensorrtrtx"), "tensorrt_rtx"),
    **dict.fromkeys(("apple", "mac", "ane", "mps"), "coreml"),
    **dict.fromkeys(("intel", "npu"), "openvino"),
    **dict.fromkeys(("amd", "radeon"), "migraphx"),
    **dict.fromkeys(("windows", "dml"), "directml"),
    **dict.fromkeys(("qualcomm", "snapdragon", "hexagon"), "qnn"),
    **dict.fromkeys(("pytorch", "eager"), "torch"),
    **dict.fromkeys(("onnxruntime", "ort", "onnx"), "cpu"),
}
"""Words of users who know the hardware or the library -> the provider that they mean."""
ANSWERED = {
    "gpu": "'gpu' is no provider, which one is meant: cuda, tensorrt or tensorrt_rtx (NVIDIA), migraphx (AMD), "
    "coreml (Apple), directml (Windows), openvino (Intel), qnn (Qualcomm) or webgpu?",
    "rocm": "provider rocm went out of onnxruntime with 1.23; say migraphx, or name the plug-in package that brings it "
    "under 'plugin'.",
}
"""Words that no one provider answers to -> what is said to them."""

PROVIDERS = {short: provider.name for short, provider in TABLE.items() if provider.runtime == ONNXRUNTIME}
"""Short name -> onnxruntime's."""


FIELDS = ("search", "engine_cache", "graphs")
"""Fields that only some providers have; a session, a measure entry and `Provider` call them the same."""


def precisions_of(provider: str, table: Mapping[str, Provider] = TABLE) -> tuple[str, ...]:
    """The precisions a provider (by short name) offers; one that only a plug-in knows offers `UNPINNED` alone."""
    return tuple(table[provider].precisions) if provider in table else (UNPINNED,)


def runtime_of(provider: str) -> str:
    """The runtime of a provider by short name: a plug-in's is onnxruntime."""
    return TABLE[provider].runtime if provider in TABLE else ONNXRUNTIME


def refusals(asked: Mapping[str, Any], table: Mapping[str, Provider] = TABLE) -> Iterator[tuple[str, str]]:
    """(field, sentence) for everything that the provider of a session or a measure entry does not have.

    `asked` holds fields of a session under their names; those it lacks are not judged. `table`: the providers that
    there are, kdbench's own or those of a third party's runtime.
    """
    name = asked["provider"]
    if not PROVIDER_NAME.fullmatch(name):
        yield "provider", f"{name!r} is no name of a provider: up to 40 letters, digits and _, starting with a letter."
        return
    if name not in table and not asked.get("plugin"):
        if table is TABLE and name.lower() in ANSWERED:
            yield "provider", ANSWERED[name.lower()]
            return
        meant = MEANT.get(name.lower())
        hint = f"Did you mean '{meant}'?" if meant in table else nearest(name, table)
        yield "provider", f"there is no provider '{name}'. {hint}"
        return
    provider = table.get(name, Provider(name))
    if "precision" in asked and asked["precision"] not in precisions_of(name, table):
        offered = ", ".join(precisions_of(name, table))
        yield "precision", f"provider {name} offers precision {offered}, got '{asked['precision']}'."
    precision = provider.precisions.get(asked.get("precision", ""), Precision())
    if precision.needs and precision.needs not in asked.get("options", {precision.needs}):
        needed = f"options: {{{precision.needs}: ...}}"
        yield "options", f"provider {name} computes in {asked['precision']} only where it is told {needed}; say it."
    if not provider.takes_options and asked.get("options"):
        yield "options", f"provider {name} has no options of its own; leave them out."
    if provider.runtime != ONNXRUNTIME and asked.get("plugin"):
        yield "plugin", f"provider {name} is {provider.runtime} itself and takes no 'plugin'; leave it out."
    for given in (given for given in FIELDS if asked.get(given)):
        offered = getattr(provider, given)
        if not offered:
            yield given, f"provider {name} has no '{given}'{_instead(provider, given)}"
        elif given == "search" and asked[given] not in offered:
            yield given, f"provider {name} searches {', '.join(offered)}, got '{asked[given]}'."


def _instead(provider: Provider, given: str) -> str:
    """Which providers of the same runtime have it, and what else there is: the end of a sentence."""
    having = [short for short, other in TABLE.items() if other.runtime == provider.runtime and getattr(other, given)]
    if provider.runtime != ONNXRUNTIME:
        return f", only {', '.join(having)} does; leave it out." if having else "; leave it out."
    return f", only {', '.join(having)} do; its own settings go into 'options'."

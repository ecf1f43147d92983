"""The form of a provider's row: its precisions, and the options behind a suite's fields. Knows no provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Options = Mapping[str, str]
FOLDER = "{folder}"
"""Stands for the engine cache's folder in an option's value."""
THREADS = "{threads}"
"""Stands for a session's thread count."""
TF32_OFF: Options = {"NVIDIA_TF32_OVERRIDE": "0"}
"""NVIDIA's libraries then never compute float32 in TF32, whatever a program asks of them."""
TF32_AS_ASKED: Options = {"NVIDIA_TF32_OVERRIDE": ""}
NVML, RAPL = "nvml", "rapl"
ONNXRUNTIME, TORCH, OPENVINO, LITERT, EXECUTORCH = "onnxruntime", "torch", "openvino", "litert", "executorch"
ONNXRUNTIME_WEB = "onnxruntime_web"
"""Runtimes: what provides the providers."""


@dataclass(frozen=True)
class Precision:
    """How a provider is made to compute in one precision."""

    options: Options = field(default_factory=dict)
    computes: str | None = "fp32"
    """Precision of float32 tensors then; None where the provider chooses layer by layer."""
    environment: Options = field(default_factory=dict)
    """Variables that must stand before the runtime loads; an empty value stands for none."""
    needs: str = ""
    """An option that only whoever asks can know, and without which the provider refuses this precision."""


@dataclass(frozen=True)
class Provider:
    """One execution provider: what a measure entry may ask of it, and how that is spelled for onnxruntime."""

    name: str
    """The runtime's own."""
    precisions: Mapping[str, Precision] = field(default_factory=lambda: {"fp32": Precision()})
    always: Options = field(default_factory=dict)
    """Told in every session: defaults that would otherwise hang on the version, and the thread count."""
    search: Mapping[str, Options] = field(default_factory=dict)
    """How convolution algorithms are searched -> the options that say so."""
    engine_cache: Options = field(default_factory=dict)
    graphs: Options = field(default_factory=dict)
    overriding: frozenset[str] = frozenset()
    """Options beside those of `precisions` that can change the arithmetic."""
    takes_subgraphs: bool = False
    """Runs whole parts of a graph as one kernel, inside of which nobody sees operators or types."""
    takes_fixed_shapes: bool = False
    """Takes no node of a file whose axes are free: a session is opened for each shape of the inputs."""
    emulated_on: frozenset[str] = frozenset()
    """Architectures, as `platform.machine` tells them, where its library emulates its hardware: it answers there, and
    its times say nothing."""
    is_asynchronous: bool = False
    """The profile's kernel times are those of starting a kernel, not of its work."""
    counter: str = ""
    """The energy counter of what it runs on, `NVML` or `RAPL`; empty where none is read."""
    runtime: str = ONNXRUNTIME
    """The name of the runtime that has this provider."""
    takes_options: bool = True
    """Whether it has options of its own at all."""
    runs_in_caller: bool = False
    """With one thread, all of a call runs in the thread that makes it, whose processor time is then its own."""
    read_from: str = ""
    """The release that the names of its options were read from; empty where it is told none."""
    remark: str = ""
    """A sentence for whoever chooses it; empty where there is none to say."""
    is_legacy: bool = False
    """Its makers only maintain it."""

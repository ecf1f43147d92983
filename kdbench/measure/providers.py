"""The table of kdbench's own execution providers: names, precisions and the options behind suite fields. No runtime.

Option names are those of onnxruntime's pages (onnxruntime.ai/docs/execution-providers); CPU and OpenVINO ran here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdbench.errors import nearest

Options = Mapping[str, str]
FOLDER = "{folder}"
"""Stands for the engine cache's folder in an option's value."""
THREADS = "{threads}"
"""Stands for a session's thread count."""
PROVIDER_NAME = re.compile(r"[a-zA-Z]\w{0,39}", re.ASCII)
"""The form of a provider's name, a plug-in's too: it becomes part of targets and of paths."""
UNPINNED = "default"
"""The precision of a plug-in that this table does not know: whatever it computes in when nothing is said."""
TF32_OFF: Options = {"NVIDIA_TF32_OVERRIDE": "0"}
"""NVIDIA's libraries then never compute float32 in TF32, whatever a program asks of them."""
TF32_AS_ASKED: Options = {"NVIDIA_TF32_OVERRIDE": ""}
NVML, RAPL = "nvml", "rapl"
ONNXRUNTIME, TORCH = "onnxruntime", "torch"
"""Runtimes: what provides the providers."""


@dataclass(frozen=True)
class Precision:
    """How a provider is made to compute in one precision."""

    options: Options = field(default_factory=dict)
    computes: str | None = "fp32"
    """Precision of float32 tensors then; None where the provider chooses layer by layer."""
    environment: Options = field(default_factory=dict)
    """Variables that must stand before the runtime loads; an empty value stands for none."""


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


def _enabled(option: str) -> Precision:
    """TensorRT and MIGraphX may compute any layer in the enabled precision, and choose by speed."""
    return Precision({option: "1"}, computes=None, environment=TF32_OFF if option.startswith("trt") else {})


TABLE: dict[str, Provider] = {
    "cpu": Provider("CPUExecutionProvider", takes_options=False, counter=RAPL, runs_in_caller=True),
    "cuda": Provider(
        "CUDAExecutionProvider",
        counter=NVML,
        precisions={
            "fp32": Precision({"use_tf32": "0"}, environment=TF32_OFF),
            "tf32": Precision({"use_tf32": "1"}, "tf32", TF32_AS_ASKED),
        },
        always={"cudnn_conv_algo_search": "EXHAUSTIVE"},
        search={word: {"cudnn_conv_algo_search": word.upper()} for word in ("exhaustive", "heuristic", "default")},
        graphs={"enable_cuda_graph": "1"},
        is_asynchronous=True,
    ),
    "tensorrt": Provider(
        "TensorrtExecutionProvider",
        counter=NVML,
        precisions={
            "fp32": Precision(environment=TF32_OFF),  # it has no option for TF32, which is on unless the variable is 0
            "tf32": Precision({}, "tf32", TF32_AS_ASKED),
            **{name: _enabled(f"trt_{name}_enable") for name in ("fp16", "bf16", "int8")},
        },
        engine_cache={
            **dict.fromkeys(("trt_engine_cache_enable", "trt_timing_cache_enable"), "1"),
            **dict.fromkeys(("trt_engine_cache_path", "trt_timing_cache_path"), FOLDER),
        },
        graphs={"trt_cuda_graph_enable": "1"},
        overriding=frozenset(f"trt_{name}_enable" for name in ("fp16", "bf16", "int8")),
        takes_subgraphs=True,
        is_asynchronous=True,
    ),
    "openvino": Provider(
        "OpenVINOExecutionProvider",
        counter=RAPL,
        precisions={
            "fp32": Precision({"precision": "FP32"}),
            # the hint outweighs `precision` (seen in onnxruntime 1.24.1); a CPU without bf16 is free to ignore it
            "bf16": Precision(
                {"precision": "ACCURACY", "load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}'}, None
            ),
            "fp16": Precision({"precision": "FP16", "device_type": "GPU"}, "fp16"),  # its CPU device refuses FP16
        },
        always={"num_of_threads": THREADS, "num_streams": "1"},
        engine_cache={"cache_dir": FOLDER},
        overriding=frozenset({"load_config", "precision"}),
        takes_subgraphs=True,
    ),
    "coreml": Provider(
        "CoreMLExecutionProvider",
        precisions={
            # the neural engine has no float32, and the older model format lets the GPU use half
            "fp32": Precision({"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"}),
            "fp16": Precision({"ModelFormat": "NeuralNetwork", "MLComputeUnits": "ALL"}, computes=None),
        },
        engine_cache={"ModelCacheDirectory": FOLDER},
        overriding=frozenset({"AllowLowPrecisionAccumulationOnGPU"}),
        takes_subgraphs=True,
    ),
    "directml": Provider("DmlExecutionProvider", is_asynchronous=True),
    "rocm": Provider(
        "ROCMExecutionProvider",
        search={
            "exhaustive": {"miopen_conv_exhaustive_search": "1"},
            "default": {"miopen_conv_exhaustive_search": "0"},
        },
        is_asynchronous=True,
    ),
    "migraphx": Provider(
        "MIGraphXExecutionProvider",
        precisions={
            "fp32": Precision(),
            **{name: _enabled(f"migraphx_{name}_enable") for name in ("fp16", "bf16", "int8")},
        },
        search={"exhaustive": {"migraphx_exhaustive_tune": "1"}, "default": {"migraphx_exhaustive_tune": "0"}},
        engine_cache={"migraphx_model_cache_dir": FOLDER},
        overriding=frozenset(f"migraphx_{name}_enable" for name in ("fp16", "bf16", "fp8", "int8")),
        takes_subgraphs=True,
        is_asynchronous=True,
    ),
    "qnn": Provider(
        "QNNExecutionProvider",
        precisions={  # its default computes float32 files in half on the HTP
            "fp32": Precision({"enable_htp_fp16_precision": "0"}),
            "fp16": Precision({"enable_htp_fp16_precision": "1"}, "fp16"),
        },
        takes_subgraphs=True,
    ),
    "xnnpack": Provider("XnnpackExecutionProvider", counter=RAPL, always={"intra_op_num_threads": THREADS}),
    "webgpu": Provider("WebGpuExecutionProvider", is_asynchronous=True),
    "torch": Provider("torch", takes_options=False, counter=RAPL, runtime=TORCH, runs_in_caller=True),
    "torch_compiled": Provider(
        "torch_compiled",
        counter=RAPL,
        engine_cache={"cache_dir": FOLDER},
        takes_options=False,
        runtime=TORCH,
        runs_in_caller=True,
    ),
}

MEANT = {
    **dict.fromkeys(("gpu", "nvidia", "cudnn"), "cuda"),
    **dict.fromkeys(("trt", "rtx"), "tensorrt"),
    **dict.fromkeys(("apple", "mac", "ane", "mps"), "coreml"),
    **dict.fromkeys(("intel", "npu"), "openvino"),
    **dict.fromkeys(("amd", "radeon"), "migraphx"),
    **dict.fromkeys(("windows", "dml"), "directml"),
    **dict.fromkeys(("qualcomm", "snapdragon", "hexagon"), "qnn"),
    **dict.fromkeys(("pytorch", "eager"), "torch"),
    **dict.fromkeys(("onnxruntime", "ort", "onnx"), "cpu"),
}
"""Words of users who know the hardware or the library -> the provider that they mean."""

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
        meant = MEANT.get(name.lower())
        hint = f"Did you mean '{meant}'?" if meant in table else nearest(name, table)
        yield "provider", f"there is no provider '{name}'. {hint}"
        return
    provider = table.get(name, Provider(name))
    if "precision" in asked and asked["precision"] not in precisions_of(name, table):
        offered = ", ".join(precisions_of(name, table))
        yield "precision", f"provider {name} offers precision {offered}, got '{asked['precision']}'."
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

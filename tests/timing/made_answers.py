"""Answers of the measuring program, made by hand: what a test does not care about is filled in."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdbench.measure.answers import Kernels, OrError, ProvedFile, TimedFile, TimedProcess, Timing

CPU = "CPUExecutionProvider"


def timing(samples_ns: Sequence[int], **fields: Any) -> Timing:
    filled = {"input_shapes": [[1, 1]], "first_inference_ns": 9, "warmup_ns": [9], "classes": [[0]]}
    return Timing(samples_ns=samples_ns, **{**filled, **fields})


def timed(digest: str, by_batch: Mapping[int, Timing]) -> TimedFile:
    return TimedFile(digest=digest, provider_asked=CPU, providers_got=[CPU], load_ns=5, by_batch=by_batch)


def process(files: Sequence[OrError[TimedFile]], digests: Sequence[str], **gauge: float) -> TimedProcess:
    return TimedProcess("onnxruntime", "1", dict(zip(digests, files, strict=True)), **gauge)  # type: ignore[arg-type]


def proved(digest: str, batch_size: int, provider: str = CPU) -> ProvedFile:
    kernels = Kernels(node_count_by_provider={provider: 3}, kernel_ns_by_provider={provider: 3})
    return ProvedFile(digest, CPU, [CPU], {batch_size: kernels}, "onnxruntime", "1")

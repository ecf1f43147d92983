"""The providers of onnxruntime-web, which runs files in a browser."""

from __future__ import annotations

from kdbench.measure.provider import ONNXRUNTIME_WEB, RAPL, Provider

OWN: dict[str, Provider] = {
    "wasm": Provider("wasm", counter=RAPL, runtime=ONNXRUNTIME_WEB, read_from="onnxruntime-web 1.30.0"),
}
"""Those that no other runtime has a provider of the same name for."""
ROWS: dict[str, Provider] = {
    **OWN,
    "webgpu": Provider("webgpu", runtime=ONNXRUNTIME_WEB, is_asynchronous=True, read_from="onnxruntime-web 1.30.0"),
}

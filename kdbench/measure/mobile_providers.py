"""The providers of the runtimes for phones and boards: what runs LiteRT's and ExecuTorch's files on a processor."""

from __future__ import annotations

from kdbench.measure.provider import EXECUTORCH, LITERT, RAPL, Provider

ROWS: dict[str, Provider] = {
    "litert": Provider(
        "XNNPACK",
        takes_options=False,
        counter=RAPL,
        runtime=LITERT,
        runs_in_caller=True,
        read_from="ai-edge-litert 2.3.0",
    ),
    "executorch": Provider(
        "XnnpackBackend",
        takes_options=False,
        counter=RAPL,
        runtime=EXECUTORCH,
        runs_in_caller=True,
        read_from="executorch 1.5.1",
    ),
}

"""The providers of torch on the CPU: eager, and compiled."""

from __future__ import annotations

from kdbench.measure.provider import FOLDER, RAPL, TORCH, Provider

ROWS: dict[str, Provider] = {
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

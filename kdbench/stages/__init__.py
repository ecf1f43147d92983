"""The kinds of stage: the function that runs each, and the version of its code. Nothing is imported until it runs."""

import importlib
from typing import Any

TABLE = {
    "decode": "kdbench.stages.decode:decode",
    "gather": "kdbench.stages.gather:gather",
    "adopt": "kdbench.stages.adopt:adopt",
    "rehearse": "kdbench.stages.rehearse:rehearse",
    "train": "kdbench.stages.train:train",
    "teach": "kdbench.stages.teach:teach",
    "compress": "kdbench.stages.compress:compress",
    "export": "kdbench.stages.export:export",
    "trace": "kdbench.stages.trace:trace",
    "convert": "kdbench.stages.convert:convert",
    "evaluate": "kdbench.stages.evaluate:evaluate",
    "measure": "kdbench.stages.measure:measure",
}

LATE_IMPORTS = ("torch.onnx._internal.exporter._core", "onnxscript", "torch.export", "torch._dynamo")
"""Modules that torch imports only at its first export; a pool of workers imports them once, ahead."""

LOOP_VERSION = 2
"""Version of the training loop and of how batches are made; part of the version of every stage that trains."""

VERSIONS = {
    "decode": 2,
    "gather": 1,
    "adopt": 2,
    "rehearse": 1,
    "train": 1,
    "teach": 5,
    "compress": 3,
    "export": 3,
    "trace": 2,
    "convert": 1,
    "evaluate": 4,
    "measure": 2,
}
"""Raised whenever the numbers that a kind of stage produces change."""


def function(kind: str) -> Any:
    """What runs stages of a kind: Work -> its facts; for measure, list of Work -> (key, its facts) of each in turn."""
    module, _, name = TABLE[kind].partition(":")
    return getattr(importlib.import_module(module), name)

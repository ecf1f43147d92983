"""Names of the files that stages publish; whoever reads a stage's folder goes by them."""

from pathlib import Path

DESCRIPTION = "task.json"
MODEL = "model"
"""A model's file is called so, and ends in the form that a runtime reads."""
ONNX_FILE = f"{MODEL}.onnx"
TORCH_FILE = f"{MODEL}.pt2"
EXPORT_FACTS = "export.json"
CONVERSION = "conversion.json"
UNLABELLED = "unlabelled.npy"
PREDICTIONS = "predictions.npz"
RECORDS = "records.json"
STAGE = "stage.json"
LOG = "log.txt"
PROGRESS = "progress"
CHECKPOINT = "checkpoint-"
"""Prefix of what a killed training goes on from."""


def answers_file(folder: Path, split: str, number: int) -> Path:
    """An export's own outputs for a split; `number`: which output of the task."""
    return folder / f"{split}_outputs{number}.npy"


def numbered(role: str, number: int) -> str:
    """The role of a further input of a kind: `teacher`, `teacher:1`, `teacher:2` ..."""
    return role if number == 0 else f"{role}:{number}"


PUBLISHED = "published"
"""The name of an adopt stage's source whose `path` is no file but the name of published weights."""

"""Names of the files that stages publish; whoever reads a stage's folder goes by them."""

DESCRIPTION = "task.json"
ONNX_FILE = "model.onnx"
TORCH_FILE = "model.pt2"
EXPORT_FACTS = "export.json"
UNLABELLED = "unlabelled.npy"
PREDICTIONS = "predictions.npz"
RECORDS = "records.json"
STAGE = "stage.json"
LOG = "log.txt"
PROGRESS = "progress"
CHECKPOINT = "checkpoint-"
"""Prefix of what a killed training goes on from."""


def numbered(role: str, number: int) -> str:
    """The role of a further input of a kind: `teacher`, `teacher:1`, `teacher:2` ..."""
    return role if number == 0 else f"{role}:{number}"

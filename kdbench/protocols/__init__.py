"""The contracts: what a part, task, metric, model, technique and recipe are, and what a technique is given."""

from kdbench.protocols.context import Context, Loss
from kdbench.protocols.metric import Metric
from kdbench.protocols.model import Layers, Model
from kdbench.protocols.task import SPLITS, Batch, ImageForm, Preprocessing, Task, TaskDescription
from kdbench.protocols.technique import Destination, Effect, Technique

__all__ = [
    "SPLITS",
    "Batch",
    "Context",
    "Destination",
    "Effect",
    "ImageForm",
    "Layers",
    "Loss",
    "Metric",
    "Model",
    "Preprocessing",
    "Task",
    "TaskDescription",
    "Technique",
]

"""The contracts: what a part, task, metric, model, technique and recipe are, and what a technique is given."""

from kdbench.protocols.batch import Batch
from kdbench.protocols.context import Context, Loss, Outputs
from kdbench.protocols.data import ImageForm, Input, Output, Preprocessing, SymbolicAxis, TaskDescription
from kdbench.protocols.metric import Metric
from kdbench.protocols.model import Layers, Model
from kdbench.protocols.plain_modules import as_model
from kdbench.protocols.task import SPLITS, Task
from kdbench.protocols.technique import Destination, Effect, Technique

__all__ = [
    "SPLITS",
    "Batch",
    "Context",
    "Destination",
    "Effect",
    "ImageForm",
    "Input",
    "Layers",
    "Loss",
    "Metric",
    "Model",
    "Output",
    "Outputs",
    "Preprocessing",
    "SymbolicAxis",
    "Task",
    "TaskDescription",
    "Technique",
    "as_model",
]

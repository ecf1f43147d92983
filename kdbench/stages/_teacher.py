"""A teacher's outputs, stored by (example, view); what nobody stored is computed live and counted."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from kdbench.errors import TechniqueError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import Batch
from kdbench.stages import torch_models
from kdbench.stages._data import TaskData
from kdbench.stages.names import ONNX_FILE, numbered
from kdbench.stages.work import Work

CODES = "codes.npy"
LOGITS = "logits.npy"
PROBABILITIES = "probabilities"
"""A file that is there where the stored logits are logarithms of what the teacher gave."""
PROBABILITIES_NOTE = (
    "The teacher gives probabilities (rows that are never negative and sum to 1), as it ends in a softmax; their "
    "logarithms were taken as its logits."
)
ROUNDING = 1e-3
"""How far a row of probabilities may be from summing to 1: half precision and 8-bit files round."""


def save_outputs(folder: Path, codes: np.ndarray, logits: np.ndarray, probabilities: bool = False) -> None:
    """codes: int64 (n,), rising, index * view_count + view; logits: float32 (n, classes).

    probabilities: whether the logits are logarithms of what the teacher gave.
    """
    np.save(folder / CODES, codes)
    np.save(folder / LOGITS, logits)
    if probabilities:
        (folder / PROBABILITIES).touch()


class Network(Protocol):
    """A network or a file's session: what a teacher computes with."""

    def __call__(self, *inputs: Tensor) -> Tensor: ...


class Teacher:
    """Answers for a batch, from a stored table where one was given."""

    def __init__(self, answer: Network, outputs: Path | None, view_count: int) -> None:
        """answer: a module in eval mode, whose parameters stop asking for gradients here, or an ONNX file's session."""
        self.answer = answer
        if isinstance(answer, nn.Module):
            answer.requires_grad_(False)
        self.view_count = view_count
        self.forward_count = 0
        """Examples that went through the network."""
        self.gives_probabilities = (outputs / PROBABILITIES).exists() if outputs else None
        """Whether its answers are probabilities, whose logarithms are given out; None until it is asked."""
        self._codes = np.load(outputs / CODES, mmap_mode="r") if outputs else np.zeros(0, np.int64)
        self._logits = np.load(outputs / LOGITS, mmap_mode="r") if outputs else np.zeros((0, 0), np.float32)

    @property
    def module(self) -> nn.Module:
        """The network itself. Raises TechniqueError where the teacher is an ONNX file."""
        if not isinstance(self.answer, nn.Module):
            raise TechniqueError("the teacher is an ONNX file, which gives outputs only; name a model.")
        return self.answer

    def __call__(self, batch: Batch) -> Tensor:
        """Logits, (B, classes), without gradients."""
        codes = (batch.index * self.view_count + batch.view).cpu().numpy()
        places = np.minimum(np.searchsorted(self._codes, codes), max(len(self._codes) - 1, 0))
        stored = self._codes[places] == codes if len(self._codes) else np.zeros(len(codes), bool)
        device = batch.targets.device
        if stored.all():
            return torch.from_numpy(self._logits[places]).to(device)
        missing = torch.from_numpy(np.flatnonzero(~stored)).to(device)
        live = self.live(tuple(tensor[missing] for tensor in batch.inputs))
        if not stored.any():
            return live
        answer = torch.from_numpy(self._logits[places]).to(device)
        answer[missing] = live
        return answer

    @torch.no_grad()
    def live(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The network's answer as logits, counted."""
        if isinstance(self.answer, nn.Module):
            self.answer.eval()
        self.forward_count += len(inputs[0])
        answer = self.answer(*inputs).float()
        if self.gives_probabilities is None:
            self.gives_probabilities = are_probabilities(answer)
        return answer.clamp_min(torch.finfo(torch.float32).tiny).log() if self.gives_probabilities else answer


def are_probabilities(rows: Tensor) -> bool:
    """Whether rows (B, classes) are what a softmax gives, and so no logits."""
    return bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() <= ROUNDING).all())


def load_teacher(work: Work, data: TaskData, device: torch.device, number: int = 0) -> Teacher:
    """A teacher of a stage, with its stored outputs where the stage has them as an input."""
    role = numbered("outputs", number)
    outputs = work.input(role) if role in work.spec.inputs else None
    return Teacher(_network(work.input(numbered("teacher", number)), data, device), outputs, data.declared.views())


def _network(folder: Path, data: TaskData, device: torch.device) -> Network:
    if not torch_models.is_network(folder):
        return _OnnxNetwork(folder / ONNX_FILE, data.task.input_names)
    example = tuple(tensor[:2] for tensor in next(data.in_order("train", device)).inputs)
    return torch_models.placed(torch_models.load(folder, data.task, device), device, example)


class _OnnxNetwork:
    """An ONNX file as a function of tensors; it computes on the processor."""

    def __init__(self, path: Path, input_names: tuple[str, ...]) -> None:
        self.session = OnnxruntimeSession(str(path), SessionSpec())
        self.input_names = input_names

    def __call__(self, *inputs: Tensor) -> Tensor:
        feed = {name: tensor.cpu().numpy() for name, tensor in zip(self.input_names, inputs, strict=True)}
        return torch.from_numpy(self.session.run_checked(feed)[0]).to(inputs[0].device)

"""A teacher's outputs, stored by (example, view); what nobody stored is computed live and counted."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kdbench.protocols import Batch
from kdbench.stages import _models
from kdbench.stages._data import TaskData
from kdbench.stages._work import Work

CODES = "codes.npy"
LOGITS = "logits.npy"


def save_outputs(folder: Path, codes: np.ndarray, logits: np.ndarray) -> None:
    """codes: int64 (n,), rising, index * view_count + view; logits: float32 (n, classes)."""
    np.save(folder / CODES, codes)
    np.save(folder / LOGITS, logits)


class Teacher:
    """Answers for a batch, from a stored table where one was given."""

    def __init__(self, module: nn.Module, outputs: Path | None, view_count: int) -> None:
        """module: in eval mode; its parameters stop asking for gradients here."""
        self.module = module.requires_grad_(False).to(memory_format=torch.channels_last)
        self.view_count = view_count
        self.forward_count = 0
        """Examples that went through the network."""
        self._codes = np.load(outputs / CODES, mmap_mode="r") if outputs else np.zeros(0, np.int64)
        self._logits = np.load(outputs / LOGITS, mmap_mode="r") if outputs else np.zeros((0, 0), np.float32)

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
        """The network's answer, counted."""
        self.module.eval()
        self.forward_count += len(inputs[0])
        logits: Tensor = self.module(*inputs)
        return logits.float()


def load_teacher(work: Work, data: TaskData, device: torch.device) -> Teacher:
    """The teacher of a stage, with its stored outputs where the stage has them as an input."""
    module = _models.load(work.input("teacher"), data.task, device)
    outputs = work.input("outputs") if "outputs" in work.spec.inputs else None
    return Teacher(module, outputs, data.declared.views())

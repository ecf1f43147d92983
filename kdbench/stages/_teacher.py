"""A teacher's outputs, stored by (example, view); what nobody stored is computed live and counted."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from kdbench import functional as F
from kdbench.errors import TechniqueError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.protocols import Batch, Outputs, TaskDescription
from kdbench.ragged import Ragged, Stored, stored_array
from kdbench.stages import torch_models
from kdbench.stages._data import TaskData
from kdbench.stages._shared_passes import Hear, SharedPasses
from kdbench.stages.lockstep import Turn
from kdbench.stages.names import ONNX_FILE, numbered
from kdbench.stages.work import Work

CODES = "codes.npy"
PROBABILITIES = "probabilities"
"""A file that is there where the stored logits are logarithms of what the teacher gave."""
PROBABILITIES_NOTE = (
    "The teacher gives probabilities (rows that are never negative and sum to 1), as it ends in a softmax; their "
    "logarithms were taken as its logits."
)
ROUNDING = 1e-3
"""How far a row of probabilities may be from summing to 1: half precision and 8-bit files round."""


def save_outputs(folder: Path, codes: np.ndarray, outputs: Sequence[Stored], probabilities: bool = False) -> None:
    """Write a teacher's outputs.

    codes: int64 (n,), rising, index * view_count + view; outputs: for each of the task's outputs float32 (n, ...), or
    n rows of unequal length. probabilities: whether the logits are logarithms of what the teacher gave.
    """
    np.save(folder / CODES, codes)
    for number, array in enumerate(outputs):
        path = _outputs_file(folder, number)
        if isinstance(array, Ragged):
            array.save(path)
        else:
            np.save(path, array)
    if probabilities:
        (folder / PROBABILITIES).touch()


def stored_outputs(folder: Path, output_count: int) -> tuple[np.ndarray, list[Stored]]:
    """The codes and outputs that `save_outputs` wrote, mapped."""
    outputs = [stored_array(_outputs_file(folder, number)) for number in range(output_count)]
    return np.load(folder / CODES, mmap_mode="r"), outputs


def _outputs_file(folder: Path, number: int) -> Path:
    return folder / f"outputs{number}.npy"


class Network(Protocol):
    """A network or a file's session: what a teacher computes with."""

    def __call__(self, *inputs: Tensor) -> Any: ...


class Teacher:
    """Answers for a batch, from a stored table where one was given."""

    def __init__(
        self,
        load: Callable[[], Network],
        task: TaskDescription,
        outputs: Path | None,
        view_count: int,
        turn: Turn | None = None,
        passes: SharedPasses | None = None,
        tells: Sequence[str] = (),
    ) -> None:
        """load: gives a module in eval mode, whose copy for this stage asks for no gradients, or a file's session.

        turn, passes: of the stage that asks, and what it shares with others of its group; by default nothing.
        tells: the names of the outputs that it tells; empty: all.
        """
        self._load, self._turn, self._passes = load, turn or Turn.alone(), passes or SharedPasses()
        self.task = task
        self.missing = [place for place, output in enumerate(task.outputs) if tells and output.name not in tells]
        """Places of the outputs for which zeros stand in its answers."""
        self.view_count = view_count
        self.forward_count = 0
        """Examples that went through the network."""
        self.gives_probabilities = (outputs / PROBABILITIES).exists() if outputs else None
        """Whether its answers are probabilities, whose logarithms are given out; None until it is asked."""
        self._codes, self._stored = (
            stored_outputs(outputs, len(task.outputs)) if outputs else (np.zeros(0, np.int64), [])
        )

    @cached_property
    def answer(self) -> Network:
        """What computes; loaded when first asked, which is never where every output is stored."""
        network: Network = self._passes.copy(self._turn, self._load)
        return network

    def listen(self, hear: Hear) -> None:
        """Have every pass told that other stages of the group make of this teacher."""
        if isinstance(self.answer, nn.Module):
            self._passes.listen(self._turn, hear)

    def is_of(self, network: nn.Module) -> bool:
        """Whether this teacher's answers are that network's."""
        return vars(self).get("answer") is network

    def said(self, batch: Batch) -> Any:
        """What the network gives for a batch, by a pass of its own or one that several students share."""
        if isinstance(self.answer, nn.Module):
            return self._passes.answer(self._turn, self.answer.eval(), batch)
        return self.answer(*batch.inputs)

    @property
    def module(self) -> nn.Module:
        """The network itself. Raises TechniqueError where the teacher is an ONNX file."""
        if not isinstance(self.answer, nn.Module):
            raise TechniqueError("the teacher is an ONNX file, which gives outputs only; name a model.")
        return self.answer

    def __call__(self, batch: Batch) -> Outputs:
        """The teacher's outputs, without gradients. Stored ones of unequal length are padded to the longest."""
        codes = (batch.index * self.view_count + batch.view).cpu().numpy()
        places = np.minimum(np.searchsorted(self._codes, codes), max(len(self._codes) - 1, 0))
        stored = self._codes[places] == codes if len(self._codes) else np.zeros(len(codes), bool)
        device = batch.index.device
        if stored.all():
            return self._looked_up(places, device)
        if not stored.any():
            return self.live(batch)
        if any(isinstance(array, Ragged) for array in self._stored):
            return self.live(batch)  # rows of two lengths would not fit together
        missing = torch.from_numpy(np.flatnonzero(~stored)).to(device)
        answer = self._looked_up(places, device)
        for whole, live in zip(answer, self.live(batch.part(missing)), strict=True):
            whole[missing] = live
        return answer

    def _looked_up(self, places: np.ndarray, device: torch.device) -> Outputs:
        arrays = (array.padded(places, 0.0) if isinstance(array, Ragged) else array[places] for array in self._stored)
        return tuple(torch.from_numpy(array).to(device) for array in arrays)

    @torch.no_grad()
    def live(self, batch: Batch) -> Outputs:
        """The network's outputs for a batch, computed now and counted."""
        self.forward_count += len(batch)
        return self.told(self.said(batch))

    def told(self, answer: Any) -> Outputs:
        """The outputs in what the network gave; where it gives probabilities of classes, their logarithms."""
        outputs = F.outputs_of(answer, self.answer, len(self.task.outputs))
        classes = [output.kind == "classes" for output in self.task.outputs]
        if self.gives_probabilities is None:
            told = [are_probabilities(given) for given, is_classes in zip(outputs, classes, strict=True) if is_classes]
            self.gives_probabilities = bool(told) and all(told)
        if not self.gives_probabilities:
            return outputs
        return tuple(
            given.clamp_min(torch.finfo(torch.float32).tiny).log() if is_classes else given
            for given, is_classes in zip(outputs, classes, strict=True)
        )


def are_probabilities(rows: Tensor) -> bool:
    """Whether rows (B, classes) are what a softmax gives, and so no logits."""
    return bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() <= ROUNDING).all())


def load_teacher(work: Work, data: TaskData, device: torch.device, number: int = 0) -> Teacher:
    """A teacher of a stage, with its stored outputs where the stage has them as an input.

    Its passes are shared with the other stages of a group that show it the same batches.
    """
    role = numbered("outputs", number)
    outputs = work.input(role) if role in work.spec.inputs else None
    folder = work.input(numbered("teacher", number))
    inputs, turn = work.spec.inputs, work.turn
    shown = (inputs[numbered("teacher", number)], number, inputs["data"], work.spec.seed)
    passes = turn.lockstep.passes.setdefault(shown, SharedPasses())
    views = data.declared.views()
    tells = torch_models.declaration(folder).outputs if torch_models.is_network(folder) else ()
    return Teacher(lambda: _network(folder, data, device), data.task, outputs, views, turn, passes, tells)


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

    def __call__(self, *inputs: Tensor) -> Outputs:
        feed = {name: tensor.cpu().numpy() for name, tensor in zip(self.input_names, inputs, strict=True)}
        return tuple(torch.from_numpy(array).to(inputs[0].device) for array in self.session.run_checked(feed))

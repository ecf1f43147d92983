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
from kdbench.stages import torch_models
from kdbench.stages._data import TaskData
from kdbench.stages._shared_passes import Hear, SharedPasses
from kdbench.stages._stored_outputs import StoredTable
from kdbench.stages.lockstep import Turn
from kdbench.stages.names import ONNX_FILE, numbered
from kdbench.stages.work import Work

PROBABILITIES_NOTE = (
    "the teacher gives probabilities (rows that are never negative and sum to 1), as it ends in a softmax; their "
    "logarithms were taken as its logits."
)
ROUNDING = 1e-3
"""How far a row of probabilities may be from summing to 1: half precision and 8-bit files round."""


class Network(Protocol):
    """A network or a file's session: what a teacher computes with."""

    def __call__(self, *inputs: Tensor) -> Any: ...


class Teacher:
    """Answers for a batch, from a stored table where one was given."""

    def __init__(
        self,
        load: Callable[[], Network],
        task: TaskDescription,
        stored: StoredTable | None,
        view_count: int,
        turn: Turn | None = None,
        passes: SharedPasses | None = None,
        tells: Sequence[str] = (),
    ) -> None:
        """load: gives a module in eval mode, whose copy for this stage asks for no gradients, or a file's session.

        stored: outputs that need not be computed; others are given out in the form in which these are stored.
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
        self.gives_probabilities = stored.gave_probabilities if stored else None
        """Whether its answers are probabilities, whose logarithms are given out; None until it is asked."""
        self._stored = stored

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
        if self._stored is None:
            return self.live(batch)
        device = batch.index.device
        places, there = self._stored.find((batch.index * self.view_count + batch.view).cpu().numpy())
        if there.all():
            return self._stored.outputs(places, device)
        if not there.any() or self._stored.varies:  # rows of two lengths would not fit together
            return self._stored.as_stored(self.live(batch))
        missing = torch.from_numpy(np.flatnonzero(~there)).to(device)
        answer = self._stored.outputs(places, device)
        live = self._stored.as_stored(self.live(batch.part(missing)))
        for whole, computed in zip(answer, live, strict=True):
            whole[missing] = computed
        return answer

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
    stored = StoredTable.open(work.input(role), data.task) if role in work.spec.inputs else None
    folder = work.input(numbered("teacher", number))
    inputs, turn = work.spec.inputs, work.turn
    shown = (inputs[numbered("teacher", number)], number, inputs["data"], work.spec.seed)
    passes = turn.lockstep.passes.setdefault(shown, SharedPasses())
    views = data.declared.views()
    tells = torch_models.declaration(folder).outputs if torch_models.is_network(folder) else ()
    return Teacher(lambda: _network(folder, data, device), data.task, stored, views, turn, passes, tells)


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

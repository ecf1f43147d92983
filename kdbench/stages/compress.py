"""The compress stage: one technique works on one model, a torch network, an estimator or an ONNX file."""

import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.protocols import Technique
from kdbench.protocols.part import PartSpec
from kdbench.stages import _estimators, torch_models
from kdbench.stages.context import StageContext
from kdbench.stages.names import ONNX_FILE
from kdbench.stages.work import Fact, Work
from kdbench.techniques.weights._split import is_inner


def compress(work: Work) -> list[Fact]:
    """Apply the technique part. Raises TechniqueError with the technique's own reason where it cannot work here."""
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    technique: Technique = work.part("technique")
    ctx = StageContext(work)
    trained: list[Fact] = []
    if technique.form == "onnx":
        facts = _on_file(technique, work, ctx)
    elif _estimators.is_estimator(student := _declared(work)):
        facts, trained = {}, [_estimators.learn(work, ctx, student, lambda batch: technique.targets(batch, ctx))]
    else:
        facts = _on_network(technique, work, ctx)
    cost = {"wall_ns": time.perf_counter_ns() - wall, "cpu_ns": time.process_time_ns() - cpu}
    ctx.clean()
    return [
        {
            "kind": "compression",
            "technique": work.spec.parts["technique"].name,
            "fields": technique.to_fields(),
            **cost,
            **facts,
            "notes": ctx.notes,
        },
        *(trained or ctx.training_facts()),
    ]


def _declared(work: Work) -> PartSpec:
    """What the student is, whatever it went through."""
    return work.spec.parts["model"] if "model" in work.spec.parts else torch_models.declaration(work.input("model"))


def _on_network(technique: Technique, work: Work, ctx: StageContext) -> Fact:
    model, part = _start(work, ctx)
    _refuse(technique, model, ctx)
    before = channel_count(model)
    reseed(ctx.seed)
    model = technique.apply(model, ctx)
    torch_models.save(model, part, work.out)
    weights = [p for p in model.parameters() if p.dim() > 1]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return {
        "removed_channel_fraction": 1 - channel_count(model) / before,
        "zero_weight_fraction": zeros / sum(weight.numel() for weight in weights),
    }


def _start(work: Work, ctx: StageContext) -> tuple[nn.Module, PartSpec]:
    if "model" in work.spec.inputs:
        folder = work.input("model")
        return torch_models.load(folder, ctx.task, ctx.device), torch_models.declaration(folder)
    part = work.spec.parts["model"]
    return torch_models.fresh(part, ctx.task, ctx.seed).to(ctx.device), part


def _on_file(technique: Technique, work: Work, ctx: StageContext) -> Fact:
    source = work.input("model") / ONNX_FILE
    _refuse(technique, source, ctx)
    reseed(ctx.seed)
    result = Path(technique.apply(source, ctx))
    if result != work.out / ONNX_FILE:
        result.replace(work.out / ONNX_FILE)
    return {}


def _refuse(technique: Technique, model: object, ctx: StageContext) -> None:
    problem = technique.problem(model, ctx)
    if problem is not None:
        raise TechniqueError(problem)


def reseed(seed: int) -> None:
    """Set the random states that a technique may draw from; what ran in this process before must not matter."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def channel_count(model: nn.Module) -> int:
    """Output channels of all convolutions and linear layers; of one that was split in two, those of the second."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    named = model.named_modules()
    return sum(module.weight.shape[0] for name, module in named if isinstance(module, kinds) and not is_inner(name))

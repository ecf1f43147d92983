"""The compress stage: one technique works on one model, a torch network, an estimator or an ONNX file."""

import random
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


def compress(work: Work) -> list[Fact]:
    """Apply the technique part. Raises TechniqueError with the technique's own reason where it cannot work here."""
    wall, cpu = work.turn.clock()
    technique: Technique = work.part("technique")
    ctx = StageContext(work)
    trained: list[Fact] = []
    if technique.form == "onnx":
        facts = _on_file(technique, work, ctx)
    elif _estimators.is_estimator(student := _declared(work)):
        facts, trained = {}, [_estimators.learn(work, ctx, student, lambda batch: technique.targets(batch, ctx))]
    else:
        facts = _on_network(technique, work, ctx)
    wall_after, cpu_after = work.turn.clock()
    cost = {"wall_ns": wall_after - wall, "cpu_ns": cpu_after - cpu}
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
    """The student's declaration, whatever steps it has gone through."""
    return work.spec.parts["model"] if "model" in work.spec.parts else torch_models.declaration(work.input("model"))


def _on_network(technique: Technique, work: Work, ctx: StageContext) -> Fact:
    model, part, changed_by = _start(work, ctx)
    declared = torch_models.declared(part, ctx.task)
    before = widths(model, declared)
    model = applied(technique, model, ctx)
    if torch_models.restores(technique):
        changed_by.append(work.spec.parts["technique"])
    torch_models.save(model, part, work.out, changed_by)
    after = widths(model, declared)
    weights = [p for p in model.parameters() if p.dim() > 1]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return {
        "removed_channel_fraction": 1 - sum(after.values()) / sum(before[name] for name in after),
        "zero_weight_fraction": zeros / sum(weight.numel() for weight in weights),
    }


def applied(technique: Technique, network: nn.Module, ctx: StageContext) -> nn.Module:
    """The network after a technique. Raises TechniqueError where it refuses, or gives anything else."""
    _refuse(technique, network, ctx)
    reseed(ctx.seed)
    made = technique.apply(network, ctx)
    if not isinstance(made, nn.Module):
        raise TechniqueError(_not_given(technique, made, "the network"))
    return made


def _start(work: Work, ctx: StageContext) -> tuple[nn.Module, PartSpec, list[PartSpec]]:
    """The student, its declaration, and the techniques that have changed its structure so far."""
    if "model" in work.spec.inputs:
        folder = work.input("model")
        model = torch_models.load(folder, ctx.task, ctx.device)
        return model, torch_models.declaration(folder), torch_models.changed_by(folder)
    part = work.spec.parts["model"]
    network = torch_models.fresh(part, ctx.task, ctx.seed).to(ctx.device)
    return network, part, []


def _on_file(technique: Technique, work: Work, ctx: StageContext) -> Fact:
    source = work.input("model") / ONNX_FILE
    _refuse(technique, source, ctx)
    reseed(ctx.seed)
    result = technique.apply(source, ctx)
    if not isinstance(result, str | Path):
        raise TechniqueError(_not_given(technique, result, "the path of the file"))
    result = Path(result)
    if result != work.out / ONNX_FILE:
        result.replace(work.out / ONNX_FILE)
    return {}


def _not_given(technique: Technique, result: object, expected: str) -> str:
    name = type(technique).__name__
    return f"{name}.apply() gives {'nothing' if result is None else type(result).__name__}; it must return {expected}."


def _refuse(technique: Technique, model: object, ctx: StageContext) -> None:
    for output in ctx.task.outputs:
        unsuited = technique.kind_problem(output.kind)
        if unsuited is not None:
            name = f" '{output.name}'" if len(ctx.task.outputs) > 1 else ""
            raise TechniqueError(f"it makes no sense for the task's output{name}, of kind {output.kind}: {unsuited}")
    problem = technique.problem(model, ctx)
    if problem is not None:
        raise TechniqueError(problem)


def reseed(seed: int) -> None:
    """Set the random states that a technique may draw from; what ran in this process before must not matter."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def widths(model: nn.Module, declared: nn.Module) -> dict[str, int]:
    """Output channels of each convolution and linear layer of the declared network, by path, as they are in `model`.

    Where a technique has put several layers in the place of one, the last of them counts.
    """
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    modules = dict(model.named_modules(remove_duplicate=False))
    paths = [path for path, layer in declared.named_modules() if isinstance(layer, kinds) and path in modules]
    return {
        path: [layer for layer in modules[path].modules() if isinstance(layer, kinds)][-1].weight.shape[0]
        for path in paths
    }

"""Stages of students that are not networks: what they are shown, and how they are stored."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from kdbench.errors import ModelError
from kdbench.models.estimators import Estimator
from kdbench.protocols import Batch
from kdbench.protocols.part import PartSpec
from kdbench.stages import torch_models
from kdbench.stages._data import EVALUATION_BATCH, TaskData
from kdbench.stages.context import StageContext
from kdbench.stages.work import Fact, Work
from kdbench.streams import torch_seed
from kdbench.tasks.arrays import epoch_order, epoch_views

if TYPE_CHECKING:
    from kdbench.models.fitted_estimators import Fitted, Lesson

FITTED = "estimator.pkl"
"""A pickle, which runs code when it is read. It is read from the store only, which kdbench alone writes, as the same
user whose own `file.py` runs from it anyway; results folders, bundles and what `get` hands over hold the ONNX file
only. The reader has the same scikit-learn, as its version is part of the stage's key."""
NOISE = 0.3
"""Standard deviation of the noise on copies where the task does not augment, in units of the inputs' own spread."""


def is_estimator(part: PartSpec) -> bool:
    """Whether a declaration is that of an estimator."""
    return bool(part.build().form == "estimator")


def learn(work: Work, ctx: StageContext, part: PartSpec, targets: Callable[[Batch], Tensor]) -> Fact:
    """Fit an estimator to the targets of the training split and its copies, and store it; returns its training fact."""
    import kdbench.models.fitted_estimators  # noqa: F401  # scikit-learn, whose import is no part of the training's time

    model: Estimator = part.build()
    recipe = work.recipe("train")
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    torch.set_num_threads(recipe.threads)
    with threadpool_limits(recipe.threads):
        lesson = _lesson(work, ctx, part, targets, recipe.threads)
        work.log.info("fitting %s to %d examples", part.name, len(lesson.inputs))
        fitted = model.fit(lesson)
    save(fitted, part, work.out)
    return {
        "kind": "training",
        "wall_ns": time.perf_counter_ns() - wall,
        "cpu_ns": time.process_time_ns() - cpu,
        "epoch_count": 1 + model.copies,
        "device": "cpu",
        "recipe": recipe.to_fields(),
        "teacher_forward_count": ctx.forward_count,
    }


def _lesson(work: Work, ctx: StageContext, part: PartSpec, targets: Callable[[Batch], Tensor], threads: int) -> Lesson:
    """Raises ModelError for a task with several inputs or outputs, or with an output of another kind."""
    from kdbench.models.columns import estimator_feature_count, estimator_features
    from kdbench.models.fitted_estimators import Lesson

    estimator_feature_count(part.name, ctx.task)
    kinds = [output.kind for output in ctx.task.outputs]
    if kinds not in (["classes"], ["values"]):
        raise ModelError(f"{part.name} learns one output of classes or values, the task has {', '.join(kinds)}.")
    inputs, taught = [], []
    for batch in shown(TaskData.open(work), part.build(), ctx.seed, ctx.device):
        inputs.append(estimator_features(ctx.task, batch.inputs).cpu().numpy())
        taught.append(targets(batch).cpu().numpy())
    return Lesson(np.concatenate(inputs), np.concatenate(taught), ctx.task.class_count, ctx.seed, threads)


def shown(data: TaskData, model: Estimator, seed: int, device: torch.device) -> Iterator[Batch]:
    """The training split as it is, then its copies. Order, noise and views depend on the seed only."""
    count, views = data.arrays.count("train"), data.declared.views()
    noise = model.noise if model.noise is not None else (NOISE if views == 1 else 0.0)
    generator = torch.Generator().manual_seed(torch_seed("noise on copies", seed))
    for copy in range(1 + model.copies):
        order = epoch_order(count, seed, copy)
        seen = epoch_views(count, views, seed, copy - 1) if copy else np.zeros(count, np.int64)
        for start in range(0, count, EVALUATION_BATCH):
            index = order[start : start + EVALUATION_BATCH]
            batch = data.chosen(index, seen[index], device)
            yield batch.noisy(data.task.inputs, noise, generator) if copy and noise else batch


def save(fitted: Fitted, part: PartSpec, folder: Path) -> None:
    """Write a fitted estimator and its declaration."""
    torch_models.save_declaration(part, folder)
    (folder / FITTED).write_bytes(pickle.dumps(fitted, protocol=5))


def load(folder: Path) -> Fitted:
    """The estimator that `save` wrote."""
    fitted: Fitted = pickle.loads((folder / FITTED).read_bytes())
    return fitted


def is_fitted(folder: Path) -> bool:
    """Whether a stage's folder holds a fitted estimator."""
    return (folder / FITTED).exists()

"""What a technique is given: the loop, the teacher, the training split; and what it is not."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from kdbench import testing
from kdbench.errors import DataError, TechniqueError
from kdbench.stages._stored_outputs import StoredTable
from kdbench.stages._teacher import Teacher
from kdbench.stages.context import StageContext
from kdbench.stages.spec import StageSpec
from kdbench.stages.teach import wanted_codes
from kdbench.stages.work import Work
from kdbench.tasks.arrays import epoch_views


@pytest.fixture
def ctx(tmp_path: Path) -> StageContext:
    bench = testing._bench()
    inputs = {"data": bench.data, "teacher": bench.teacher}
    recipe = {"recipe:train": testing._recipe(testing.SHORTER)}
    spec = StageSpec("compress", 1, {"task": testing.TASK, **recipe}, inputs, seed=0)
    return StageContext(Work(spec, bench.store, tmp_path, logging.getLogger("test")))


def test_there_is_no_way_to_test_data(ctx: StageContext) -> None:
    handed_out = {name for name in dir(ctx) if not name.startswith("_")}
    assert {"train", "validation", "calibration", "example"} <= handed_out
    assert not any("test" in name or name in ("data", "work", "store") for name in handed_out)


def test_train_and_validation_are_the_tasks_splits_in_order(ctx: StageContext) -> None:
    counts = [sum(len(batch.targets[0]) for batch in split) for split in (ctx.train, ctx.validation)]
    assert counts == [ctx.task.example_counts["train"], ctx.task.example_counts["validation"]]
    index = torch.cat([batch.index for batch in ctx.train])
    assert torch.equal(index, torch.arange(len(index)))


def test_too_few_calibration_samples_are_refused_with_both_numbers(ctx: StageContext) -> None:
    with pytest.raises(DataError, match="asks for 2000 samples, but the training split has 1078; ask for fewer"):
        ctx.calibration(2000)


def test_calibration_draws_distinct_preprocessed_training_inputs(ctx: StageContext) -> None:
    samples = ctx.calibration(64)
    assert len({sample["image"].tobytes() for sample in samples}) == 64
    train = torch.cat([batch.inputs[0] for batch in ctx.train]).numpy()
    assert all((np.abs(train - sample["image"]).reshape(len(train), -1).max(1) < 1e-6).any() for sample in samples)


def test_a_recipe_that_roles_do_not_name_is_refused(ctx: StageContext) -> None:
    with pytest.raises(TechniqueError, match=r"fit\(\) was asked for recipe 'finetune', which the technique's `roles`"):
        ctx.fit(torch.nn.Linear(1, 1), recipe="finetune")


def stored(ctx: StageContext, folder: Path, kept: int) -> Teacher:
    """A teacher of whose outputs on the training split the first `kept` are stored, each shifted by 100."""
    logits = torch.cat([ctx.teacher(batch)[0] for batch in ctx.train]).numpy()[:kept]
    np.save(folder / "codes.npy", np.arange(kept))
    np.save(folder / "outputs0.npy", logits + 100)
    return Teacher(lambda: ctx.teacher_module, ctx.task, StoredTable.open(folder, ctx.task), view_count=1)


def test_stored_outputs_are_looked_up_and_the_rest_is_live_and_counted(ctx: StageContext, tmp_path: Path) -> None:
    teacher = stored(ctx, tmp_path, kept=100)
    batch = next(iter(ctx.train))
    assert len(batch.targets[0]) == 256
    difference = teacher(batch)[0] - ctx.teacher(batch)[0]
    assert torch.allclose(difference[:100], torch.tensor(100.0), atol=1e-3)
    assert torch.allclose(difference[100:], torch.tensor(0.0), atol=1e-3)
    assert teacher.forward_count == 156


def test_no_stored_output_is_taken_for_a_validation_example(ctx: StageContext, tmp_path: Path) -> None:
    teacher = stored(ctx, tmp_path, kept=1078)
    batch = next(iter(ctx.validation))
    assert torch.allclose(teacher(batch)[0], ctx.teacher(batch)[0], atol=1e-4)
    assert teacher.forward_count == len(batch.targets[0])


def test_the_stored_pairs_are_those_that_the_epochs_visit() -> None:
    codes = wanted_codes(50, 162, seed=3, epochs=4)
    visited = {i * 162 + v for epoch in range(4) for i, v in enumerate(epoch_views(50, 162, 3, epoch))}
    assert set(codes.tolist()) == visited
    assert (np.diff(codes) > 0).all()
    assert wanted_codes(50, 1, seed=3, epochs=4).tolist() == list(range(50))

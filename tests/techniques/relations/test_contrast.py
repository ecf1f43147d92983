"""What contrastive distillation draws and remembers: torchdistill over several steps, and its memories."""

import warnings

import pytest
import torch
from torch.nn.functional import normalize

from kdbench.techniques.relations._contrast import Contrast, Memory

TARGETS = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])


def contrast(negative_count: int = 4, targets: torch.Tensor = TARGETS, size: int = 6) -> Contrast:
    torch.manual_seed(0)
    return Contrast((5, 1, 1), (7,), size, targets, negative_count, 0.07, 0.5)


def test_negatives_are_of_other_classes_none_twice_and_all_alike_likely():
    bench, index = contrast(negative_count=4), torch.tensor([0, 4, 8, 9])
    counts = torch.zeros(4, len(TARGETS))
    for _ in range(2000):
        drawn = bench.negatives(index)
        assert all(len(set(row)) == 4 for row in drawn.tolist())
        counts.scatter_add_(1, drawn, torch.ones(drawn.shape))

    same = TARGETS[index][:, None] == TARGETS
    assert (counts[same] == 0).all()
    expected = (4 / (~same).sum(1, keepdim=True)).expand_as(counts)[~same]
    assert (counts[~same] / 2000 - expected).abs().max() < 5 * (0.25 / 2000) ** 0.5


def test_there_are_no_more_negatives_than_every_example_has():
    assert contrast(negative_count=16384).negatives(torch.tensor([5, 0])).shape == (2, 6)  # class 2 has 4 of 10


def test_draws_repeat_with_the_random_state():
    bench, index = contrast(), torch.tensor([0, 4])
    torch.manual_seed(3)
    once = bench.negatives(index)
    torch.manual_seed(3)

    assert torch.equal(once, bench.negatives(index))
    assert not torch.equal(once, bench.negatives(index))


def test_memories_and_normalizers_are_in_the_checkpoint_and_follow_the_device():
    bench = contrast()
    features = torch.rand(3, 5, 1, 1), torch.rand(3, 7)
    bench(*features, torch.tensor([0, 4, 9]))

    state = bench.state_dict()

    assert state["of_student.embeddings"].shape == state["of_teacher.embeddings"].shape == (10, 6)
    assert state["of_student.normalizer"] > 0
    assert {name for name, _ in bench.named_parameters()} == {
        f"embed.{whose}.{kind}" for whose in ("student", "teacher") for kind in ("weight", "bias")
    }
    assert bench.to("meta").targets.is_meta
    assert bench.of_teacher.embeddings.is_meta


def test_only_the_batch_s_rows_of_a_memory_move_halfway_and_keep_length_one():
    memory = Memory(10, 6, momentum=0.5)
    before = memory.embeddings
    rows = normalize(torch.rand(2, 6))

    memory.remember(torch.tensor([7, 2]), rows)

    assert torch.allclose(memory.embeddings[7], normalize(before[7] + rows[0], dim=0))
    assert torch.allclose(memory.embeddings[2], normalize(before[2] + rows[1], dim=0))
    untouched = [i for i in range(10) if i not in (2, 7)]
    assert torch.equal(memory.embeddings[untouched], before[untouched])


def test_contrast_agrees_with_torchdistill_over_several_steps_memories_and_z_included():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mid_level = pytest.importorskip("torchdistill.losses.mid_level")
    ours = contrast(negative_count=4).double()
    theirs = mid_level.CRDLoss("s", "e", "t", 6, 10, 4, 10)
    theirs.params = torch.tensor([4, 0.07, -1, -1, 0.5], dtype=torch.float64)
    theirs.memory_v1 = ours.of_student.embeddings.clone()
    theirs.memory_v2 = ours.of_teacher.embeddings.clone()
    generator = torch.Generator().manual_seed(1)

    for index in (torch.tensor([0, 4, 9]), torch.tensor([4, 1, 6]), torch.tensor([8, 0])):
        s = torch.rand(len(index), 5, dtype=torch.float64, generator=generator, requires_grad=True)
        t = torch.rand(len(index), 7, dtype=torch.float64, generator=generator)
        state = torch.get_rng_state()
        candidates = torch.cat([index[:, None], ours.negatives(index)], 1)
        torch.set_rng_state(state)
        mine, its = (normalize(x) for x in ours.embed(s, t))
        scores = theirs.contrast_memory(mine, its, index, candidates)
        expected = sum(theirs.compute_contrast_loss(x) for x in scores).sum()
        wanted = torch.autograd.grad(expected, [s, *ours.parameters()])

        found = ours(s, t, index)
        got = torch.autograd.grad(found, [s, *ours.parameters()])

        assert found.item() == pytest.approx(expected.item(), rel=1e-10)
        assert all(torch.allclose(x, y, rtol=1e-8, atol=1e-12) for x, y in zip(got, wanted, strict=True))
    assert torch.allclose(ours.of_student.embeddings, theirs.memory_v1, rtol=1e-12)
    assert torch.allclose(ours.of_teacher.embeddings, theirs.memory_v2, rtol=1e-12)
    assert ours.of_teacher.normalizer.item() == pytest.approx(theirs.params[2].item(), rel=1e-12)

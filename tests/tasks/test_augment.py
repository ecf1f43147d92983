import numpy as np
import pytest
import torch

from kdbench.tasks._augment import crop_flip
from kdbench.tasks.torchvision import CIFAR10

PADDING = 2
SIDE = 2 * PADDING + 1


def _images(count: int) -> torch.Tensor:
    return torch.arange(1, count * 3 * 4 * 6 + 1, dtype=torch.int32).reshape(count, 3, 4, 6)


def test_view_0_is_the_image_itself() -> None:
    images = _images(2)
    assert torch.equal(crop_flip(images, torch.tensor([0, 0]), PADDING), images)


def test_view_1_is_the_image_mirrored() -> None:
    assert torch.equal(crop_flip(_images(1), torch.tensor([1]), PADDING), _images(1).flip(3))


def test_a_shift_brings_zeros_in() -> None:
    right = crop_flip(_images(1), torch.tensor([1 * 2]), PADDING)
    assert torch.equal(right[..., :-1], _images(1)[..., 1:])
    assert not right[..., -1].any()
    down = crop_flip(_images(1), torch.tensor([1 * SIDE * 2]), PADDING)
    assert torch.equal(down[..., :-1, :], _images(1)[..., 1:, :])


def test_every_view_is_one_crop_of_the_padded_image_and_no_two_agree() -> None:
    image = _images(1)
    views = crop_flip(image.expand(2 * SIDE**2, -1, -1, -1), torch.arange(2 * SIDE**2), PADDING)
    padded = np.pad(image[0].numpy(), ((0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    crops = [padded[:, y : y + 4, x : x + 6] for y in range(SIDE) for x in range(SIDE)]
    expected = {crop.tobytes() for crop in crops} | {crop[:, :, ::-1].tobytes() for crop in crops}
    assert {view.numpy().tobytes() for view in views} == expected
    assert len(expected) == 2 * SIDE**2


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    images, views = _images(8), torch.arange(8) * 5
    together = crop_flip(images, views, PADDING)
    alone = [crop_flip(images[i : i + 1], views[i : i + 1], PADDING) for i in range(8)]
    assert torch.equal(together, torch.cat(alone))


def test_bytes_stay_bytes() -> None:
    assert crop_flip(_images(1).to(torch.uint8), torch.tensor([3]), PADDING).dtype == torch.uint8


@pytest.mark.parametrize(("augment", "views"), [("none", 1), ("crop_flip", 162)])
def test_a_padding_of_4_gives_162_views(augment: str, views: int) -> None:
    assert CIFAR10.from_fields({"root": "data", "augment": augment}).views() == views

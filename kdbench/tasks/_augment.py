"""Augmentation of whole batches of stored images. A view's number decides everything; nothing is random here."""

import torch
from torch import Tensor
from torch.nn import functional


def crop_flip(images: Tensor, views: Tensor, padding: int, fill: int = 0) -> Tensor:
    """Shift each image by up to `padding` pixels (`fill` comes in) and mirror it or not, as RandomCrop and flip do.

    images: (B, C, H, W), any dtype; views: int64 (B,), (dy * side + dx) * 2 + mirrored with side = 2 * padding + 1.
    dy and dx count from the centre and wrap round, so that view 0 is the image itself.
    """
    count, channels, height, width = images.shape
    side = 2 * padding + 1
    top = (views // 2 // side + padding) % side
    left = (views // 2 % side + padding) % side
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    columns = torch.where(views[:, None] % 2 == 1, columns.flip(1), columns)
    places = (rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]).reshape(count, 1, height * width)
    padded = functional.pad(images, (padding,) * 4, value=fill).flatten(2)
    return padded.gather(2, places.expand(-1, channels, -1)).view(images.shape)

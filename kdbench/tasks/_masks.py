"""SpecAugment as numbered views: which band and which stretch of time a view masks."""

import torch
from torch import Tensor


def masked(pictures: Tensor, views: Tensor, most_bands: int, most_frames: int, lengths: Tensor | None = None) -> Tensor:
    """Pictures (B, 1, bands, frames) with a band and a stretch of time set to 0; view 0 stays as it is.

    The masks of a view depend on its number and on the sizes alone: widths are uniform from 0 to the most, places are
    uniform among those that fit (Park et al. 2019, section 2). lengths: how many frames are an example's own, (B,);
    masks lie among these, whatever the batch is padded to.
    """
    bands, frames = pictures.shape[2:]
    own = [frames] * len(views) if lengths is None else lengths.tolist()
    asked = list(zip(views.tolist(), own, strict=True))
    known = {(view, length): _view(view, bands, length, most_bands, most_frames) for view, length in set(asked)}
    table = torch.stack([known[one] for one in asked]).to(pictures.device)
    band, band_end, frame, frame_end = table.unbind(1)
    places, times = (torch.arange(size, device=pictures.device) for size in (bands, frames))
    in_band = (places >= band[:, None]) & (places < band_end[:, None])
    in_time = (times >= frame[:, None]) & (times < frame_end[:, None])
    hidden = in_band[:, None, :, None] | in_time[:, None, None, :]
    real = times < torch.tensor(own, device=pictures.device)[:, None]
    return pictures.masked_fill(hidden & real[:, None, None, :], 0)


def _view(view: int, bands: int, frames: int, most_bands: int, most_frames: int) -> Tensor:
    """int64 (4,): where the band and the stretch begin and end."""
    if view == 0:
        return torch.zeros(4, dtype=torch.int64)
    generator = torch.Generator().manual_seed(view)
    ends = []
    for size, most in ((bands, most_bands), (frames, most_frames)):
        width = int(torch.randint(min(most, size) + 1, (), generator=generator))
        start = int(torch.randint(size - width + 1, (), generator=generator))
        ends += [start, start + width]
    return torch.tensor(ends)

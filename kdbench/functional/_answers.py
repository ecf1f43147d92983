"""What a network gives, as the tuple of tensors that losses take. Knows no task."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kdbench.errors import ModelError

__all__ = ["outputs_of"]


def outputs_of(answer: Any, network: object, count: int | None = None) -> tuple[Tensor, ...]:
    """A network's answer as one tensor an output: it may be a tensor, or a tuple, list or mapping of them.

    Half precision becomes float32.

    network: what gave it, for the message; count: how many outputs the task has; None: not asked. Raises ModelError for
    anything else.
    """
    if isinstance(answer, Tensor):
        given: tuple[Any, ...] = (answer,)
    elif isinstance(answer, Mapping):
        given = tuple(answer.values())
    else:
        given = tuple(answer) if isinstance(answer, tuple | list) else (answer,)
    if len(given) != (count or len(given)) or not all(isinstance(one, Tensor) for one in given):
        wanted = "one tensor" if count == 1 else f"{count or 'some'} tensors, a tuple or mapping in the outputs' order,"
        got = type(answer).__name__ if len(given) == 1 else f"{type(answer).__name__} of {len(given)}"
        raise ModelError(
            f"{type(network).__name__} gives a {got}, and {wanted} was expected; return the outputs alone, in training "
            "as in eval mode."
        )
    return tuple(one.float() if one.dtype in (torch.bfloat16, torch.float16) else one for one in given)

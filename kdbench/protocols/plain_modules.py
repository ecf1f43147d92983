"""A user's plain torch.nn.Module class, or a function that makes one, as a model: its arguments are the fields.

Knows torch by the name of its base class only, so that nothing is imported that the user's file does not import.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import create_model

from kdbench.errors import KdbenchError, ModelError, ending, users_line
from kdbench.protocols.data import TaskDescription
from kdbench.protocols.model import Model
from kdbench.protocols.part import ADAPTERS

if TYPE_CHECKING:
    from torch import nn

MODULE = ("torch.nn.modules.module", "Module")
"""Where torch has the base class of every network."""
PLAIN = (bool, int, float, str, list, dict, tuple)
"""Types of arguments that a field is checked against; any other is passed on as the suite has it."""


def is_plain(made_by: Any) -> bool:
    """Whether this is a network's class without kdbench's Model, or a function, which may make one."""
    if inspect.isfunction(made_by):
        return True
    return isinstance(made_by, type) and _is_network_class(made_by) and not issubclass(made_by, Model)


def _is_network_class(cls: type[Any]) -> bool:
    return any((base.__module__, base.__name__) == MODULE for base in cls.__mro__)


@cache
def as_model(made_by: Any) -> type[Model]:
    """The model whose fields are the arguments of a plain class or function, and whose network is what it gives.

    A class that derives from Model is one already. Raises ModelError where an argument cannot be given by name.
    """
    if not is_plain(made_by):
        found: type[Model] = made_by
        return found
    fields: dict[str, Any] = {}
    for name, argument in inspect.signature(made_by).parameters.items():
        if argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
            continue
        if argument.kind is argument.POSITIONAL_ONLY or name.startswith("_"):
            raise ModelError(f"{made_by.__name__} takes '{name}', which no field can name; give it another name.")
        fields[name] = (_type(argument), ... if argument.default is argument.empty else argument.default)
    about = inspect.cleandoc(made_by.__doc__ or f"The network that {made_by.__name__} gives.")
    made = create_model(made_by.__name__, __base__=_PlainModel, __module__=made_by.__module__, __doc__=about, **fields)
    made.made_by = staticmethod(made_by)
    return made


def _type(argument: inspect.Parameter) -> Any:
    """The type that a value must have: the annotation's where it is a plain one, else the default's."""
    hint = argument.annotation
    if isinstance(hint, str):
        hint = {kind.__name__: kind for kind in PLAIN}.get(hint, Any)
    if hint in PLAIN:
        return hint
    return type(argument.default) if hint is argument.empty and type(argument.default) in PLAIN else Any


class _PlainModel(Model):
    """A plain network of the user's: its arguments are the fields, and its layers are tapped by module path only."""

    made_by: ClassVar[Callable[..., Any]]

    def build(self, task: TaskDescription) -> nn.Module:
        """Raises ModelError where the class refuses its arguments, or gives no network."""
        makes = type(self).made_by
        try:
            network = makes(**{name: getattr(self, name) for name in type(self).model_fields})
        except KdbenchError:
            raise
        except Exception as error:  # whatever a user's own class does becomes a sentence
            place = users_line(error)
            if place is None:
                raise
            raise ModelError(f"{makes.__name__} cannot be built ({place}: {ending(error)}).") from error
        if not _is_network_class(type(network)):
            raise ModelError(f"{makes.__name__} gives {type(network).__name__}, and a torch.nn.Module was expected.")
        made: nn.Module = network
        return made


ADAPTERS["model"] = as_model

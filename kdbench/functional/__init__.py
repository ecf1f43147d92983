"""Every loss as a plain function, tensors in, a scalar out; names load on first use. Knows no technique."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdbench.functional._features import activation_boundary as activation_boundary
    from kdbench.functional._features import attention_transfer as attention_transfer
    from kdbench.functional._features import flow_of_solution as flow_of_solution
    from kdbench.functional._features import hint as hint
    from kdbench.functional._features import neuron_selectivity as neuron_selectivity
    from kdbench.functional._features import variational_information as variational_information
    from kdbench.functional._outputs import decoupled_distillation as decoupled_distillation
    from kdbench.functional._outputs import dist as dist
    from kdbench.functional._outputs import hard_distillation as hard_distillation
    from kdbench.functional._outputs import logit_matching as logit_matching
    from kdbench.functional._outputs import probability_matching as probability_matching
    from kdbench.functional._outputs import soft_cross_entropy as soft_cross_entropy
    from kdbench.functional._outputs import soft_distillation as soft_distillation
    from kdbench.functional._outputs import standardized_distillation as standardized_distillation
    from kdbench.functional._outputs import teacher_free as teacher_free
    from kdbench.functional._penalties import group_penalty as group_penalty
    from kdbench.functional._penalties import l1_penalty as l1_penalty
    from kdbench.functional._relations import contrastive as contrastive
    from kdbench.functional._relations import correlation_congruence as correlation_congruence
    from kdbench.functional._relations import probabilistic_transfer as probabilistic_transfer
    from kdbench.functional._relations import relational_angle as relational_angle
    from kdbench.functional._relations import relational_distance as relational_distance
    from kdbench.functional._relations import similarity_preserving as similarity_preserving
    from kdbench.functional._transformed import factor_transfer as factor_transfer
    from kdbench.functional._transformed import review as review

_HOME = {
    "activation_boundary": "_features",
    "attention_transfer": "_features",
    "contrastive": "_relations",
    "correlation_congruence": "_relations",
    "decoupled_distillation": "_outputs",
    "dist": "_outputs",
    "factor_transfer": "_transformed",
    "flow_of_solution": "_features",
    "group_penalty": "_penalties",
    "hard_distillation": "_outputs",
    "hint": "_features",
    "l1_penalty": "_penalties",
    "logit_matching": "_outputs",
    "neuron_selectivity": "_features",
    "probabilistic_transfer": "_relations",
    "probability_matching": "_outputs",
    "relational_angle": "_relations",
    "relational_distance": "_relations",
    "review": "_transformed",
    "similarity_preserving": "_relations",
    "soft_cross_entropy": "_outputs",
    "soft_distillation": "_outputs",
    "standardized_distillation": "_outputs",
    "teacher_free": "_outputs",
    "variational_information": "_features",
}
"""Name -> the module of this package that has it."""

__all__ = [
    "activation_boundary",
    "attention_transfer",
    "contrastive",
    "correlation_congruence",
    "decoupled_distillation",
    "dist",
    "factor_transfer",
    "flow_of_solution",
    "group_penalty",
    "hard_distillation",
    "hint",
    "l1_penalty",
    "logit_matching",
    "neuron_selectivity",
    "probabilistic_transfer",
    "probability_matching",
    "relational_angle",
    "relational_distance",
    "review",
    "similarity_preserving",
    "soft_cross_entropy",
    "soft_distillation",
    "standardized_distillation",
    "teacher_free",
    "variational_information",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})

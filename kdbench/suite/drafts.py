"""Suites as text that kdbench writes for whoever has none yet, to be read and edited. Looks at no file."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

PLAIN = re.compile(r"[A-Za-z_./~][\w./~+-]*")
"""Texts that mean themselves in YAML without quotes."""
WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "~"})
RECIPE = "{epochs: 5, batch_size: 64, learning_rate: 0.005, schedule: cosine}"
WITHOUT_TRAINING = """\
  # Without training: the file alone is worked on, so there is one row each.
  half: [half_precision]
"""
INT8 = "  int8: [static_quantization]\n"
TEXT_CASES = """\
  int8-dynamic: [dynamic_quantization: {embeddings: true}]
  # Matrix products and embeddings only: in 8 bits a mask's -3e38 would leave attention no room for anything else.
  int8: [static_quantization: {operators: [MatMul, Gemm, Gather]}]
"""
TEXT_TRAINING = """\
  # With a short fine-tuning, which goes on from the given weights under the recipe `finetune`, once a seed.
  heads: [head_pruning: {head_fraction: 0.25}]
  units: [unit_pruning: {unit_fraction: 0.25}]
  units-int8: [unit_pruning: {unit_fraction: 0.25}, dynamic_quantization: {embeddings: true}]
"""
TEXT_RECIPE = "{epochs: 1, batch_size: 32, optimizer: adamw, learning_rate: 0.00003, schedule: linear, clip_norm: 1}"
LINEAR_CASES = """\
  int8-dynamic: [dynamic_quantization]
  int4-weights: [weight_only_quantization: {bits: 4, smallest_layer: 256}]
"""
WITH_TRAINING = """\
  # With a short fine-tuning, which goes on from the given weights under the recipe `finetune`, once a seed.
  pruned: [structured_pruning: {channel_fraction: 0.3, round_to: 4}]
  pruned-int8: [structured_pruning: {channel_fraction: 0.3, round_to: 4}, static_quantization]
  int8-trained: [quantization_aware_training]
"""


@dataclass(frozen=True)
class Offer:
    """What may be done to a trained model, as lines of a suite."""

    untrained: str
    """Cases that train nothing."""
    trained: str = ""
    """Cases that fine-tune."""
    recipe: str = ""
    """What they fine-tune under."""


def works_on(is_file: bool, has_linear: bool, of_texts: bool) -> Offer:
    """What works on a model. is_file: nothing can train it; has_linear: it has fully connected layers, as is known."""
    untrained = WITHOUT_TRAINING + (TEXT_CASES if of_texts else INT8 + LINEAR_CASES if has_linear else INT8)
    if is_file:
        return Offer(untrained)
    return Offer(untrained, TEXT_TRAINING, TEXT_RECIPE) if of_texts else Offer(untrained, WITH_TRAINING, RECIPE)


@dataclass(frozen=True)
class Trial:
    """What `kdbench try` was asked."""

    name: str
    student: dict[str, Any]
    """The suite's `student`."""
    task: Any
    """The suite's `task`."""
    cases: Offer
    """What fits this model."""
    providers: Sequence[str]
    trains: bool
    """Whether cases with a short fine-tuning are wanted."""
    seed_count: int = 3


def trial(asked: Trial) -> str:
    """The suite that answers: what does this model lose when it is made smaller, and what does it gain?"""
    cases = asked.cases.untrained
    lines = [
        "# Written by `kdbench try`. Edit it as you like; `kdbench run FILE -o FOLDER` runs it.",
        "# `kdbench describe NAME` explains every name; `kdbench describe suite` every key.",
        "kdbench: 1",
        f"name: {asked.name}",
        "about: A trained model as it was given, and what it loses and gains when it is made smaller.",
        "# The data, prepared as the model was trained with it: else its accuracy is not what its owner knows.",
        f"task: {flow(asked.task)}",
        "# A given student: nothing trains it but steps that fine-tune.",
        f"student: {flow(asked.student)}",
    ]
    if asked.trains and asked.cases.trained:
        seeds = flow(list(range(asked.seed_count)))
        lines += [
            f"seeds: {seeds}      # only what is trained has a row for each",
            f"recipes: {{finetune: {asked.cases.recipe}}}",
        ]
        cases += asked.cases.trained
    return "\n".join([*lines, "cases:", "  as-given: []", cases.rstrip("\n"), *_measure(asked.providers), ""])


def starter(name: str, task: Any) -> str:
    """A commented suite for a fresh student and a teacher."""
    of_table = isinstance(task, dict) and "table" in task
    teacher, student = (
        {"table_mlp": {"hidden": [width, width]}} if of_table else {"mlp": {"width": width}} for width in (512, 64)
    )
    return f"""\
# A suite to start from. Check it: kdbench validate {name}.yaml   Run it: kdbench run {name}.yaml
# `kdbench describe NAME` explains every name used here, `kdbench describe suite` every key.
kdbench: 1                      # version of this format
name: {name}
about: A teacher, a student that learns from it, and what the student loses when it is made smaller.
task: {flow(task)}
seeds: [0, 1, 2]                # every case is trained once a seed; intervals need three

# A recipe is a training budget, the same for every technique.
recipes:
  train: {{epochs: 20, batch_size: 64, learning_rate: 0.05, schedule: cosine}}
  finetune: {RECIPE}    # what pruning asks for, by this name

# `kdbench list models` has more; a class of your own is `mine.py:Net`. A trained model of your own:
#   student: {{model: mine.py:Net, weights: mine.pt}}   or   student: {{onnx: mine.onnx}}
teacher: {{model: {flow(teacher)}, recipe: train}}
student: {{model: {flow(student)}, recipe: train}}

cases:                          # a case is a chain of steps, each a technique (`kdbench list techniques`)
  from-scratch: []              # no step: the student, trained on the labels alone; what the others are compared with
  soft: [soft_distillation: {{temperature: 4}}]
  pruned: [structured_pruning: {{channel_fraction: 0.5}}]
  int8: [static_quantization]
  soft-int8: [soft_distillation: {{temperature: 4}}, static_quantization]
""" + "\n".join([*_measure(["cpu"]), ""])


def _measure(providers: Collection[str]) -> list[str]:
    return [
        "# Where files are evaluated and timed (`kdbench list providers`). Longer times say more of slow calls.",
        "measure:",
        *(f"  - {{provider: {provider}, batch_sizes: [1], processes: 3, seconds: 0.5}}" for provider in providers),
    ]


def flow(value: Any) -> str:
    """Plain data as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)

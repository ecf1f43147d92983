"""A check as JSON, whole and unrounded: nanoseconds, bytes, rates and ratios as `kdbench.check` names them."""

import json
from dataclasses import asdict

from kdbench.check import Checked
from kdbench.render.verbs.check import words

SCHEMA = 2
"""Raised when a field changes its meaning or goes."""


def as_json(checked: Checked) -> str:
    """One object on one line: schema, exit code and what it means, then the fields of Checked and of its rows."""
    said = {"schema": SCHEMA, "exit_code": checked.exit_code, "answer": words.answer(checked)}
    return json.dumps({**said, **asdict(checked)}, allow_nan=False)

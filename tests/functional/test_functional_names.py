"""The package of lazy names."""

import inspect
import subprocess
import sys

import pytest
from torch import Tensor

from kdbench import functional
from kdbench.functional import _rows


def test_every_public_name_is_a_function_with_a_source_in_its_docstring():
    names = [name for name in dir(functional) if name.islower() and not name.startswith("_")]
    functions = {name: getattr(functional, name) for name in names if inspect.isfunction(getattr(functional, name))}
    losses = {name for name, one in functions.items() if inspect.signature(one).return_annotation is Tensor}
    losses -= set(_rows.__all__)  # they make what losses take
    assert {"soft_distillation", "hint", "l1_penalty", "contrastive", "review"} <= losses
    for name in losses:
        assert "Source:" in getattr(functional, name).__doc__


def test_an_unknown_name_is_an_attribute_error_that_says_it():
    with pytest.raises(AttributeError, match="no attribute 'soft_destillation'"):
        _ = functional.soft_destillation


def test_a_name_is_looked_up_once_for_all():
    hint = functional.hint
    assert vars(functional)["hint"] is hint
    assert vars(functional)["l1_penalty"] is functional.l1_penalty


def test_importing_the_package_does_not_load_torch():
    code = "import kdbench.functional, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

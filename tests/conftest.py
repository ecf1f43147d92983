"""What holds for every test."""

import os
import signal
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts pytest in the background has it ignore Ctrl-C, and with it every process that a test starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the suites that tests run whole: what two of them have in common is computed once.

    The workers of pytest-xdist share it as well, for a store may be used by several runs at a time.
    """
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared-store"

"""What holds for every test."""

import os
import signal
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts pytest in the background has it ignore Ctrl-C, and with it every process that a test starts
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    # as many threads in every worker as the machine has cores wait for each other, three times as long as one works
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for the suites that tests run whole: what two of them have in common is computed once.

    The workers of pytest-xdist share it as well, for a store may be used by several runs at a time.
    """
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared-store"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a fixture of their file or folder run in one worker of pytest-xdist, so that it is made once."""
    for item in items:
        shared = {
            definition.baseid
            for name in item.fixturenames
            for definition in item._fixtureinfo.name2fixturedefs.get(name, ())
            if definition.scope in ("module", "package", "session") and definition.baseid not in ("", "tests")
        }
        if shared:
            item.add_marker(pytest.mark.xdist_group(min(shared, key=len)))

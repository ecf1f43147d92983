"""kdbench: which compressed model should I ship on each of my devices, and what does it cost me?

The house, from the door to the ground. A room may import the storeys below its own and the rooms to its left on the
same line; rooms joined by a dot are peers and do not know each other. tests/contracts/test_rooms.py reads this drawing.

    door       testing pytest_plugin cli
    running    run
    showing    evidence choose · check · bundle · publish · handover · doctor render
    planning   suite plan
    workshop   functional state_dicts training techniques · models · tasks · metrics stages
    contracts  protocols results
    timing     timing
    ground     errors files ragged contents user_files registry units scale stats streams · measure

measure is the program that times files: standard library, numpy and a runtime. timing asks it. protocols says what a
part, task, metric, model and technique are; results is a results folder as types. functional has every loss as a plain
function, training the one training loop, stages what is computed, and the store. suite reads YAML, plan makes stages
and rows of it. evidence is what the records show; choose, check, bundle, publish, handover and doctor return data, and
render makes text and pictures of it. run walks a plan. The verbs are in cli.
"""

import os

__version__ = "0.1.0"

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""onnxruntime's official builds report models and the device to its makers, and keep a folder in the user's cache,
unless this stands before the first import of onnxruntime; every import of it in kdbench comes after this one."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdbench.render.report.tidy import load as load


def __getattr__(name: str) -> object:
    """`kdbench.load`, imported when it is first asked for: the measuring program packs this file alone."""
    if name == "load":
        from kdbench.render.report.tidy import load

        return load
    raise AttributeError(f"module 'kdbench' has no attribute '{name}'")

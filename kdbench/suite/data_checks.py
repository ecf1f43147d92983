"""What of a suite can only be looked at once the task's data is decoded."""

from collections.abc import Sequence

from kdbench import registry
from kdbench.protocols import Output
from kdbench.suite.cases import Suite
from kdbench.suite.faults import Faults
from kdbench.suite.losses import fault_of, scale_of


def refuse_misfits(suite: Suite, outputs: Sequence[Output]) -> None:
    """Raises SuiteError with a line for each limit, tolerance or form of stored outputs that does not fit the data.

    outputs: the task's. A limit must be on the metric that decides, the first of the first output, and in its unit.
    """
    faults = Faults(suite.document)
    _note_losses(faults, suite, outputs[0])
    for choice in (choice for case in suite.cases.values() for choice in case.teachers):
        if (fault := choice.stored.misfit(outputs)) is not None:
            faults.note((*choice.place, "stored", "top_k"), fault)
    faults.report()


def _note_losses(faults: Faults, suite: Suite, output: Output) -> None:
    name = output.metrics[0]
    scale = scale_of(registry.resolve("metric", name, suite.folder)().judging(output))
    for section, held in (("limits", suite.limits), ("check", suite.tolerances)):
        for place, key, text in held.written_losses():
            if (fault := fault_of(key, text, name, scale)) is not None:
                faults.note((section, *place), f"{fault}.")

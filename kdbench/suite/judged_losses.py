"""Whether limits and tolerances fit what the task is judged by, which is known once its data is decoded."""

from kdbench import registry
from kdbench.protocols import Output
from kdbench.suite.cases import Suite
from kdbench.suite.faults import Faults
from kdbench.suite.losses import fault_of, scale_of


def refuse_other_losses(suite: Suite, output: Output) -> None:
    """Raises SuiteError with a line for each limit or tolerance on a metric that does not decide, or in another unit.

    output: the task's first; its first metric decides.
    """
    name = output.metrics[0]
    scale = scale_of(registry.resolve("metric", name, suite.folder)().judging(output))
    faults = Faults(suite.document)
    for section, held in (("limits", suite.limits), ("check", suite.tolerances)):
        for place, key, text in held.written_losses():
            if (fault := fault_of(key, text, name, scale)) is not None:
                faults.note((section, *place), f"{fault}.")
    faults.report()

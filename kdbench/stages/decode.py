"""The decode stage: a task's data becomes arrays that every later stage maps."""

from kdbench.protocols.metric import metric_named
from kdbench.stages.names import DESCRIPTION
from kdbench.stages.work import Fact, Work


def decode(work: Work) -> list[Fact]:
    """Write each split's arrays and the task's description. Raises DataError as the task does,
    UnknownName for a metric that nothing has registered.
    """
    description = work.part("task").decode(work.out)
    for name in description.metrics:
        metric_named(name)  # before anything is trained for it
    (work.out / DESCRIPTION).write_text(description.model_dump_json(indent=1))
    for note in description.notes:
        work.log.warning(note)
    return []

"""The decode stage: a task's data becomes arrays that every later stage maps."""

from kdbench.errors import DataError
from kdbench.files import slug
from kdbench.protocols.metric import metric_named
from kdbench.stages.names import DESCRIPTION
from kdbench.stages.work import Fact, Work


def decode(work: Work) -> list[Fact]:
    """Write each split's arrays and the task's description.

    Raises DataError as the task does and for companions that it did not write, UnknownName for a metric that nothing
    has registered: both before anything is trained.
    """
    description = work.part("task").decode(work.out)
    for name in description.metrics:
        metric_named(name)
    for name in description.companions:
        if slug(name) != name or not (work.out / name).is_file():
            raise DataError(f"the task names the companion {name!r}, and its decode() wrote no file of that name.")
    (work.out / DESCRIPTION).write_text(description.model_dump_json(indent=1))
    for note in description.notes:
        work.log.warning(note)
    return []

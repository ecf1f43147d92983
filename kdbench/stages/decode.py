"""The decode stage: a task's data becomes arrays that every later stage maps."""

from kdbench import registry
from kdbench.errors import DataError
from kdbench.files import slug
from kdbench.protocols.metric import metric_named
from kdbench.stages.names import DESCRIPTION
from kdbench.stages.work import Fact, Work
from kdbench.tasks.arrays import ArrayData
from kdbench.tasks.checks import check_targets


def decode(work: Work) -> list[Fact]:
    """Write each split's arrays and the task's description.

    Raises DataError as the task does, for arrays that are not what it describes, and for companions that it did not
    write; UnknownName for a metric that nothing has registered, DataError for one that
    judges another kind of output: all before anything is trained.
    """
    description = work.part("task").decode(work.out)
    for output in description.outputs:
        for name in output.metrics:
            if not registry.is_file(name):  # the plan read the suite's own
                metric_named(name).judging(output)
    arrays = ArrayData.open(work.out, description)
    for split in description.example_counts:
        check_targets(arrays.split(split), split, description)
    for name in description.companions:
        if slug(name) != name or not (work.out / name).is_file():
            raise DataError(f"the task names the companion {name!r}, and its decode() wrote no file of that name.")
    (work.out / DESCRIPTION).write_text(description.model_dump_json(indent=1), encoding="utf-8")
    for note in description.notes:
        work.log.warning(note)
    return []

"""The gather stage: images of a folder without labels become one array, in the form of a task's inputs."""

from pathlib import Path

from kdbench.errors import DataError
from kdbench.protocols import Task
from kdbench.stages.names import UNLABELLED
from kdbench.stages.work import Fact, Work
from kdbench.tasks.image_listing import loose_images
from kdbench.tasks.pictures import read_pictures
from kdbench.tasks.rows import Rows


def gather(work: Work) -> list[Fact]:
    """Write the readable images as uint8 (N, C, size, size). Raises DataError where there is none."""
    task: Task = work.part("task")
    form = task.image_form()
    assert form is not None, "the plan gathers images for tasks of image files only"
    folder = Path(work.spec.parts["source"].fields["path"])
    read, unreadable = read_pictures(folder, loose_images(folder), form, work.out)
    for name, reason in unreadable.items():
        work.log.warning("%s was left out: %s", name, reason)
    if len(read.images) == 0:
        raise DataError(f"'{folder}' has no readable image; name another folder.")
    Rows.of(read.images).save(work.out / UNLABELLED)
    return []

"""task.json of a results folder: the task as declared and decoded."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from kdbench.errors import StoreError
from kdbench.files import regular
from kdbench.protocols import ImageForm, TaskDescription

TASK_FILE = "task.json"


class KeptTask(BaseModel):
    """A results folder's data: enough to use a model of the folder elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    data_key: str
    """The key of the stage that decoded it."""
    description: TaskDescription
    image_form: ImageForm | None = None
    origin: str = ""
    test_inputs_path: str | None = None
    """Within the results folder, see `write_test_inputs`; None where the data lies as image files."""
    companion_paths: dict[str, str] = {}
    """Name of each of the task's companions -> its path within the results folder."""
    sample_path: str | None = None
    """Within the results folder, see `write_sample`; None in folders of an older kdbench."""

    @field_validator("description", mode="before")
    @classmethod
    def _of_an_older_kdbench(cls, data: Any) -> Any:
        """Before tasks had typed inputs and outputs, a description was one of classes behind float inputs."""
        if not isinstance(data, dict) or "input_shapes" not in data:
            return data
        given = dict(data)
        preprocessing = given.pop("preprocessing", {})
        named = zip(given.pop("input_names"), given.pop("input_shapes"), strict=True)
        names = given.pop("class_names")
        output = {"axes": [len(names)], "class_names": names, "metrics": given.pop("metrics", ["accuracy"])}
        inputs = [{"name": name, "axes": shape, "preprocessing": preprocessing} for name, shape in named]
        return {"inputs": inputs, "outputs": [output], **given}


def read_task(folder: Path) -> KeptTask:
    """A results folder's task. Raises StoreError where it has none, or one that cannot be understood."""
    path = folder / TASK_FILE
    try:
        return KeptTask.model_validate_json(regular(path).read_bytes())
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except ValidationError:
        reason = "it is no task of this version of kdbench"
    raise StoreError(
        f"cannot read '{path}' ({reason}); run the suite again with -o '{folder}': what is finished is reused."
    )

"""The program that is handed over with a model: predict.py, and of its folder `predicting` what this model needs."""

from importlib import resources

from kdbench.results.task_json import KeptTask

START, PACKAGE = "predict.py", "predicting"
HOME = b"kdbench.handover.predicting"
"""What modules call the package here; handed over it lies beside predict.py."""
SHARED: dict[str, tuple[str, ...]] = {"sounds": ("sound_numbers",), "texts": ("row_files",)}
"""Raw form -> modules of the tasks that decode it, which need no more than the program does and come with it."""
TASKS = b"kdbench.tasks"
"""What modules call these here; handed over they lie in the package."""
ALWAYS = ("__init__", "answers", "arrays", "command", "example", "model", "scores")
READERS: dict[str, tuple[str, ...]] = {
    "images": ("images", "folders"),
    "sounds": ("sounds", "folders"),
    "tables": ("tables",),
    "texts": ("texts",),
}
"""Raw form of a task's data -> the modules that read it."""
NEEDED = {"images": ("pillow",), "texts": ("tokenizers",)}
"""Raw form -> packages that reading it takes beside numpy and onnxruntime."""
MADE_OF = {
    "sounds": ("sound", {"log_mel", "samples"}),
    "tables": ("columns", {"numbers", "categories"}),
    "texts": ("text", {"input_ids", "token_type_ids"}),
}
"""Raw form -> the setting of a task that says how inputs are made of it, and what these may be called."""


def raw_form(task: KeptTask) -> str | None:
    """What a user has in place of arrays; None where the task does not say how inputs are made of it."""
    stored = {one.name for one in task.description.inputs if one.stored}
    if task.image_form is not None:
        return "images" if len(stored) == 1 else None
    for form, (setting, names) in MADE_OF.items():
        if setting in task.description.settings and stored <= names:
            return form
    return None


def sources(form: str | None) -> dict[str, bytes]:
    """The program's files by their places in the folder."""
    here, tasks = resources.files("kdbench.handover"), resources.files("kdbench.tasks")
    own = [START, *(f"{PACKAGE}/{name}.py" for name in (*ALWAYS, *READERS.get(form or "", ())))]
    found = {place: here.joinpath(place) for place in own}
    found |= {f"{PACKAGE}/{name}.py": tasks.joinpath(f"{name}.py") for name in SHARED.get(form or "", ())}
    package = PACKAGE.encode()
    return {
        place: source.read_bytes().replace(HOME, package).replace(TASKS, package)
        for place, source in sorted(found.items(), key=lambda item: (item[0] != START, item[0]))
    }

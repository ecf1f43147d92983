"""The program that is handed over with a model: predict.py, and of its folder `predicting` what this model needs."""

from importlib import resources

from kdbench.results.task_json import KeptTask

START, PACKAGE = "predict.py", "predicting"
HOME = b"kdbench.handover.predicting"
"""What modules call the package here; handed over it lies beside predict.py."""
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
    here = resources.files("kdbench.handover")
    modules = sorted((*ALWAYS, *READERS.get(form or "", ())))
    places = [START, *(f"{PACKAGE}/{name}.py" for name in modules)]
    return {place: here.joinpath(place).read_bytes().replace(HOME, PACKAGE.encode()) for place in places}

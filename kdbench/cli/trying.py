"""Verbs for who has no suite yet: try, init."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdbench.cli import _try_data
from kdbench.cli._console import SOME_FAILED
from kdbench.cli._shared import open_store, plans_of, store_option, walk

if TYPE_CHECKING:
    from kdbench.plan.plan import Plan

IMAGE_OPTIONS = (
    click.option("--image-size", type=click.IntRange(min=1), metavar="PIXELS", help="Height and width of the images."),
    click.option("--grayscale", is_flag=True, help="Images of one channel, not three."),
    click.option("--mean", callback=lambda *found: _numbers(*found), metavar="X,...",
                 help="Mean of each channel, 0 to 1, as the model was trained.  [images: of the training images]"),
    click.option("--std", callback=lambda *found: _numbers(*found), metavar="X,...", help="Its standard deviation."),
    click.option("--target", metavar="NAME", help="The array or column to be predicted.  [default: y, label ...]"),
    click.option("--text", metavar="NAME", help="The column of the text, where the data is texts.  [default: text]"),
)  # fmt: skip
RUNTIME_OVERHEAD_SECONDS = 1.5
"""About what a measuring process takes beside its timed calls: starting, loading, warm-up."""


def _numbers(context: click.Context, option: click.Parameter, text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in (text or "").split(",") if number)
    except ValueError:
        raise click.BadParameter(f"expected numbers with commas between them, got '{text}'.") from None


def _image_options(verb: Any) -> Any:
    for option in reversed(IMAGE_OPTIONS):
        verb = option(verb)
    return verb


@click.command("try")
@click.argument("model")
@click.option("--data", required=True, metavar="FOLDER|FILE|TASK", help="What the model is tested, and tuned, on.")
@click.option("--model", "architecture", metavar="NAME", help="The network of a weights file: file.py:Class, a name.")
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="A field of that network; repeatable.")
@click.option("--weights", metavar="NAME|FILE", help="Of a torchvision model.  [default: DEFAULT]")
@click.option("--device", "devices", multiple=True, default=("cpu",), show_default=True, metavar="PROVIDER",
              help="Where files run: cpu, cuda, openvino ...; repeatable.")  # fmt: skip
@click.option("--no-training", is_flag=True, help="Only what needs no training.")
@_image_options
@store_option
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder for the suite and its results.  [default: try-MODEL]")  # fmt: skip
def try_command(
    model: str,
    data: str,
    architecture: str | None,
    fields: tuple[str, ...],
    weights: str | None,
    devices: tuple[str, ...],
    no_training: bool,
    store: Path | None,
    output: Path | None,
    **said: Any,
) -> None:
    """Say what a trained MODEL loses and gains when it is made smaller, in one line.

    MODEL is an ONNX file, a file of weights (.pt, .pth, .safetensors) with its network in --model, the name of a
    torchvision model, or a folder in which timm or transformers has saved one. --data is a folder of images
    (train/CLASS/..., test/CLASS/...), an .npz file of arrays, a table (.csv), texts (.tsv, .jsonl), or the name of
    a task. It writes a suite that you can read and edit, says what it will cost, runs it to a report, and says which
    file to ship.

    \b
    kdbench try net.onnx --data photos/
    kdbench try net.pt --model mynet.py:Net --set width=8 --data digits
    kdbench try resnet18 --data photos/ --device cpu --device cuda
    kdbench try distilbert-reviews/ --data reviews.tsv --text sentence

    Exit code: 0 where every device has a pick, 1 where some case failed, 4 where no choice can be made.
    """
    from kdbench.choose import choose
    from kdbench.cli._plan_text import plan_text
    from kdbench.render.verbs.choice_forms import written

    folder = output or Path(f"try-{_slug(model)}")
    path = _write_trial(folder, model, data, architecture, weights, fields, devices, not no_training, said)
    opened = open_store(store)
    (plan,) = plans_of(path, opened)
    click.echo(f"Suite: {path}\n\n{plan_text(plan, plan.labels, opened)}\n{_cost(plan)}\n")
    all_well = walk(plan, plan.labels, opened, folder / "results", None)
    choice = choose(folder / "results")
    click.echo(written(choice, "text"))
    sys.exit(choice.exit_code if all_well else SOME_FAILED)


@click.command("init")
@click.option("--data", default="digits", show_default=True, metavar="FOLDER|FILE|TASK", help="What models learn from.")
@_image_options
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("suite.yaml"),
              show_default=True, help="File to write; one that is there is left alone.")  # fmt: skip
def init_command(data: str, output: Path, **said: Any) -> None:
    """Write a commented suite to start from: a teacher, a student, and what may be done to it.

    For a trained model of your own, `kdbench try` writes one.
    """
    from kdbench.suite import drafts

    task = _try_data.task(data, _try_data.Asked(**said), {})
    _write_new(output, drafts.starter(_slug(output.stem), task))
    click.echo(f"{output}: a suite to read and edit. Next: kdbench validate {output}; kdbench run {output}")


def _write_trial(
    folder: Path,
    model: str,
    data: str,
    architecture: str | None,
    weights: str | None,
    fields: tuple[str, ...],
    devices: tuple[str, ...],
    trains: bool,
    said: dict[str, Any],
) -> Path:
    """Write the suite of a trial; its path."""
    from kdbench.suite import drafts

    student = _try_data.student(model, architecture, weights)
    if fields:
        student = _try_data.with_fields(student, dict(map(_field, fields)))
    shapes: dict[str, tuple[int | str, ...]] = {}
    has_linear = True
    if "onnx" in student:
        from kdbench.timing.random_inputs import shapes_and_operators

        shapes, operators = shapes_and_operators(Path(model))
        has_linear = bool(operators & {"Gemm", "MatMul"})
    elif Path(student["weights"]).suffix in _try_data.WEIGHTS:
        from kdbench.state_dicts import read_state

        has_linear = any(tensor.dim() == 2 for tensor in read_state(Path(student["weights"])).values())
    elif "torchvision" in student["model"]:
        from kdbench.models.torchvision import Torchvision

        has_linear = Torchvision(**student["model"]["torchvision"]).has_linear_layers()
    published = "onnx" not in student and Path(student["weights"]).suffix not in _try_data.WEIGHTS
    task = _try_data.task(data, _try_data.Asked(**said), shapes, published)
    of_texts = _try_data.reads_texts(task)
    if of_texts:
        task = _try_data.with_tokenizer_of(task, student)
    path = folder / "suite.yaml"
    works_on = drafts.works_on("onnx" in student, has_linear, of_texts)
    text = drafts.trial(drafts.Trial(_slug(folder.name), student, task, works_on, devices, trains))
    folder.mkdir(parents=True, exist_ok=True)
    _write_new(path, text)
    return path


def _write_new(path: Path, text: str) -> None:
    """Write a file, unless another one is there."""
    from kdbench.files import write_whole

    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise _try_data.AskedWrongly(
            f"'{path}' is there already, and not as it would be written now; run it with `kdbench run`, or give "
            "another place with -o."
        )
    write_whole(path, text)


def _field(text: str) -> tuple[str, Any]:
    name, mark, value = text.partition("=")
    if not mark:
        raise click.BadParameter("expected FIELD=VALUE.", param_hint="--set")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _slug(text: str) -> str:
    """A name for a suite, of a file's or a model's."""
    kept = "".join(letter if letter.isalnum() or letter in "._+-" else "-" for letter in Path(text).stem)
    return kept.strip(".-_+")[:50] or "model"


def _cost(plan: "Plan") -> str:
    """What a run from nothing costs, in trainings and in time for timing."""
    from kdbench import units

    suite, specs = plan.suite, list(plan.stages.values())
    trained = [
        spec for spec in specs if spec.kind == "compress" and any(role.startswith("recipe") for role in spec.parts)
    ]
    timed = sum(spec.kind == "measure" for spec in specs)
    entry = suite.measure[0]
    seconds = timed * entry.processes * (entry.seconds * len(entry.batch_sizes) + RUNTIME_OVERHEAD_SECONDS)
    epochs = max((recipe.epochs for recipe in suite.recipes.values()), default=0)
    trainings = f"{len(trained)} short trainings of {epochs} epochs" if trained else "No training"
    return f"{trainings}; {timed} files are timed, about {units.duration(seconds * 1e9)} when nothing is in the store."

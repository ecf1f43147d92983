"""README.md of a model that is handed over: a model card as hubs read it, with what was measured and nothing else.

The block before the text is Hugging Face's metadata of a model (https://huggingface.co/docs/hub/model-cards): YAML
between two lines of three hyphens. What kdbench does not know, such as a license nobody named, is left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kdbench import units
from kdbench.handover.program import NEEDED
from kdbench.measure.target_id import HERE, target_name
from kdbench.results.records import CallSize
from kdbench.scale import ACCURACY, FRACTION, Scale

CARD_FILE = "README.md"
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")
"""The form of a license's identifier there: apache-2.0, mit, cc-by-4.0, other."""
PIPELINES = {
    ("images", "classes"): "image-classification",
    ("images", "multilabel"): "image-classification",
    ("images", "dense_classes"): "image-segmentation",
    ("images", "embedding"): "image-feature-extraction",
    ("sounds", "classes"): "audio-classification",
    ("sounds", "sequence"): "automatic-speech-recognition",
    ("texts", "classes"): "text-classification",
    ("texts", "multilabel"): "text-classification",
    ("texts", "token_classes"): "token-classification",
    ("texts", "embedding"): "feature-extraction",
    ("tables", "classes"): "tabular-classification",
    ("tables", "values"): "tabular-regression",
}
"""(what inputs are made of, kind of the first output) -> the hub's name for such a model."""
METRICS = {
    "macro_f1": "f1",
    "word_error_rate": "wer",
    "auc": "roc_auc",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}
"""Metrics of kdbench that the hub has under another name; all others keep theirs."""
PLAIN = re.compile(r"[A-Za-z][\w ./-]*[\w.]|[A-Za-z]")
"""What needs no quotes in YAML, but for WORDS."""
WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
Json = Mapping[str, Any]


def card(manifest: Json, license_id: str | None = None) -> str:
    """The card of the model that a manifest describes. license_id: what its owner passes it on under."""
    head = "\n".join(_block(_metadata(manifest, license_id)))
    parts = (_title(manifest), _measured(manifest), _model(manifest), _data(manifest), _use(manifest))
    return f"---\n{head}\n---\n\n" + "\n\n".join("\n".join(part) for part in parts) + "\n"


def pipeline(manifest: Json) -> str | None:
    """What the hub calls a model of such inputs and outputs; None where it has no name for it."""
    form = manifest.get("reads")
    given = [one for one in manifest["inputs"] if one.get("role", "values") == "values"]
    axes = list(given[0].get("axes", ())) if len(given) == 1 else []
    if form is None and len(axes) == 3 and axes[0] in (1, 3):
        form = "images"
    return PIPELINES.get((str(form), manifest["outputs"][0].get("kind", "")))


def _metadata(manifest: Json, license_id: str | None) -> dict[str, Any]:
    first, tag, data = manifest["measured"][0], pipeline(manifest), manifest["data"]["task"]
    metrics = [_metric(score) for score in first["scores"]]
    result = {
        "task": {"type": tag or manifest["outputs"][0].get("kind", "other")},
        "dataset": {"name": data, "type": data, "split": "test"},
        "metrics": metrics,
    }
    known = {
        "license": license_id,
        "library_name": "onnx",
        "pipeline_tag": tag,
        "tags": ["onnx", "kdbench", *_techniques(manifest)],
        "metrics": list(dict.fromkeys(metric["type"] for metric in metrics)),
        "model-index": [{"name": f"{manifest['suite']} {manifest['case']}", "results": [result]}],
    }
    return {name: value for name, value in known.items() if value is not None}


def _metric(score: Json) -> dict[str, Any]:
    own = str(score["metric"]).rpartition(":")[2]
    name = f"{own} of {score['output']}" if score.get("output") else own
    return {"type": METRICS.get(own, own), "name": name, **({"value": score["value"]} if "value" in score else {})}


def _techniques(manifest: Json) -> list[str]:
    return list(dict.fromkeys(name.rpartition(":")[2] for step in manifest["steps"] for name in step))


def _block(data: Any, indent: str = "") -> Iterator[str]:
    """JSON data as YAML, a line each."""
    pairs = data.items() if isinstance(data, Mapping) else (("-", value) for value in data)
    for name, value in pairs:
        lead = f"{indent}-" if name == "-" else f"{indent}{_scalar(name)}:"
        if not isinstance(value, Mapping | list) or not value:
            yield f"{lead} {_scalar(value)}"
        elif name == "-":
            first, *rest = _block(value, f"{indent}  ")
            yield f"{lead} {first.lstrip()}"
            yield from rest
        else:
            yield lead
            yield from _block(value, f"{indent}  ")


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS
    return str(value) if plain else json.dumps(value)


def _title(manifest: Json) -> list[str]:
    return [
        f"# {_text(manifest['suite'])}: {_text(manifest['case'])}",
        "",
        f"An ONNX model of {units.size(manifest['model']['bytes'])}, made and measured by kdbench. "
        f"{_text(manifest['chosen'])} What is not on this card was not measured.",
    ]


def _measured(manifest: Json) -> list[str]:
    head = ["Where", "Quality on test", "Latency (p50)", "Peak memory", "Runtime", "Processor", "Date"]
    rows = [_row(entry) for entry in manifest["measured"]]
    kept = [place for place in range(len(head)) if any(row[place] for row in rows)]
    lines = [[line[place] for place in kept] for line in (head, ["---"] * len(head), *rows)]
    return ["## Measured", "", *(f"| {' | '.join(cells)} |" for cells in lines)]


def _row(entry: Json) -> list[str]:
    test = entry["accuracy"]["test"]
    scale = Scale(str(test.get("metric", ACCURACY)).rpartition(":")[2], test.get("unit", FRACTION))
    further = [f"{_metric(score)['name']} {score['value']:.4g}" for score in entry["scores"] if "value" in score]
    own = f"{scale.name} {scale.said(test['value'])} ({test['example_count']} examples)"
    named = [text for text in further if not text.startswith(f"{scale.name} ")]
    timed = [
        f"{units.latency(row['p50_ns'])} at batch {CallSize.of(row['batch_size'], row.get('lengths'))}"
        for row in entry["latency"]
    ]
    memory = [
        f"{units.size(row['peak_rss_bytes'])} at batch {CallSize.of(row['batch_size'], row.get('lengths'))}"
        for row in entry["memory"]
    ]
    device = entry.get("device", {})
    cells = [_where(entry["target"]), "; ".join([own, *named]), "; ".join(timed), "; ".join(memory)]
    return [
        _text(cell)
        for cell in (*cells, entry["runtime"], str(device.get("cpu", "")), str(entry.get("date_utc", ""))[:10])
    ]


def _where(target: str) -> str:
    """Provider, threads and precision; the device, where it was another than that of the run."""
    name = target_name(target)
    if name is None:
        return target
    threads = f"{name.threads} thread{'s' if name.threads != 1 else ''}"
    return ", ".join([*([name.device] if name.device != HERE else []), name.provider, threads, name.precision])


def _model(manifest: Json) -> list[str]:
    model = manifest["model"]
    said = [
        f"- File: `{model['file']}`, SHA-256 `{model['sha256']}`",
        f"- Parameters: {model['parameter_count']:,}",
        f"- Multiply-accumulates of one example: {model['mac_count']:,}" if "mac_count" in model else "",
        f"- Made by: {', '.join(map(_text, _techniques(manifest))) or 'training on labels alone, or given as it is'}",
        *(f"- Input `{_code(one['name'])}`: {one['type']} {_code(str(one['shape']))}" for one in manifest["inputs"]),
        *(f"- Output `{_code(one['name'])}`: {one['type']} {_code(str(one['shape']))}" for one in manifest["outputs"]),
        "- Preprocessing, classes and versions: `manifest.json`",
    ]
    return ["## Model", "", *filter(None, said)]


def _data(manifest: Json) -> list[str]:
    data = manifest["data"]
    counts = ", ".join(f"{count:,} {split}" for split, count in data["example_counts"].items())
    said = [data.get("origin", ""), *data.get("notes", ())]
    return ["## Data", "", f"{_text(data['task'])}: {counts} examples.", *(_text(text) for text in said if text)]


def _use(manifest: Json) -> list[str]:
    more = "" if "test_inputs" in manifest else " FILE_OR_FOLDER"
    needed = " ".join(["numpy", "onnxruntime", *NEEDED.get(manifest.get("reads", ""), ())])
    return ["## Use", "", "```", f"pip install {needed}", f"python predict.py{more}", "```"]


def _text(text: str) -> str:
    """Somebody's text on one line, in which no character means anything to Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")

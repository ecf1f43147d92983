"""`kdbench try` and `kdbench init`: a suite for who has none, written from one line."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, save
from ruamel.yaml import YAML

from kdbench.cli import _try_data, exit_code
from kdbench.cli._try_data import Asked, AskedWrongly
from kdbench.suite.drafts import Trial, flow, trial, works_on
from kdbench.suite.reader import load

PICTURE = {"x": ("batch", 1, 28, 28)}


def kdbench(*arguments: str, cwd: Path, code: int = 0) -> str:
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        found = exit_code(list(arguments))
    assert found == code, errors.getvalue()
    return errors.getvalue() if code else said.getvalue()


def linear_file(path: Path) -> Path:
    """An ONNX file that gives ten logits for an image of 8 x 8."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, (64, 10), np.linspace(-1, 1, 640).tolist())
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 1, 8, 8))
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 10))
    graph = helper.make_graph(nodes, "net", [given], [made], [weights])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.mark.parametrize("text", ["a b", "7", "true", "C:\\x", "net.py:Net", "~/x", "ü: [", "plain.pt"])
def test_texts_mean_themselves_in_a_written_suite(text: str) -> None:
    assert YAML(typ="safe").load(flow({"a": [text, 1]})) == {"a": [text, 1]}


def test_a_network_gets_what_needs_no_training_and_then_a_short_fine_tuning(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\n\nclass Net(nn.Linear):\n    pass\n")
    student = {"model": {"net.py:Net": {"in_features": 4, "out_features": 2}}, "weights": "net.pt"}
    (tmp_path / "s.yaml").write_text(
        trial(Trial("s", student, "digits", works_on(False, True, False), ["cpu"], trains=True))
    )
    suite = load(tmp_path / "s.yaml")
    trained = [name for name, case in suite.cases.items() if case.trains]
    assert trained == ["pruned", "pruned-int8", "int8-trained"]
    assert {"as-given", "half", "int8", "int8-dynamic", "int4-weights"} <= suite.cases.keys()


def test_an_onnx_file_gets_what_its_operators_allow(tmp_path: Path) -> None:
    given = {"onnx": "net.onnx"}
    texts = [
        trial(Trial("s", given, "digits", works_on(True, linear, False), ["cpu"], True)) for linear in (False, True)
    ]
    assert ["dynamic_quantization" in text for text in texts] == [False, True]
    assert not any("pruning" in text or "recipes" in text for text in texts)


def test_an_onnx_file_is_tried_in_one_line(tmp_path: Path, shared_store: Path) -> None:
    linear_file(tmp_path / "net.onnx")
    told = kdbench("try", "net.onnx", "--data", "digits", "--store", str(shared_store), cwd=tmp_path)
    assert "No training; 5 files are timed" in told
    assert "pick:" in told
    assert {"as-given", "half", "int8"} <= load(tmp_path / "try-net" / "suite.yaml").cases.keys()


def test_init_writes_a_suite_that_plans_and_leaves_another_alone(tmp_path: Path) -> None:
    kdbench("init", "-o", "mine.yaml", cwd=tmp_path)
    assert "from-scratch" in kdbench("plan", "mine.yaml", cwd=tmp_path)
    (tmp_path / "mine.yaml").write_text("mine")
    assert "'mine.yaml' is there already" in kdbench("init", "-o", "mine.yaml", cwd=tmp_path, code=2)


def test_images_take_their_size_from_the_file(tmp_path: Path) -> None:
    assert _try_data.task(str(tmp_path), Asked(), PICTURE) == {
        "image_folder": {"root": str(tmp_path), "image_size": 28, "grayscale": True}
    }
    published = _try_data.task(str(tmp_path), Asked(), {}, published=True)["image_folder"]
    assert (published["image_size"], published["mean"]) == (224, [0.485, 0.456, 0.406])


def test_arrays_are_named_by_the_models_inputs(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, images=np.zeros((4, 3), np.float32), label=np.arange(4))
    found = _try_data.task(str(path), Asked(), {"x": ("batch", 3)})["array_files"]
    assert found["inputs"] == {"x": {"key": "images"}}
    assert found["outputs"] == {"label": {"kind": "classes"}}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("net.pt",), "'net.pt' holds weights and no network; name it with --model"),
        (("gone.onnx",), "there is no file or folder 'gone.onnx'"),
        (("resnet81",), "Did you mean 'resnet18'?"),
        (("resnet20",), "'resnet20' has no weights of its own; give their file, and --model resnet20"),
    ],
)
def test_a_model_that_cannot_be_understood_is_said(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    torch.save({}, tmp_path / "net.pt")
    assert sentence in kdbench("try", *arguments, "--data", "digits", cwd=tmp_path, code=2)


def test_data_that_cannot_be_understood_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()
    with pytest.raises(AskedWrongly, match=r"x\.txt' is no data that this verb understands"):
        _try_data.task(str(tmp_path / "x.txt"), Asked(), {})
    with pytest.raises(AskedWrongly, match="add --image-size"):
        _try_data.task(str(tmp_path), Asked(), {})


def test_a_saved_folder_is_one_of_transformers_or_of_timm(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    assert _try_data.student(str(tmp_path), None, None) == {
        "model": {"transformers": {"checkpoint": str(tmp_path)}}, "weights": "pretrained",
    }  # fmt: skip
    (tmp_path / "config.json").write_text('{"architecture": "resnet18"}')
    assert "timm" in _try_data.student(str(tmp_path), None, None)["model"]
    (tmp_path / "config.json").unlink()
    with pytest.raises(AskedWrongly, match=r"has no config\.json that timm or transformers wrote"):
        _try_data.student(str(tmp_path), None, None)


def test_a_table_names_its_target_and_gets_a_model_of_tables(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b,kind\n" + "".join(f"{n},{n % 7},{'xy'[n % 2]}\n" for n in range(60)))
    asked = Asked(target="kind")
    assert _try_data.task(str(tmp_path / "rows.csv"), asked, {}) == {
        "table": {"file": str(tmp_path / "rows.csv"), "target": "kind"}
    }
    with pytest.raises(AskedWrongly, match="name the column that is to be predicted with --target"):
        _try_data.task(str(tmp_path / "rows.csv"), Asked(), {})
    kdbench("init", "--data", "rows.csv", "--target", "kind", cwd=tmp_path)
    assert "table_mlp" in kdbench("validate", "suite.yaml", cwd=tmp_path) + (tmp_path / "suite.yaml").read_text()


def test_texts_take_the_tokenizer_of_the_models_folder_and_what_works_on_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    data = tmp_path / "reviews.tsv"
    data.write_text("sentence\tlabel\nfine\tgood\n")
    student = _try_data.student(str(tmp_path), None, None)
    task = _try_data.task(str(data), Asked(text="sentence"), {})
    assert _try_data.reads_texts(task)
    task = _try_data.with_tokenizer_of(task, student)
    asked = {"file": str(data), "text": "sentence", "label": "label", "tokenizer": str(tmp_path)}
    assert task == {"text_file": asked}
    written = YAML(typ="safe").load(trial(Trial("s", student, task, works_on(False, True, True), ["cpu"], trains=True)))
    assert list(written["cases"]) == ["as-given", "half", "int8-dynamic", "int8", "heads", "units", "units-int8"]
    assert written["cases"]["int8"] == [{"static_quantization": {"operators": ["MatMul", "Gemm", "Gather"]}}]
    with pytest.raises(AskedWrongly, match="texts need the tokenizer that the model was trained with"):
        _try_data.with_tokenizer_of(task, {"onnx": "net.onnx"})

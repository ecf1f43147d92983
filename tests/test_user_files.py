"""A user's own files: what they may import, what their keys rest on, and what is said when they fail."""

import dataclasses
import inspect
import json
import sys
from pathlib import Path

import pytest

from kdbench.errors import KdbenchError, UnknownName, UserCodeError
from kdbench.user_files import UserCode, collect


def written(folder: Path, **texts: str) -> Path:
    """`nets` and others as files of a folder; `a__b` lies in a package a, whose own file is `a__INIT`."""
    for name, text in texts.items():
        place = folder.joinpath(*f"{name}.py".split("__"))
        place = place.with_name(place.name.replace("INIT", "__init__"))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder / "nets.py"


def loaded(path: Path, name: str = "Net") -> type:
    return collect(path, path.parent).find_class(name)


@pytest.mark.parametrize(
    "line",
    [
        "from blocks import size",
        "import blocks\nsize = blocks.size",
        "import blocks as b\nsize = b.size",
        "from parts.stem import size",
        "from parts import stem\nsize = stem.size",
        "import parts.stem\nsize = parts.stem.size",
        "import parts.stem as s\nsize = s.size",
        "from parts import size",
        "from .blocks import size",
    ],
)
def test_modules_beside_a_file_are_importable_for_it_and_for_nobody_else(tmp_path: Path, line: str) -> None:
    path = written(
        tmp_path,
        nets=f"{line}\nclass Net:\n    size = size\n    file = __file__\n",
        blocks="size = 3",
        parts__INIT="from .stem import size",
        parts__stem="from blocks import size",
    )
    others = set(sys.modules)
    net = loaded(path)
    assert vars(net)["size"] == 3
    assert vars(net)["file"] == str(path)
    assert "class Net" in inspect.getsource(net)
    assert not {"blocks", "parts", "nets"} & (set(sys.modules) - others)


def test_a_late_import_finds_them_too_and_a_file_may_be_called_as_a_library_is(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        nets="class Net:\n    def build(self):\n        import random, math\n        return random.size, math.pi\n",
        random="size = 4",
    )
    assert loaded(path)().build() == (4, pytest.approx(3.14159, abs=1e-5))
    import random

    assert not hasattr(random, "size")


def test_the_file_s_folder_comes_before_the_suite_s(tmp_path: Path) -> None:
    written(tmp_path, blocks="size = 1", shared="other = 2")
    path = written(tmp_path / "models", nets="from blocks import size\nfrom shared import other\nclass Net: ...\n")
    written(tmp_path / "models", blocks="size = 5")
    net = collect(path, tmp_path).find_class("Net")
    module = sys.modules[net.__module__]
    assert (vars(module)["size"], vars(module)["other"]) == (5, 2)


def test_edited_code_is_other_code_in_the_same_process(tmp_path: Path) -> None:
    path = written(tmp_path, nets="from blocks import size\nclass Net:\n    size = size\n", blocks="size = 3")
    before = loaded(path)
    written(tmp_path, blocks="size = 4")
    assert (vars(before)["size"], vars(loaded(path))["size"]) == (3, 4)


def test_code_runs_where_its_files_are_not(tmp_path: Path) -> None:
    path = written(tmp_path, nets="from blocks import size\nclass Net:\n    size = size\n", blocks="size = 7")
    carried = json.dumps(dataclasses.asdict(collect(path, tmp_path)))
    for file in tmp_path.iterdir():
        file.unlink()
    assert vars(UserCode.from_data(json.loads(carried)).find_class("Net"))["size"] == 7


def test_identity_is_that_of_the_texts_wherever_they_lie(tmp_path: Path) -> None:
    texts = {"nets": "def f():\n    from parts.stem import size\n", "parts__stem": "size = 1\n", "unused": "x = 1"}
    here, there = written(tmp_path / "a", **texts), written(tmp_path / "b", **texts)
    same = collect(here, here.parent).identity()
    assert collect(there, there.parent).identity() == same
    assert list(same["files"]) == ["nets", "parts.stem"]
    written(tmp_path / "b", parts__stem="size = 2\n")
    assert collect(there, there.parent).identity() != same


def test_what_strings_name_is_known_by_content(tmp_path: Path) -> None:
    path = written(tmp_path, nets='"""weights.pt"""\nOPEN = "weights.pt", "sounds/", "nothing", "."\n')
    assert collect(path, tmp_path).located().digests == {}
    (tmp_path / "weights.pt").write_bytes(b"1")
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "a.wav").write_bytes(b"1")
    before = collect(path, tmp_path).located().digests
    assert list(before) == ["'sounds/'", "'weights.pt'"]
    (tmp_path / "weights.pt").write_bytes(b"2")
    (tmp_path / "sounds" / "b.wav").write_bytes(b"1")
    after = collect(path, tmp_path).located().digests
    assert all(before[name] != after[name] for name in before)


def test_an_editable_place_counts_and_an_installed_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "lib", editable_lib__INIT="from editable_lib import inner", editable_lib__inner="x = 1")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    path = written(tmp_path / "suite", nets="import editable_lib, json, numpy, kdbench\nclass Net: ...\n")
    code = collect(path, path.parent)
    assert [file.module for file in code.files] == ["nets"]
    assert list(code.digests) == ["editable_lib", "editable_lib.inner"]
    written(tmp_path / "lib", editable_lib__inner="x = 2")
    assert collect(path, path.parent).digests["editable_lib.inner"] != code.digests["editable_lib.inner"]


@pytest.mark.parametrize(
    ("text", "helper", "said"),
    [
        (
            "import absent_module",
            "",
            "nets.py:1: ModuleNotFoundError: No module named 'absent_module'",
        ),
        ("x = 1\ny = x / 0", "", "nets.py:2: ZeroDivisionError: division by zero."),
        (
            "from blocks import x",
            "\n\nraise RuntimeError('first\\nsecond')",
            "blocks.py:3: RuntimeError: first.",
        ),
        ("import sys\nsys.exit(0)", "", "nets.py:2: it ends the program (sys.exit)"),
        ("class Net(:", "", "nets.py:1: SyntaxError: "),
        ("from blocks import x", "def f(:", "blocks.py:1: SyntaxError: "),
    ],
)
def test_a_file_that_fails_is_told_in_one_line_with_its_place(
    tmp_path: Path, text: str, helper: str, said: str
) -> None:
    path = written(tmp_path, nets=text, blocks=helper)
    with pytest.raises(UserCodeError) as caught:
        loaded(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_class_is_told_with_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, nets="class Network: ...\n")
    with pytest.raises(UnknownName, match="Did you mean 'Network'"):
        loaded(path, "Netwrok")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(KdbenchError, match=r"absent\.py"):
        loaded(tmp_path / "absent.py")
    (tmp_path / "latin.py").write_bytes("# é".encode("latin-1"))
    with pytest.raises(KdbenchError, match="UTF-8"):
        loaded(tmp_path / "latin.py")

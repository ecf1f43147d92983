"""What is taken out of texts before a results folder is given away, and what stays."""

import pytest

from kdbench.publish.private import Private

JANE = Private(host="janes-thinkpad", home="/home/jane doe")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kdbench run /home/jane doe/clients/acme/suite.yaml -o out", "kdbench run …/suite.yaml -o out"),
        ("/home/jane doe", "~"),
        ("cannot read '/home/bob/secret/x.npz' (denied)", "cannot read '…/x.npz' (denied)"),
        ("/Users/bob", "~"),
        ("/root", "~"),
        ("at /data/acme/train/, 3 files", "at …/train, 3 files"),
        (r"C:\Users\Jane\env\python.exe", "…/python.exe"),
        (r"\\server\share\models\a.onnx", "…/a.onnx"),
        ("file:///home/bob/x.md", "…/x.md"),
        ("[/mnt/a/b, /mnt/c/d]", "[…/b, …/d]"),
        ("run on janes-thinkpad:22", "run on host:22"),
    ],
)
def test_folders_and_the_host_are_cut(text: str, told: str) -> None:
    assert JANE.text(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "~/data/cifar100",
        "results/out/models/a.onnx",
        "mine.py:Leaves",
        "the node /layer1/conv/Conv has no weights",
        "https://archive.org/data/set",
        "3 images/s, and/or 2 MB/s; 1/2",
        "int8/root mean square",
        "janes-thinkpads",
        "a: b\\nc",
    ],
)
def test_what_names_nobody_stays(text: str) -> None:
    assert JANE.text(text) == text


def test_every_text_of_json_data_is_told() -> None:
    data = {"/home/bob/k": ["/tmp/a/b", {"x": ("janes-thinkpad", 1, None, True)}]}
    assert JANE.told(data) == {"…/k": ["…/b", {"x": ["host", 1, None, True]}]}


def test_a_short_or_common_host_name_is_not_looked_for() -> None:
    assert Private(host="pc", home="/").text("a pc at localhost") == "a pc at localhost"
    assert Private(host="localhost", home="/").text("at localhost") == "at localhost"


def test_bytes_that_hold_the_home_folder_are_found() -> None:
    assert JANE.found(b"..File /home/jane doe/net.py..") == "the path of your home folder"
    assert JANE.found(b"..janes-thinkpad..") == "the name of this machine"
    assert JANE.found(b"weights") is None

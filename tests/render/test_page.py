"""The page as a file: whole, escaped, self-contained, the same each time, and alive in a browser."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from folders import STEPS, Folder

from kdbench.errors import KdbenchError, StoreError
from kdbench.render import render
from kdbench.results import records
from kdbench.results.records import Failed, Size

Build = Callable[..., Folder]
FEW = {name: STEPS[name] for name in ("from-scratch", "soft", "int8-static")}
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Balanced(HTMLParser):
    """Fails on a tag that is closed without having been opened, and collects what tests ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(path: Path) -> Balanced:
    reader = Balanced()
    reader.feed((path / "index.html").read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


def page_of(folder: Folder) -> str:
    path = folder.write()
    render(path, path / "report", ("html",))
    parsed(path / "report")
    return (path / "report" / "index.html").read_text(encoding="utf-8")


def test_a_report_is_a_page_two_tables_two_csvs_and_figures(report: Path) -> None:
    names = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    drawn = ("accuracy-latency", "accuracy-size", "latency", "batch-sizes", "training", "terms")
    figures = {f"figures/{name}.{kind}" for name in drawn for kind in ("png", "svg")}
    assert names == {"index.html", "table.md", "throughput.md", "measurements.csv", "estimates.csv", *figures}


def test_the_page_answers_in_the_readers_order_and_is_small(report: Path) -> None:
    text = (report / "index.html").read_text()
    places = [text.index(f'<h2 id="{name}"') for name in
              ("answer", "table", "tradeoff", "latency", "sweep", "training", "cost", "wrong", "again")]  # fmt: skip
    assert places == sorted(places)
    assert len(text) < 2_000_000


def test_the_page_asks_nobody_for_anything(report: Path) -> None:
    found = parsed(report)
    assert not [tag for tag, _ in found.seen if tag in ("link", "img", "iframe", "object")]
    assert [attributes for tag, attributes in found.seen if tag == "script"] == [{}]
    policy = next(a["content"] for t, a in found.seen if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_the_policy_allows_this_style_and_this_script_alone(report: Path) -> None:
    text = (report / "index.html").read_text()
    for tag in ("style", "script"):
        inside = text.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in text
    assert " style=" not in text.split("<body>")[1]


def test_headings_captions_and_labels_serve_a_screen_reader(report: Path) -> None:
    found = parsed(report).seen
    assert all("scope" in attributes for tag, attributes in found if tag == "th")
    count = len([tag for tag, _ in found if tag == "table"])
    assert len([tag for tag, _ in found if tag == "caption"]) == count
    pictures = [attributes for tag, attributes in found if attributes.get("role") == "img"]
    assert len(pictures) == 6
    assert all(len(attributes["aria-label"] or "") > 20 for attributes in pictures)
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_link_leads_to_a_file_beside_it(report: Path) -> None:
    links = [a["href"] or "" for tag, a in parsed(report).seen if tag == "a"]
    outside = [link for link in links if not link.startswith("#")]
    assert any(link.endswith(".onnx") for link in outside)
    assert all((report / unquote(link)).is_file() for link in outside)


def test_the_same_records_give_the_same_bytes(report: Path, quickstart: Path) -> None:
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    render(quickstart, report)
    assert before == {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}


def test_what_came_from_a_suite_or_a_record_is_text(folder: Build) -> None:
    evil = "<script>alert(1)</script>"
    text = page_of(folder(
        steps={"from-scratch": [], evil: [], "broken": []}, seeds=(0,), batch_sizes=(1,), about=evil, warnings=(evil,),
        failed={"broken": evil},
    ))  # fmt: skip
    assert text.count("<script") == 1
    assert text.count("&lt;script&gt;") > 4


def test_a_path_in_a_record_cannot_lead_outside_the_folder(folder: Build) -> None:
    builder = folder(steps=FEW, seeds=(0,), batch_sizes=(1,))
    path = builder.write()
    size = next(r for r in records.read(path / "records.jsonl") if isinstance(r, Size))
    evil = {**json.loads(records.to_line(size)), "case": "from-scratch", "onnx_path": "javascript:alert(1)"}
    with open(path / "records.jsonl", "a") as file:
        file.write(json.dumps(evil) + "\n")
    render(path, path / "report", ("html",))
    assert "javascript:" not in (path / "report" / "index.html").read_text()


def test_a_folder_where_everything_failed_is_still_a_page(folder: Build) -> None:
    path = folder(steps=FEW).path
    path.mkdir()
    common = {"suite": "s", "seed": 0, "kind": "training", "reason": "no memory was left."}
    failed = [Failed(**common, case=name, key=name) for name in ("teacher", *FEW)]  # type: ignore[arg-type]
    records.append(path / "records.jsonl", failed)
    render(path, path / "report", ("html", "markdown", "csv"))
    text = (path / "report" / "index.html").read_text()
    assert text.count("no memory was left.") >= 2
    assert "Nothing failed" not in text


def test_a_folder_without_any_case_is_still_a_page(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").touch()
    render(tmp_path, tmp_path / "report")
    assert "Nothing was measured." in (tmp_path / "report" / "index.html").read_text()


def test_a_metric_that_half_the_cases_lack_leaves_the_rest(folder: Build) -> None:
    text = page_of(folder(steps=FEW, without_latency=frozenset({"soft", "int8-static"}), batch_sizes=(1,)))
    assert "no latency was recorded" in text


def test_warnings_stand_below_the_tables_that_have_their_number(report: Path) -> None:
    text = (report / "index.html").read_text()
    assert len(re.findall("the processes&#39; medians differ by 12 %", text)) == 2, (
        "under both tables, and nowhere else"
    )


def test_an_unknown_format_is_refused_with_the_nearest(quickstart: Path, tmp_path: Path) -> None:
    with pytest.raises(KdbenchError, match=r"there is no format 'htm'\. Did you mean 'html'\?"):
        render(quickstart, tmp_path, ("htm",))


def test_a_place_that_cannot_be_written_is_named(quickstart: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(StoreError, match="cannot write the report to"):
        render(quickstart, tmp_path / "taken", ("csv",))

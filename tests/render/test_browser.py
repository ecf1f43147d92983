"""The page in a real browser: no error, no request; it sorts, filters, highlights, copies and fits its screen."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from enriched import OPENVINO, on_board, proven, rewritten, sampled, started
from folders import STEPS, Folder
from hostile import HOSTILE, many
from PIL import Image

from kdbench.evidence import evidence
from kdbench.render import render, render_changes
from kdbench.render.report.page import page

Build = Callable[..., Folder]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
NAMES = (
    "[...document.querySelectorAll('#cases tbody tr')].filter(r => !r.hidden).map(r => r.cells[0].innerText.slice(2))"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    started = Browser()
    yield started
    started.close()


def quiet(browser: Browser) -> bool:
    """No line on the console, and nothing asked for but the page itself."""
    browser.run("new Promise(done => setTimeout(done, 50))")
    return browser.said == [] and {address.partition(":")[0] for address in browser.asked} == {"file"}


def heading(title: str, group: str = "") -> str:
    """A column's button."""
    test = f"h.querySelector('.title').innerText === {title!r} && h.innerText.includes({group!r})"
    return f"[...document.querySelectorAll('#cases thead th')].find(h => {test}).querySelector('button')"


def test_the_page_is_shown_without_an_error_or_a_request(browser: Browser, report: Path, tmp_path: Path) -> None:
    browser.open(report / "index.html")
    browser.picture(tmp_path / "page.png")
    assert quiet(browser)
    assert len(browser.asked) == 1
    with Image.open(tmp_path / "page.png") as image:
        colors = set(image.convert("RGB").get_flattened_data())
    assert {(0, 114, 178), (230, 159, 0), (0, 158, 115)} <= colors, "the figures' families"


def test_a_heading_sorts_by_keyboard_up_down_and_back(browser: Browser, report: Path) -> None:
    browser.open(report / "index.html")
    before = browser.run(NAMES)
    browser.run(f"{heading('p50', 'batch 1')}.focus()")
    browser.press("Enter")
    assert browser.run(NAMES)[0] == "soft-pruned-int8"
    assert browser.run("document.querySelector('[aria-sort]').ariaSort") == "ascending"
    browser.press("Enter")
    assert browser.run(NAMES)[0] == "teacher"
    browser.press("Enter")
    assert browser.run(NAMES) == before
    assert browser.run("document.querySelectorAll('[aria-sort]').length") == 0
    browser.run(f"{heading('Against from-scratch')}.click()")
    browser.run(f"{heading('Against from-scratch')}.click()")
    assert browser.run(NAMES)[-1] == "teacher", "what is missing is last in either direction"
    assert quiet(browser)


def test_typing_filters_the_cases_in_table_and_figures(browser: Browser, report: Path) -> None:
    browser.open(report / "index.html")
    browser.run("document.getElementById('filter').value = 'INT8 soft'")
    browser.run("document.getElementById('filter').dispatchEvent(new Event('input'))")
    assert browser.run(NAMES) == ["soft-pruned-int8"]
    assert browser.run("document.getElementById('count').textContent") == "1 of 10"
    assert browser.run("document.querySelectorAll('.picture [data-case]:not(.out)').length") > 0
    left = "new Set([...document.querySelectorAll('.picture [data-case]:not(.out)')].map(m => m.dataset.case)).size"
    assert browser.run(left) == 1


def test_a_point_under_the_pointer_lights_its_row_and_shows_its_numbers(browser: Browser, report: Path) -> None:
    browser.open(report / "index.html")
    browser.point("[...document.querySelectorAll('.picture text')].find(t => t.textContent === 'teacher')")
    assert browser.run("document.querySelector('#cases tr.here').cells[0].innerText.slice(2)") == "teacher"
    assert "p50 (µs), batch 1: 31" in browser.run("document.getElementById('peek').textContent")
    browser.press("Escape")
    assert browser.run("document.querySelectorAll('.here').length") == 0


def test_arrows_walk_the_rows_and_light_them(browser: Browser, report: Path) -> None:
    browser.open(report / "index.html")
    browser.run("document.querySelector('#cases tbody tr').focus()")
    browser.press("ArrowDown")
    assert browser.run("document.activeElement.cells[0].innerText.slice(2)") == "from-scratch"
    assert browser.run("document.querySelectorAll('.picture .here').length") > 3
    assert browser.run("document.querySelectorAll('#cases [tabindex=\"0\"]').length") == 1


def test_columns_are_chosen_without_a_script(browser: Browser, report: Path, tmp_path: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL), encoding="utf-8")
    browser.open(tmp_path / "page.html")
    seen = "[...document.querySelectorAll('#cases thead th')].filter(h => h.offsetWidth).map(h => h.innerText)"
    before = browser.run(seen)
    assert not any("MACs" in text for text in before)
    box = "[...document.querySelectorAll('fieldset label')].find(l => l.textContent.includes('MACs')).firstElementChild"
    browser.run(f"{box}.checked = true")
    assert len(browser.run(seen)) == len(before) + 1
    assert browser.run("document.querySelector('.tools').offsetWidth") == 0, "tools that need the script are not shown"


SEEN = "[...document.querySelectorAll('#cases thead th')].filter(h => h.offsetWidth).map(h => h.innerText)"
"""The headings that are on the screen."""


def test_after_a_merge_the_table_fits_its_screen_and_shows_one_target_at_a_time_without_a_script(
    browser: Browser, folder: Build, tmp_path: Path
) -> None:
    """Five targets of two devices, each with accuracies of its own."""
    targets = tuple(f"{device}-cpu-{threads}t-fp32" for device in ("local", "board") for threads in (1, 2))
    steps = {"from-scratch": [], "soft": STEPS["soft"]}
    path = rewritten(folder(steps=steps, targets=targets).write(), on_board, sampled)
    text = re.sub(r"<script>.*</script>", "", page(evidence(path), {}, tmp_path, ()), flags=re.DOTALL)
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    browser.open(tmp_path / "page.html", width=1280)
    assert browser.run("(w => w.scrollWidth <= w.clientWidth)(document.querySelector('#decision .wide'))")
    first = browser.run(SEEN)
    assert any("p50" in text and "cpu, 1 thread, batch 32" in text for text in first)
    assert not any("board" in text and "p50" in text for text in first)
    browser.run("document.getElementById('on-2').checked = true")
    other = browser.run(SEEN)
    assert sum("p50" in text for text in other) == 2
    assert all("board, cpu, 1 thread" in text for text in other if "p50" in text or "Accuracy" in text)
    browser.run("document.getElementById('on-4').checked = true")
    assert len(browser.run(SEEN)) > len(first) + 5, "all of them"


@pytest.mark.parametrize(("form", "start"), [
    ("Markdown", r"\| Case \| Accuracy \(%\) \| Against from-scratch \(points\), Accuracy"),
    ("LaTeX", r"\\begin\{tabular\}\{lr+\}\n\\toprule\nCase & Accuracy \(\\%\)"),
    ("CSV", r'Case,Accuracy \(%\),"Against from-scratch \(points\), Accuracy"'),
])  # fmt: skip
def test_the_table_is_copied_as_it_is_seen(browser: Browser, report: Path, form: str, start: str) -> None:
    browser.open(report / "index.html")
    browser.run(f"document.querySelector('[data-copy={form}]').click()")
    text = browser.run("document.getElementById('text').value")
    assert re.match(start, text)
    assert "97" in next(line for line in text.splitlines() if "soft-pruned-int8" in line)
    assert browser.run("new Promise(d => setTimeout(() => d(document.getElementById('copied').innerText), 50))")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_its_screen_and_keeps_its_contrast(
    browser: Browser, report: Path, width: int, dark: bool
) -> None:
    browser.open(report / "index.html", width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    paper, ink = browser.run("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
    assert _contrast(paper, ink) > 7
    cut = "[...document.querySelectorAll('.picture')].filter(p => p.scrollWidth > p.clientWidth).length"
    assert browser.run(cut) == 0, "no figure is cut"
    muted = browser.run("getComputedStyle(document.querySelector('figcaption')).color")
    assert _contrast(paper, muted) > 4.5
    assert (_brightness(paper) < 0.1) == dark


def _contrast(one: str, other: str) -> float:
    """WCAG 2's ratio."""
    low, high = sorted((_brightness(one), _brightness(other)))
    return (high + 0.05) / (low + 0.05)


def _brightness(color: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_it_prints(browser: Browser, report: Path, tmp_path: Path) -> None:
    browser.open(report / "index.html")
    browser.paper(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_hostile_suite_is_shown_and_filtered_like_any_other(browser: Browser, hostile: Path) -> None:
    browser.open(hostile / "report" / "index.html")
    assert quiet(browser)
    assert set(HOSTILE) <= set(browser.run(NAMES))
    browser.run("document.querySelector('#cases thead button').click()")
    browser.run("document.querySelector('[data-copy=LaTeX]').click()")
    assert quiet(browser)


def test_a_hundred_cases_are_one_small_page(browser: Browser, tmp_path: Path) -> None:
    path = many(tmp_path / "results", 100).write()
    render(path, path / "report", ("html",))
    page = path / "report" / "index.html"
    assert page.stat().st_size < 1_100_000
    browser.open(page)
    assert quiet(browser)
    assert len(browser.run(NAMES)) == 102
    assert browser.run("document.querySelectorAll('.picture text').length") < 400, "figures name the front alone"


def test_what_changed_is_shown_without_an_error_or_a_request(browser: Browser, folder: Build, tmp_path: Path) -> None:
    path = folder(steps={"from-scratch": [], "soft": STEPS["soft"]}, batch_sizes=(1,)).write()
    changed, _ = render_changes(path, path, tmp_path / "out")
    browser.open(changed)
    assert quiet(browser)
    assert browser.run("document.querySelectorAll('#cases tbody tr').length") == 3


def test_what_ran_where_is_shown_on_a_phone_and_its_rows_are_those_of_the_table(
    browser: Browser, folder: Build, tmp_path: Path
) -> None:
    steps = {"from-scratch": [], "soft": STEPS["soft"]}
    targets = ("local-cpu-1t-fp32", "board-cpu-1t-fp32", "local-torch-1t-fp32")
    path = rewritten(folder(steps=steps, targets=targets).write(), proven({"soft": 0.25}, OPENVINO), started, on_board)
    (tmp_path / "page.html").write_text(page(evidence(path), {}, tmp_path, ()), encoding="utf-8")
    browser.open(tmp_path / "page.html", width=420)
    assert quiet(browser)
    assert browser.run("document.documentElement.scrollWidth") == 420
    tables = "[...document.querySelectorAll('section[aria-labelledby=execution] table')]"
    assert browser.run(f"{tables}.map(t => t.tBodies[0].rows.length)") == [3, 3, 3]
    browser.point(f"{tables}[0].tBodies[0].rows[2].cells[0]")
    assert browser.run("document.querySelector('#cases tr.here').innerText.includes('soft')")

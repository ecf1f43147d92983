"""A runtime in a browser: the server and the page's protocol with a page of our own, and Chromium where it is here."""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import FileOf, conv_net

from kdbench import testing
from kdbench.errors import MeasureError
from kdbench.measure import host
from kdbench.measure.clock import Rule, time_rounds
from kdbench.measure.runtimes import onnxruntime_web
from kdbench.measure.runtimes.browser import Browser, find_program
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.runtimes.onnxruntime_web import OnnxruntimeWeb, WebSession, package_folder
from kdbench.measure.session_spec import SessionSpec

PAGE = """#!{python}
import json, sys, urllib.request
address = sys.argv[-1]
def get(path):
    with urllib.request.urlopen(address + path) as answer:
        return answer.status, answer.read()
while True:
    status, body = get("next")
    if status == 204:
        continue
    asked = json.loads(body)
    if asked["action"] == "die":
        sys.exit(7)
    said = {said}
    found = said.get(asked["action"], {{"error": "there is no " + asked["action"] + "\\nat page.mjs:1"}})
    request = urllib.request.Request(address + "done", json.dumps(found).encode(), method="POST")
    urllib.request.urlopen(request).read()
"""
BEGUN = {"agent": "Page/1", "isolated": True, "version": "1.30.0", "tick_ms": 0.005, "adapter": None}


def page(folder: Path, **said: Any) -> str:
    """A program that plays the browser and its page: action -> what it answers."""
    path = folder / "page"
    path.write_text(PAGE.format(python=sys.executable, said=repr({name: {"result": it} for name, it in said.items()})))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """As much of the npm package as is looked at."""
    dist = tmp_path / "onnxruntime-web" / "dist"
    dist.mkdir(parents=True)
    (dist / "ort.wasm.min.mjs").write_text("export const env = {};")
    (dist.parent / "package.json").write_text('{"version": "1.30.0"}')
    return dist.parent


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No page outlives a test."""
    yield
    while onnxruntime_web._pages:
        onnxruntime_web._pages.pop().browser.close()


def spec(package: Path, browser: str, **fields: Any) -> SessionSpec:
    return SessionSpec("wasm", options={"package": str(package), "browser": browser}, **fields)


def test_the_page_answers_in_turn_and_its_errors_are_sentences(tmp_path: Path, package: Path) -> None:
    browser = Browser(page(tmp_path, begin=BEGUN), package / "dist", "ort.wasm.min.mjs")
    try:
        assert browser.ask("begin")["agent"] == "Page/1"
        with pytest.raises(MeasureError, match=r"^the browser's page failed: there is no load$"):
            browser.ask("load")
        with pytest.raises(MeasureError, match=r"ended with code 7\.$"):
            browser.ask("die")
    finally:
        browser.close()


def test_it_serves_the_package_isolated_and_nothing_beside_it(tmp_path: Path, package: Path) -> None:
    (package / "secret.txt").write_text("not to be served")
    browser = Browser(page(tmp_path), package / "dist", "ort.wasm.min.mjs")
    address = f"http://127.0.0.1:{browser._server.server_address[1]}"
    try:
        with urllib.request.urlopen(f"{address}/dist/ort.wasm.min.mjs") as answer:
            assert answer.headers["Content-Type"] == "text/javascript"
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        for path in ("/dist/../secret.txt", "/secret.txt", "/file/none"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address + path)
    finally:
        browser.close()


def test_threads_that_became_fewer_are_refused(tmp_path: Path, package: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"model")
    loaded = {"inputs": ["x"], "outputs": ["y"], "threads": 1}
    asked = spec(package, page(tmp_path, begin=BEGUN, load=loaded), threads_intra=2)
    with pytest.raises(MeasureError, match=r"^asked for 2 threads, onnxruntime-web took 1\.$"):
        WebSession(str(tmp_path / "m.onnx"), asked)


def test_without_isolation_there_are_no_threads(tmp_path: Path, package: Path) -> None:
    asked = spec(package, page(tmp_path, begin={**BEGUN, "isolated": False}), threads_intra=2)
    with pytest.raises(MeasureError, match=r"not isolated \(COOP, COEP\), and so gets one thread only"):
        WebSession(str(tmp_path), asked)


@pytest.mark.parametrize(
    ("adapter", "refused"),
    [
        ({"vendor": "google", "architecture": "swiftshader", "device": "", "description": "", "fallback": False}, True),
        ({"vendor": "intel", "architecture": "gen-12lp", "device": "", "description": "", "fallback": True}, True),
        ({"vendor": "nvidia", "architecture": "ampere", "device": "", "description": "", "fallback": False}, False),
    ],
)
def test_a_gpu_that_a_processor_plays_is_never_timed(
    tmp_path: Path, package: Path, adapter: dict[str, Any], refused: bool
) -> None:
    (package / "dist" / "ort.webgpu.min.mjs").write_text("")
    (tmp_path / "m.onnx").write_bytes(b"model")
    answer = {"type": "float32", "shape": [1], "data": base64.b64encode(np.float32(1).tobytes()).decode()}
    loaded = {"inputs": ["x"], "outputs": ["y"], "threads": 1}
    said = page(tmp_path, begin={**BEGUN, "adapter": adapter}, load=loaded, run=[answer], bind={"calls": 3})
    asked = SessionSpec(
        "webgpu",
        options={"package": str(package), "browser": said},
        runtime="kdbench.measure.runtimes.onnxruntime_web:OnnxruntimeWeb",
    )
    session = WebSession(str(tmp_path / "m.onnx"), asked)
    assert session.run({"x": np.zeros(1, np.float32)})[0].tolist() == [1.0]
    if refused:
        with pytest.raises(MeasureError, match=r"the browser's GPU is a software one .*: answers are judged"):
            session.proof({"x": np.zeros(1, np.float32)})
    else:
        note = session.proof({"x": np.zeros(1, np.float32)})["execution_note"]
        assert note == "Page/1; clock of 5 us, a sample is the mean of 3 calls"


def test_what_is_missing_is_a_sentence_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    monkeypatch.delenv("KDBENCH_ONNXRUNTIME_WEB", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MeasureError, match=r"run `npm install onnxruntime-web`, and name its folder in KDBENCH_ONNX"):
        package_folder({})
    (tmp_path / "node_modules").mkdir()
    package.rename(tmp_path / "node_modules" / "onnxruntime-web")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert package_folder({}) == tmp_path / "node_modules" / "onnxruntime-web"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MeasureError, match=r"^no browser is here \(chromium, google-chrome \.\.\.\); install Chromium"):
        find_program({})


def test_a_session_with_a_clock_of_its_own_is_timed_by_that_one() -> None:
    class Elsewhere:
        batch_count = 3

        def __init__(self) -> None:
            self.numbers: list[int] = []

        def run(self, batch_number: int) -> None:
            raise AssertionError("its own clock was not asked")

        def timed(self, batch_numbers: Sequence[int]) -> list[int]:
            self.numbers += batch_numbers
            return [1000 + number for number in batch_numbers]

    session = Elsewhere()
    rule = Rule(warmup_min_calls=4, warmup_min_ns=0, round_call_count=5, min_calls=10, min_ns=0)
    (timing,) = time_rounds([session], rule)
    assert timing.warmup_ns == [1000, 1001, 1002, 1000]
    assert timing.samples_ns == [1000 + number % 3 for number in range(10)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_work_of_what_a_process_started_is_its_own(tmp_path: Path) -> None:
    gauge = host.Gauge()
    busy = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ntime.sleep(30)"
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", busy], os.environ)
    try:
        time.sleep(0.8)
        assert gauge.read()["own_cpu_fraction"] > 0.1
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def _is_here() -> bool:
    try:
        find_program({})
        package_folder({})
    except MeasureError:
        return False
    return True


@pytest.mark.skipif(not _is_here(), reason="there is no Chromium, or KDBENCH_ONNXRUNTIME_WEB names no npm package")
class TestWhereTheyAreInstalled:
    def test_it_keeps_the_contract(self) -> None:
        testing.check_runtime("onnxruntime_web", providers=["wasm"])

    def test_it_answers_as_onnxruntime_does_in_every_batch_and_thread_count(self, file_of: FileOf) -> None:
        path = file_of("conv", conv_net())["path"]
        session = OnnxruntimeWeb().load(path, SessionSpec("wasm", threads_intra=2))
        for count in (1, 5):
            feed = {"x": np.random.default_rng(count).normal(size=(count, 3, 8, 8)).astype(np.float32)}
            (expected,) = OnnxruntimeSession(path, SessionSpec()).run(feed)
            np.testing.assert_allclose(session.run(feed)[0], expected, atol=1e-5)
            bound = session.bind([feed])
            assert all(took > 0 for took in bound.timed([0, 0, 0]))
            np.testing.assert_allclose(bound.outputs(0)[0], expected, atol=1e-5)
        assert json.dumps(session.proof(feed))

"""onnxruntime-web: ONNX files in a headless browser, timed by the page's own clock.

Part of the measuring program: nothing but the standard library, numpy and `measure`; the browser and the npm package
are found when they are first needed.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from kdbench.errors import MeasureError
from kdbench.measure.provider import ONNXRUNTIME_WEB, Provider
from kdbench.measure.runtimes.browser import START_S, Browser, find_program
from kdbench.measure.runtimes.contract import Feed, Runtime, Session
from kdbench.measure.session_spec import SessionSpec
from kdbench.measure.web_providers import ROWS

BUILDS = {"wasm": "ort.wasm.min.mjs", "webgpu": "ort.webgpu.min.mjs"}
PACKAGE_VARIABLE = "KDBENCH_ONNXRUNTIME_WEB"
WHERE = Path("node_modules", "onnxruntime-web")
GPU_FLAGS = ("--enable-unsafe-webgpu", "--ignore-gpu-blocklist", "--enable-features=Vulkan,WebGPU")
SOFTWARE = ("swiftshader", "llvmpipe", "software", "basic render")
"""Words in an adapter's name of a processor that plays a GPU."""
DTYPES = {"float32": "float32", "float64": "float64", "int64": "int64", "int32": "int32", "uint8": "uint8",
          "int8": "int8", "bool": "bool"}  # fmt: skip
"""numpy's names of types -> the page's."""


class WebSession(Session):
    """One ONNX file in the browser's page, with the threads that were asked for or not at all. Raises MeasureError."""

    def __init__(self, path: str, spec: SessionSpec) -> None:
        self.path, self.spec = path, spec
        self.provider_asked, self.providers_got = spec.provider_asked, [spec.provider_asked]
        self._page = page_of(spec)
        self._id = f"file{len(self._page.browser.files)}"
        self._page.browser.files[self._id] = Path(path).read_bytes()
        try:
            said = self._page.browser.ask("load", id=self._id, provider=spec.provider)
        except MeasureError as error:
            raise MeasureError(f"onnxruntime-web cannot load {path}: {error}") from None
        if said["threads"] != spec.threads_intra:
            raise MeasureError(f"asked for {spec.threads_intra} threads, onnxruntime-web took {said['threads']}.")
        self.input_names: list[str] = said["inputs"]

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch. Raises MeasureError where it cannot run."""
        try:
            return list(map(_read, self._page.browser.ask("run", id=self._id, feed=self._written(feed))))
        except MeasureError as error:
            raise MeasureError(f"{self.path} does not run on these inputs: {error}") from None

    def bind(self, feeds: list[Feed]) -> BoundPage:
        """Calls on tensors that lie ready in the page."""
        self.run_checked(feeds[0])
        return BoundPage(self._page.browser, self._id, [self._written(feed) for feed in feeds])

    def proof(self, feed: Feed) -> dict[str, Any]:
        """The page's own words: which browser and adapter, whether threads were to be had, how coarse its clock is.

        onnxruntime-web shows no kernels: the file counts as one. Raises MeasureError where a processor plays the GPU.
        """
        bound = self.bind([feed])
        said, adapter = self._page.said, self._page.said["adapter"]
        if adapter is not None and _is_software(adapter):
            named = adapter["description"] or adapter["architecture"] or adapter["vendor"]
            raise MeasureError(
                f"the browser's GPU is a software one ({named}): answers are judged, but its times would say nothing."
            )
        calls = f", a sample is the mean of {bound.calls} calls" if bound.calls > 1 else ""
        note = f"{said['agent']}; clock of {1000 * said['tick_ms']:.3g} us{calls}"
        return {"node_count_by_provider": {self.provider_asked: 1}, "effective_precision": None, "execution_note": note}

    def _written(self, feed: Feed) -> dict[str, Any]:
        return {name: _write(self.path, name, array) for name, array in self.own(feed).items()}


class BoundPage:
    """Calls in the page at one batch size, timed there; a sample is the mean of as many calls as its clock needs."""

    def __init__(self, browser: Browser, file: str, feeds: list[dict[str, Any]]) -> None:
        self.batch_count = len(feeds)
        self._browser = browser
        self._id = f"{file}-{id(self)}"
        self.calls: int = browser.ask("bind", id=file, bound=self._id, feeds=feeds)["calls"]

    def timed(self, batch_numbers: Sequence[int]) -> list[int]:
        """Nanoseconds of a call on each of these batches, by the page's clock. Raises MeasureError where one fails."""
        found: list[int] = self._browser.ask("time", bound=self._id, numbers=list(batch_numbers))["ns"]
        return found

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number. Raises MeasureError where it fails."""
        self.timed([batch_number])

    def outputs(self, batch_number: int) -> list[Any]:
        """All outputs of the last call on the batch of that number."""
        return list(map(_read, self._browser.ask("outputs", bound=self._id, number=batch_number)))


class OnnxruntimeWeb(Runtime):
    """onnxruntime-web in a headless Chromium: WebAssembly on the CPU, or WebGPU."""

    name = ONNXRUNTIME_WEB
    in_process = False
    providers: ClassVar[Mapping[str, Provider]] = ROWS

    def describe(self) -> dict[str, Any]:
        """Version of the npm package and of the browser. Raises MeasureError where one of them is not there."""
        package = json.loads((package_folder({}) / "package.json").read_text(encoding="utf-8"))
        program = find_program({})
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
        return {
            "runtime": self.name,
            "runtime_version": package["version"],
            "build_info": said.splitlines()[0] if said else program,
            "providers_available": list(ROWS),
        }

    def load(self, path: str, spec: SessionSpec) -> WebSession:
        return WebSession(path, spec)


class _Page:
    """This process's browser, and what its page said of itself."""

    def __init__(self, spec: SessionSpec) -> None:
        options = spec.provider_options()
        folder = package_folder(options) / "dist"
        flags = (*(GPU_FLAGS if spec.provider == "webgpu" else ()), *options.get("flags", "").split())
        self.threads, self.provider = spec.threads_intra, spec.provider
        self.browser = Browser(find_program(options), folder, BUILDS[spec.provider], flags)
        atexit.register(self.browser.close)
        self.said = self.browser.ask("begin", START_S, threads=self.threads, provider=self.provider)
        if self.threads > 1 and not self.said["isolated"]:
            raise MeasureError("the browser's page is not isolated (COOP, COEP), and so gets one thread only.")
        if spec.provider == "webgpu" and self.said["adapter"] is None:
            raise MeasureError("the browser offers no WebGPU adapter here.")


_pages: list[_Page] = []
"""At most one: a page has one number of threads for all of its sessions."""


def page_of(spec: SessionSpec) -> _Page:
    """This process's page. Raises MeasureError where it was opened for other threads or another provider."""
    if not _pages:
        _pages.append(_Page(spec))
    (page,) = _pages
    if (page.threads, page.provider) != (spec.threads_intra, spec.provider):
        raise MeasureError(f"the page of this process runs {page.provider} with {page.threads} threads.")
    return page


def package_folder(options: Mapping[str, str]) -> Path:
    """Where npm put onnxruntime-web: an option says, else an environment variable, else the folders above this one.

    Raises MeasureError where it is in none.
    """
    named = options.get("package") or os.environ.get(PACKAGE_VARIABLE)
    here = Path.cwd()
    places = [Path(named).expanduser()] if named else [folder / WHERE for folder in (here, *here.parents)]
    for place in places:
        if (place / "dist" / BUILDS["wasm"]).is_file():
            return place
    looked = str(places[0]) if named else f"{WHERE} of {here} or a folder above"
    raise MeasureError(
        f"onnxruntime-web is not in {looked}; run `npm install onnxruntime-web`, and name its folder in "
        f"{PACKAGE_VARIABLE}."
    )


def _is_software(adapter: Mapping[str, Any]) -> bool:
    words = " ".join(str(value) for value in adapter.values()).lower()
    return bool(adapter["fallback"]) or any(word in words for word in SOFTWARE)


def _write(path: str, name: str, array: Any) -> dict[str, Any]:
    if array.dtype.name not in DTYPES:
        raise MeasureError(f"{path} takes '{name}' as {array.dtype.name}, which the page cannot be given.")
    data = base64.b64encode(array.tobytes()).decode()
    return {"type": DTYPES[array.dtype.name], "shape": list(array.shape), "data": data}


def _read(tensor: Mapping[str, Any]) -> Any:
    import numpy

    content = base64.b64decode(tensor["data"])
    return numpy.frombuffer(content, dtype=tensor["type"]).reshape(tensor["shape"]).copy()

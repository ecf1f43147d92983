"""A headless browser with one page, and the server that tells it what to do; it knows no file's form.

Part of the measuring program: the standard library alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import pkgutil
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError

NAMES = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser", "chrome")
"""Commands of browsers that take Chromium's flags."""
FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-sync",
)
AS_ROOT = ("--no-sandbox",)
"""The sandbox does not start for root."""
HEADERS = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
"""Without these a page gets one thread, whatever it asks for, and a clock of 0.1 ms."""
TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm"}
PAGE = b'<!doctype html><meta charset="utf-8"><script type="module" src="/page.mjs"></script>'
POLL_S, START_S, STEP_S = 30.0, 60.0, 600.0
PR_SET_PDEATHSIG = 1


class Browser:
    """One browser of a fresh profile, whose page does what it is asked. Raises MeasureError where none starts."""

    def __init__(self, program: str, folder: Path, build: str, flags: tuple[str, ...] = ()) -> None:
        """`folder`: onnxruntime-web's files, of which `build` is the module that the page imports."""
        self.files: dict[str, bytes] = {}
        """What the page may fetch as /file/NAME."""
        self._asked: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answered: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server = _Server(self, folder, build)
        self._profile = tempfile.mkdtemp(prefix="kdbench-browser-")
        address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        root = AS_ROOT if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        command = [program, *FLAGS, *root, *flags, f"--user-data-dir={self._profile}", address]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            self._process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent
            )
        except OSError as error:
            raise MeasureError(f"the browser {program} does not start ({error.strerror}).") from None
        self.program = program

    def ask(self, action: str, timeout_s: float = STEP_S, **asked: Any) -> Any:
        """The page's answer to one action. Raises MeasureError with its error, or where it is silent."""
        self._asked.put({"action": action, **asked})
        waited = 0.0
        while True:
            try:
                answer = self._answered.get(timeout=1.0)
                break
            except queue.Empty:
                waited += 1.0
                if self._process.poll() is not None:
                    raise MeasureError(f"the browser {self.program} ended with code {self._process.poll()}.") from None
                if waited >= timeout_s:
                    raise MeasureError(
                        f"the browser's page was silent for {timeout_s:.0f} s (action {action})."
                    ) from None
        if "error" in answer:
            raise MeasureError(f"the browser's page failed: {str(answer['error']).splitlines()[0]}")
        return answer["result"]

    def close(self) -> None:
        """End the browser and the server."""
        self._process.kill()
        self._process.wait()
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._profile, ignore_errors=True)  # a child of the browser may still write there

    def next_action(self) -> dict[str, Any] | None:
        """What the page is to do next; None where there is nothing yet."""
        try:
            return self._asked.get(timeout=POLL_S)
        except queue.Empty:
            return None

    def done(self, answer: dict[str, Any]) -> None:
        """The page's answer has come."""
        self._answered.put(answer)


class _Server(ThreadingHTTPServer):
    """Serves the page, onnxruntime-web's files and the actions, to this machine alone."""

    daemon_threads = True

    def __init__(self, browser: Browser, folder: Path, build: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.browser, self.folder, self.build = browser, folder.resolve(), build

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that ends drops its connections: nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            self._send(PAGE, "text/html")
        elif path == "/page.mjs":
            self._send(pkgutil.get_data(__package__ or "", "page.mjs") or b"", TYPES[".mjs"])
        elif path == "/build":
            self._send(json.dumps({"build": self.server.build}).encode(), "application/json")
        elif path == "/next":
            action = self.server.browser.next_action()
            self._send(json.dumps(action).encode() if action else b"", "application/json", 200 if action else 204)
        elif path.startswith("/file/") and path[6:] in self.server.browser.files:
            self._send(self.server.browser.files[path[6:]], "application/octet-stream")
        elif path.startswith("/dist/") and (found := self.server.folder / path[6:]).parent == self.server.folder:
            self._send_file(found)
        else:
            self._send(b"", "text/plain", 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(b"", "text/plain")
        self.server.browser.done(json.loads(body))

    def _send_file(self, path: Path) -> None:
        if path.is_file():
            self._send(path.read_bytes(), TYPES.get(path.suffix, "application/octet-stream"))
        else:
            self._send(b"", "text/plain", 404)

    def _send(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: standard error is for what failed."""


def find_program(options: Mapping[str, str]) -> str:
    """The browser that an option names, else the first known one. Raises MeasureError where there is none."""
    named = options.get("browser")
    for name in (named,) if named else NAMES:
        found = shutil.which(os.path.expanduser(name))
        if found:
            return found
    if named:
        raise MeasureError(f"there is no browser '{named}'; name a Chromium in options: {{browser: PATH}}.")
    raise MeasureError(
        f"no browser is here ({', '.join(NAMES[:2])} ...); install Chromium, or name one in options: {{browser: PATH}}."
    )


def _die_with_parent() -> None:
    """In the child: end when whoever started it ends, however it ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

"""A third party's runtime, as small as one can be: it hands ONNX files to onnxruntime under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from kdbench.errors import MeasureError
from kdbench.measure.provider import Provider
from kdbench.measure.runtimes.contract import Feed, Runtime, Session
from kdbench.measure.session_spec import SessionSpec


class Echo(Runtime):
    """Echoes onnxruntime."""

    name = "echo"
    providers: ClassVar[Mapping[str, Provider]] = {"echo": Provider("EchoProvider", runtime="echo")}

    def describe(self) -> dict[str, Any]:
        import onnxruntime

        found = {"runtime": "echo", "runtime_version": f"1+{onnxruntime.__version__}", "build_info": "none"}
        return {**found, "providers_available": ["EchoProvider"]}

    def load(self, path: str, spec: SessionSpec) -> EchoSession:
        return EchoSession(path, spec)


class EchoSession(Session):
    def __init__(self, path: str, spec: SessionSpec) -> None:
        import onnxruntime

        self.path, self.provider_asked, self.providers_got = path, spec.provider_asked, [spec.provider_asked]
        try:
            self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise MeasureError(f"echo cannot load {path}: {str(error).splitlines()[0]}") from None
        self.input_names = [node.name for node in self._session.get_inputs()]

    def run(self, feed: Feed) -> list[Any]:
        return list(self._session.run(None, self.own(feed)))

    def proof(self, feed: Feed) -> dict[str, Any]:
        self.run_checked(feed)
        return {"node_count_by_provider": {self.provider_asked: 1}, "effective_precision": "fp32"}


class Silent(Echo):
    """Takes every file, and answers nothing that is right."""

    def load(self, path: str, spec: SessionSpec) -> EchoSession:
        return _Silent(path, spec)


class _Silent(EchoSession):
    def run(self, feed: Feed) -> list[Any]:
        return [0 * output for output in super().run(feed)]

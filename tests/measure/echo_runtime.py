"""A third party's runtime, as small as one can be: it hands ONNX files to onnxruntime under a name of its own."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from kdbench.errors import MeasureError
from kdbench.measure.conversion import Converted, Wishes
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


class Packed(Echo):
    """Reads files of a form of its own, which are made from ONNX: the same bytes, compressed."""

    name = "packed"
    artefact = "onnx.gz"
    made_from = "onnx"
    providers: ClassVar[Mapping[str, Provider]] = {"packed": Provider("EchoProvider", runtime="packed")}

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "runtime": "packed"}

    def load(self, path: str, spec: SessionSpec) -> EchoSession:
        try:
            content = gzip.decompress(Path(path).read_bytes())
        except OSError as error:
            raise MeasureError(f"packed cannot load {path}: {error}") from None
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "model.onnx"
            plain.write_bytes(content)
            return EchoSession(str(plain), spec)

    def write_tiny(self, path: Path) -> None:
        super().write_tiny(path)
        path.write_bytes(gzip.compress(path.read_bytes()))

    def converter_versions(self) -> dict[str, str]:
        return {"packer": "1"}

    def convert(self, source: str, out: Path, wishes: Wishes) -> Converted:
        content = Path(source).read_bytes()
        if 13 in wishes.batch_sizes:
            raise MeasureError("packed packs no batches of 13.")
        packed = gzip.compress(content, mtime=0)
        out.write_bytes(packed)
        examples = wishes.inputs.example_count
        return Converted(out, packed, {"float32": len(content)}, 0.0, (f"Packed after a look at {examples} examples.",))

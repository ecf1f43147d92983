"""LiteRT (TensorFlow Lite's successor) on the CPU through XNNPACK; it knows no clock.

Part of the measuring program: nothing but the standard library, numpy, ai_edge_litert (inside functions) and `measure`.
"""

from __future__ import annotations

import base64
import functools
import importlib
import importlib.util
import json
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from kdbench.errors import MeasureError
from kdbench.measure.conversion import Converted, Wishes
from kdbench.measure.mobile_providers import ROWS
from kdbench.measure.provider import LITERT, Provider
from kdbench.measure.runtimes import litert_converter
from kdbench.measure.runtimes.contract import Feed, Runtime, Session
from kdbench.measure.runtimes.litert_nodes import nodes_of, proof_of
from kdbench.measure.runtimes.onnxruntime_import import first_line
from kdbench.measure.session_spec import SessionSpec

ERRORS = (RuntimeError, ValueError, TypeError)
"""Raised by LiteRT for files and tensors that it does not take."""


class LitertSession(Session):
    """One archive of LiteRT files, one for each batch size: LiteRT's files have fixed shapes.

    A batch of another size is answered in several calls; it is never timed. Raises MeasureError where the archive is
    none, or a file in it does not load.
    """

    def __init__(self, path: str, spec: SessionSpec) -> None:
        self.path, self.spec = path, spec
        self.provider_asked, self.providers_got = spec.provider_asked, [spec.provider_asked]
        try:
            with zipfile.ZipFile(path) as archive:
                names = json.loads(archive.read(litert_converter.NAMES))
                self._contents = {int(size): archive.read(entry) for size, entry in names["files"].items()}
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise MeasureError(
                f"LiteRT cannot load {path}: it is no archive of its files ({first_line(error)})."
            ) from None
        self.input_names: list[str] = names["inputs"]
        self._loaded: dict[int, Loaded] = {}
        self._of(min(self._contents))

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch, in as many calls as its size takes. Raises MeasureError where it cannot run."""
        import numpy

        own = self.own(feed)
        count, begin, parts = len(next(iter(own.values()))), 0, []
        while begin < count:
            size = max((size for size in self._contents if size <= count - begin), default=0)
            if not size:
                raise MeasureError(f"{self.path} has no file for a batch of {count - begin}.")
            parts.append(self._of(size).run({name: array[begin : begin + size] for name, array in own.items()}))
            begin += size
        return [numpy.concatenate(outputs) for outputs in zip(*parts)]

    def bind(self, feeds: list[Feed]) -> BoundInterpreter:
        """Calls of the file of the feeds' size. Raises MeasureError where there is none."""
        own = [self.own(feed) for feed in feeds]
        size = len(next(iter(own[0].values())))
        if size not in self._contents:
            had = ", ".join(map(str, sorted(self._contents)))
            raise MeasureError(f"{self.path} was converted for batches of {had}, and is asked for {size}.")
        self.run_checked(feeds[0])
        return BoundInterpreter(self._of(size), own)

    def proof(self, feed: Feed) -> dict[str, Any]:
        """Which nodes of the file of that size XNNPACK took, and in which types it multiplies."""
        self.bind([feed]).run(0)
        size = len(next(iter(self.own(feed).values())))
        return proof_of(nodes_of(self._of(size).interpreter._get_ops_details()), self.provider_asked)

    def _of(self, size: int) -> Loaded:
        if size not in self._loaded:
            self._loaded[size] = Loaded(self.path, self._contents[size], self.spec.threads_intra, self.input_names)
        return self._loaded[size]


class Loaded:
    """One LiteRT file, ready to be called."""

    def __init__(self, path: str, content: bytes, threads: int, input_names: list[str]) -> None:
        self.path = path
        try:
            self.interpreter = _litert().Interpreter(model_content=content, num_threads=threads)
            self.interpreter.allocate_tensors()
        except ERRORS as error:
            raise MeasureError(f"LiteRT cannot load {path}: {first_line(error)}") from None
        self.inputs = dict(zip(input_names, sorted(self.interpreter.get_input_details(), key=_position)))
        self.outputs = [one["index"] for one in sorted(self.interpreter.get_output_details(), key=_position)]

    def placed(self, feed: Feed) -> list[tuple[int, Any]]:
        """(tensor, array of its type) of each input. Raises MeasureError where a number does not fit its type."""
        return [(self.inputs[name]["index"], self._typed(name, array)) for name, array in feed.items()]

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch of the file's size. Raises MeasureError where it cannot run."""
        try:
            for place, array in self.placed(feed):
                self.interpreter.set_tensor(place, array)
            self.interpreter.invoke()
            return [self.interpreter.get_tensor(place) for place in self.outputs]
        except ERRORS as error:
            raise MeasureError(f"{self.path} does not run on these inputs: {first_line(error)}") from None

    def _typed(self, name: str, array: Any) -> Any:
        """LiteRT's files take int32 where the task has int64: refused where a number would wrap."""
        import numpy

        wanted = self.inputs[name]["dtype"]
        cast = numpy.ascontiguousarray(array, dtype=wanted)
        if array.dtype.kind in "iu" and not numpy.array_equal(cast, array):
            raise MeasureError(
                f"{self.path} takes '{name}' as {numpy.dtype(wanted).name}, which cannot hold {array.max()}."
            )
        return cast


class BoundInterpreter:
    """Calls of one file whose inputs lie ready. Each call sets the inputs and takes the outputs out of LiteRT's memory:
    both are overwritten by the next call."""

    def __init__(self, loaded: Loaded, feeds: list[Feed]) -> None:
        self.batch_count = len(feeds)
        self._batches = [loaded.placed(feed) for feed in feeds]
        self._outputs = loaded.outputs
        self._set, self._get = loaded.interpreter.set_tensor, loaded.interpreter.get_tensor
        self._invoke = loaded.interpreter.invoke
        self._answers: dict[int, list[Any]] = {}

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number. Raises MeasureError where it fails."""
        try:
            for place, array in self._batches[batch_number]:
                self._set(place, array)
            self._invoke()
            self._answers[batch_number] = [self._get(place) for place in self._outputs]
        except ERRORS as error:
            raise MeasureError(f"a timed call failed: {first_line(error)}") from None

    def outputs(self, batch_number: int) -> list[Any]:
        """All outputs of the last call on the batch of that number."""
        return self._answers[batch_number]


class Litert(Runtime):
    """LiteRT on the CPU: its files are made from torch's program, one for each batch size, and XNNPACK runs them."""

    name = LITERT
    artefact = litert_converter.ENDING
    made_from = "pt2"
    providers: ClassVar[Mapping[str, Provider]] = {"litert": ROWS["litert"]}

    def describe(self) -> dict[str, Any]:
        """Name and version of LiteRT here. Raises MeasureError where it cannot be imported."""
        _litert()
        version = importlib.import_module("importlib.metadata").version("ai-edge-litert")
        return {
            "runtime": self.name,
            "runtime_version": version,
            "build_info": "ai-edge-litert's wheel",
            "providers_available": ["XNNPACK"],
        }

    def load(self, path: str, spec: SessionSpec) -> LitertSession:
        return LitertSession(path, spec)

    def converter_versions(self) -> dict[str, str]:
        return litert_converter.versions()

    def convert(self, source: str, out: Path, wishes: Wishes) -> Converted:
        return litert_converter.convert(source, out, wishes)

    def write_tiny(self, path: Path) -> None:
        """A convolution, a mean and a linear layer, converted once."""
        litert_converter.write_archive(path, {1: zlib.decompress(base64.b85decode(TINY))}, ["x"])


def _position(detail: Mapping[str, Any]) -> int:
    """The place of an input or output: the number in `serving_default_args_0`, `serving_default_output_1_output`."""
    digits = [part for part in str(detail["name"]).replace(":", "_").split("_") if part.isdigit()]
    return int(digits[0]) if digits else 0


@functools.cache
def _litert() -> Any:
    """LiteRT's interpreter module. Raises MeasureError where it cannot be imported."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        install = f"{sys.executable} -m pip install ai-edge-litert"
        raise MeasureError(
            f"the interpreter {sys.executable} has no ai-edge-litert; run `{install}`, or name one that has it in "
            "'python'."
        )
    try:
        return importlib.import_module("ai_edge_litert.interpreter")
    except (ImportError, OSError) as error:
        raise MeasureError(f"LiteRT cannot be imported by {sys.executable}: {first_line(error)}.") from None


TINY = (
    "c-qZYacCP=7=M@C(o37Q0ZUh0a0LtP*f`r-MC@|1saXdZhOWXWW4E-qHrdiknp|R4#0>@(RGgroP_W_<L0Luo!_DT}e>NQykvYZ5=!VoO>OX"
    "?Rxure7@4fHRgYK^~!GmAkyZ7GrzTfxz-hD3-#@Jvi{%|vEV=_}%h=o}*jJ2`|Z~cHnfCRvj7|b(voyHomA7tz*;2_{Lg|T+PWF2E|0me>lV"
    "r&7%=K!DMJfIo&xD0mCuzvWFp?w>EPJ*LTK6vqoxiG`09@-GFlA$MjM*wYrCP2|Blr!d-o-#(0rL4v6nrZJ&fI_wk-%0qwey(KYOP1b+9!CF"
    "m92^I_ELj*U;waMSr}bYsj)OLv0b2ma3?r`>t>kdlNN02UNX~>8(_&|6AB0sX8R#25E94Wo-v=1an0ldPTA6V}FB^qoCTFtW$QEPnQM*)5j2"
    "?`0e|+CS+Y>nx)>}qO<;u5uvW0ng67VQsCu!hv8Bb<R=Dvf*-+(x`Fz2LGJ+=5W02Uy3VL%=PxeEFF3k-h%yW@Uw82%vpG`DDE_Y;dc;(_7%"
    "N&ko^j|y+=xIc91`o^_Ek#^4G_=@8M#hM_vXE$y+4o>wFKimiV+t%k_ck@b}+MeiR5%zh^;d^cM@$)Tmg1Y<)bCQRLLN=jQ$LSPYI&r@6kKm"
    "Fe?zk>XT3WfnNLn>bbv&0UWsRZ=C&L2mje>f>m?#;L@nrU)b*u8ZToyu5cc+qhD^oUhm&Xz?)RWSC`ns7%7i=T9(Ld&Xo#tFmJU8v6InFooG"
    "t$K4lxlgF_*yqcNHyC;I#eNEzu3=@Yld%&ct0d<(B>1ssg1{*9Dyj47Myx@z=%JiclY&ea3@$*R`H_%t-6F(GQ}7mpk|3X7(+efTH$#Md)C&"
    "`Iz~3ATLW)pZqp&AI(Yu?2t5vw7KjuewsAeyMd9*t_eXA1;P=7``u0if#95&_*vRWv#!9QTQpD|Xp9QdsRo7~Zd!GE{V^4K0o`5Hwr|wle#K"
    "ZOJr~X0kyF|S3EUEEd&RNgC6t$m|H0`H1DtkVN+0UPkRyt<7ZQom?_Ql`NRvNBsv%j1;5xrc!Q29CV&KFagn|4Y1<J$6fcJ#%ekLGq<3Tto9"
    "JZOJ^L$^Qey;QmK=N9|g;B2(-s8zXntY2H&K3BOm8>@UfmC)Xw?$yprMC|$Lt(D*-OO?He#a*wx+i9P8Wk}l*8n%a4gf6G)+dy4r0I&c5&V8"
    "*md<>j>R)wa>_krb*eR1+>jj<M9F9NljUDV+gaT=tw=U&9zANX%-S&io)aQxB3)2(k`uL{kN&^f`mBXkdMkPnbCk_9!+8@+d}p1SAoI`|xQ1"
    "Q)yy4!`=Irccgl`vzL0FHE1cP3dNIzr20^sI&H+xc3A0_ue~hwR=j2OvzM@6#gdigS9BV=$nt9K4-t2U9RPo-8HXF+Ucnycwe^M<-T<P@5r7"
    "z#;rS5u8Yj){slq6SSk"
)
"""A tiny model's file for one example: base85 of its zlib stream."""

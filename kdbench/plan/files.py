"""The stages that make a network's file for a target: exported, worked on by steps on files, or traced for torch."""

from dataclasses import dataclass, replace

from kdbench.measure.carried import find_runtime
from kdbench.plan.networks import Networks
from kdbench.plan.stages import Stages, packages_of
from kdbench.suite.cases import Case, Step, TeacherChoice
from kdbench.suite.targets import Target, converter_of


@dataclass(frozen=True)
class File:
    """The files that a network becomes on one target, as keys of the stages that make them."""

    exported: str
    """The network's ONNX file as it was exported, or as it was given."""
    deployed: str
    """The one that is evaluated and timed: the last step's file, or the traced network where the target runs that."""
    steps: tuple[str, ...] = ()
    """The steps on files between the two, in order."""
    tells: tuple[str, ...] = ()
    """The task's outputs that it was made to tell, where these are not all."""


class Files:
    """Adds the stages of files to a plan's."""

    def __init__(self, stages: Stages, networks: Networks, opset: int) -> None:
        """`opset`: the version of ONNX's operators that files are written in."""
        self.stages, self.opset = stages, opset
        self.networks = networks
        self._known: dict[tuple[str, int, int, str], File] = {}

    def of_case(self, case: Case, seed: int, target: Target) -> File:
        """The file of a case and a seed on a target."""
        seed = seed if case.trains else self.stages.suite.seeds[0]
        place = (case.name, len(case.steps), seed, target.id)  # as in Networks.of_case
        if place not in self._known:
            self._known[place] = self._chain(case, seed, target)
        return self._known[place]

    def of_teacher(self, choice: TeacherChoice, seed: int, target: Target) -> File:
        """A teacher's file on a target that can run it."""
        network = self.networks.of_teacher(choice, seed)
        if choice.onnx is not None:
            return File(network, network)
        return replace(self._plain(network, target), tells=choice.model.outputs if choice.model else ())

    def export(self, network: str) -> str:
        """The export of the network that a stage holds; its key."""
        parts, inputs = {"task": self.stages.task}, {"data": self.stages.data, "model": network}
        numerics = self.stages.packages
        return self.stages.add("export", parts=parts, inputs=inputs, settings={"opset": self.opset}, numerics=numerics)

    def _plain(self, network: str, target: Target) -> File:
        """The file of a network on which no further step works."""
        return self._deployed(self._written(network, target), target)

    def _chain(self, case: Case, seed: int, target: Target) -> File:
        network = self.networks.of_case(case, seed).key
        file = File(network, network) if case.student.onnx is not None else self._written(network, target)
        for step in case.steps:
            if step.technique.form == "onnx" and target.from_onnx:
                made = self._compress(step, file.deployed, seed, target)
                file = File(file.exported, made, (*file.steps, made))
        by = next((step for step in case.steps if step.technique.form == "artefact"), None)
        return self._deployed(file, target, by)

    def _written(self, network: str, target: Target) -> File:
        """A network as kdbench writes it for a target: in ONNX, or as torch.export does."""
        exported = self.export(network)
        return File(exported, exported if target.from_onnx else self._trace(network))

    def _deployed(self, file: File, target: Target, by: Step | None = None) -> File:
        """A file in the form that the target's runtime reads, converted as a step says where there is one."""
        if not target.runtime.made_from:
            return file
        python = converter_of(target.entry)
        session = {"provider": target.entry.provider}
        if target.entry.runtime:
            session["runtime"] = target.entry.runtime
        made = self.stages.add(
            "convert",
            parts={"technique": self.stages.technique(by, target)} if by else {},
            inputs={"data": self.stages.data, "model": file.deployed},
            settings={
                "session": session,
                "converter": python,
                "batch_sizes": target.entry.batch_sizes,
                "lengths": target.entry.lengths or None,
            },
            numerics={"converter": self.stages.machine.converters[python, target.runtime.name], **code_of(target)},
        )
        return replace(file, deployed=made, steps=(*file.steps, made) if by else file.steps)

    def _trace(self, network: str) -> str:
        parts, inputs = {"task": self.stages.task}, {"data": self.stages.data, "model": network}
        return self.stages.add("trace", parts=parts, inputs=inputs, numerics={"torch": self.stages.packages["torch"]})

    def _compress(self, step: Step, file: str, seed: int, target: Target) -> str:
        parts = {"task": self.stages.task, "technique": self.stages.technique(step, target)}
        inputs = {"data": self.stages.data, "model": file}
        numerics = {"onnx": self.stages.packages["onnx"], **packages_of(step.technique)}
        return self.stages.add("compress", parts=parts, inputs=inputs, seed=seed, numerics=numerics)


def code_of(target: Target) -> dict[str, str]:
    """A digest of a third party's runtime, which no version speaks for; nothing for kdbench's own."""
    name = target.entry.runtime
    return {"runtime_code": find_runtime(name).carried.digest} if name else {}


def no_form(case: Case, target: Target) -> str | None:
    """Why a target cannot run what a case makes, as a sentence; None where it can."""
    named = target.runtime.name
    for step in case.steps:
        if step.technique.form == "artefact" and step.technique.runtime != named:
            return f"{step.spec.name} makes files for {step.technique.runtime}, which {named} does not read."
    if target.from_onnx:
        return None
    reads = f"{named} reads what torch.export writes of a network"
    if target.runtime.made_from:
        reads = f"{named}'s files are made from what torch.export writes of a network"
    if case.student.onnx is not None:
        return f"the student came as an ONNX file: {reads}."
    if case.student.form == "estimator":
        return f"{case.student.title} is no network: {reads}."
    for step in case.steps:
        name = step.spec.name
        if step.technique.form == "onnx":
            return f"{name} changes the ONNX file: {reads}."
        if "rounding" in step.technique.effects and step.technique.form == "torch":
            return f"{name} gives integers in the ONNX file only: {reads}, where they would be simulated."
    return None

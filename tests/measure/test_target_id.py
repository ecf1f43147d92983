"""What targets' ids say, and that two machines under one name are kept apart."""

from dataclasses import replace

import pytest

from kdbench.measure.target_id import target_name
from kdbench.results.newest import current_records
from kdbench.results.records import Energy, Latency, Start
from kdbench.results.reference import is_reference

CPU = "local-cpu-1t-fp32"
ONE = Latency(
    suite="s", case="a", seed=0, key="k", target=CPU, fingerprint="one", provider_asked="p", providers_got=("p",),
    batch_size=1, samples_ns=((1, 1),), runtime="onnxruntime", runtime_version="1", precision="fp32",
)  # fmt: skip
START = Start(
    suite="s", case="a", seed=0, key="k", target=CPU, batch_size=1, runtime_import_ns=(1,), load_ns=(1,),
    first_inference_ns=(1,),
)  # fmt: skip


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("local-cpu-1t-fp32", ("local", "cpu", 1, "fp32", None)),
        ("my-board.2-open_vino2-16t-default", ("my-board.2", "open_vino2", 16, "default", None)),
        ("local-cpu-1t-fp32@f00d", ("local", "cpu", 1, "fp32", "f00d")),
    ],
)
def test_an_id_is_read_in_its_parts(target: str, parts: tuple[object, ...]) -> None:
    name = target_name(target)
    assert name is not None
    assert tuple(vars(name).values()) == parts


@pytest.mark.parametrize("target", ["", "cpu", "local-cpu-fp32", "local-cpu-1t-fp32 "])
def test_another_name_is_none(target: str) -> None:
    assert target_name(target) is None


def test_torch_eager_and_compiled_are_references_and_nothing_else() -> None:
    assert is_reference("torch")
    assert is_reference("torch_compiled")
    assert not any(map(is_reference, ("cpu", "tensorrt", "torchlight", "")))


def test_timings_of_another_machine_under_the_same_name_stand_under_a_name_of_their_own() -> None:
    mine = [replace(ONE, case=name) for name in "ab"]
    found = current_records([*mine, replace(ONE, case="c", fingerprint="two"), replace(START, fingerprint="two")])
    assert [record.target for record in found] == [CPU, CPU, f"{CPU}@two", f"{CPU}@two"]


def test_records_of_one_machine_keep_their_name() -> None:
    found = current_records([ONE, replace(ONE, case="b"), START])
    assert {record.target for record in found} == {CPU}


def test_starts_and_energies_of_several_batch_sizes_all_hold() -> None:
    energy = Energy(suite="s", case="a", seed=0, key="k", target=CPU, counter="nvml", batch_size=1, call_count=(1,),
                    energy_uj=(1,), wall_ns=(1,))  # fmt: skip
    several = [START, replace(START, batch_size=8), energy, replace(energy, batch_size=8), replace(START, key="later")]
    assert current_records(several) == several[1:]

"""What a call takes: told apart by batch size and lengths, in order, in words."""

from dataclasses import replace

from kdbench.results import records
from kdbench.results.records import CallSize, Latency

TIMED = Latency(
    **{"suite": "s", "case": "c", "seed": 0, "key": "k", "target": "t", "runtime": "r", "runtime_version": "1"},
    provider_asked="CPUExecutionProvider",
    providers_got=("CPUExecutionProvider",),
    precision="fp32",
    batch_size=8,
    samples_ns=((5,),),
)


def test_calls_of_other_lengths_are_other_calls() -> None:
    short, long = (replace(TIMED, lengths={"length": size}).call_size for size in (16, 128))
    assert len({short, long, TIMED.call_size, CallSize.of(8)}) == 3
    assert sorted([long, CallSize(32), short, CallSize(1)]) == [CallSize(1), short, long, CallSize(32)]
    assert (str(CallSize(8)), str(long)) == ("8", "8, length 128")


def test_a_record_of_either_age_gives_what_was_called() -> None:
    """Records before lengths were kept have none."""
    line = records.to_line(replace(TIMED, lengths={"length": 16}))
    again, older = records.from_line(line), records.from_line(line.replace('"lengths":{"length":16},', ""))
    assert isinstance(again, Latency)
    assert isinstance(older, Latency)
    assert (again.call_size, older.call_size) == (CallSize(8, (("length", 16),)), CallSize(8))

"""Words for the stability of a latency: decided when records are read, by the thresholds of now."""

from kdbench import stats
from kdbench.evidence.latency import latency_view
from kdbench.results.records import Latency

QUIET = ((100_000,) * 100,) * 3


def words(samples: tuple[tuple[int, ...], ...], *stored: str) -> tuple[str, ...]:
    record = Latency(
        suite="s",
        case="c",
        seed=0,
        key="k",
        target="local-cpu-1t-fp32",
        provider_asked="CPUExecutionProvider",
        providers_got=("CPUExecutionProvider",),
        runtime="onnxruntime",
        runtime_version="1",
        precision="fp32",
        batch_size=1,
        samples_ns=samples,
        warnings=stored,
    )
    return latency_view([record], None).warnings


def test_words_that_an_older_record_holds_are_decided_anew() -> None:
    assert words(QUIET, stats.CONTENDED, stats.MOSTLY_OVERHEAD) == ()
    assert words((*QUIET[:2], (130_000,) * 100)) == (stats.PROCESSES_DISAGREE,)


def test_a_word_that_only_the_process_could_know_stays() -> None:
    assert words(QUIET, stats.TOO_FEW) == (stats.TOO_FEW,)

"""A student that hears samples, taught about words by one teacher and about people by another; both see pictures."""

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import onnx
import pytest

from kdbench.check.sides import Side
from kdbench.check.upgraded_answers import judges
from kdbench.evidence import Results, evidence, read_results
from kdbench.render.tables.table import build_table
from kdbench.results.records import Score, Size, Training
from kdbench.results.sample import read_sample
from kdbench.results.task_json import read_task

RATE = 4000
SUITE = """
kdbench: 1
name: senses
task:
  audio_folder:
    root: {root}
    pattern: "{{label}}_{{speaker}}_{{index}}"
    hold_out: {{index: ["0", "1", "2"]}}
    sample_rate: 4000
    seconds: own
    features: {{fft: 128, window: 100, hop: 40, bands: 10}}
    inputs: [log_mel, samples]
    outputs: {{label: {{}}, speaker: {{loss_weight: 0.5}}}}
recipes:
  train: {{epochs: 25, batch_size: 8, optimizer: adamw, learning_rate: 0.01}}
teachers:
  words: {{model: {{audio_cnn: {{channels: [6]}}}}, inputs: [log_mel], outputs: [label]}}
  people: {{model: {{audio_cnn: {{channels: [4]}}}}, inputs: [log_mel], outputs: [speaker]}}
teacher: [words, people]
student: {{model: {{audio_tcn: {{width: 8, dilations: [1], window: 51, hop: 20}}}}, inputs: [samples]}}
cases:
  from-scratch: []
  soft: [soft_distillation]
  int8: [static_quantization: {{samples: 16}}]
measure:
  - {{provider: cpu, processes: 3, calls: 5, seconds: 0, memory: false, start: false, lengths: [800]}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> Results:
    folder = tmp_path_factory.mktemp("senses")
    for label, hertz in (("low", 200), ("high", 900)):
        for speaker, loudness in (("ann", 0.6), ("ben", 0.05)):
            for index in range(10):
                samples = loudness * np.sin(2 * np.pi * (hertz + 9 * index) * np.arange(700 + 40 * index) / RATE)
                with wave.open(str(folder / f"{label}_{speaker}_{index}.wav"), "wb") as file:
                    file.setparams((1, 2, RATE, 0, "NONE", ""))
                    file.writeframes((samples * 32767).astype("<i2").tobytes())
    (folder / "s.yaml").write_text(SUITE.format(root=folder))
    command = ["run", str(folder / "s.yaml"), "-o", str(folder / "out"), "--store", str(shared_store)]
    done = subprocess.run([sys.executable, "-m", "kdbench", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return read_results(folder / "out")


def inputs_of(results: Results, case: str) -> list[str]:
    size = next(record for record in results.of(Size) if record.case == case)
    return [value.name for value in onnx.load(results.folder / size.onnx_path).graph.input]


def test_each_file_takes_its_own_sense_alone(results: Results) -> None:
    assert inputs_of(results, "soft") == inputs_of(results, "int8") == ["samples", "samples_count"]
    assert inputs_of(results, "teacher") == ["log_mel", "frames_count"]


def test_every_output_is_taught_by_the_teacher_that_tells_it(results: Results) -> None:
    terms = {record.case: record.terms_by_epoch for record in results.of(Training)}
    assert set(terms["teacher"][0]) == {"ce"}, "the first teacher learns words alone"
    assert set(terms["soft"][0]) == {"label soft", "speaker soft"}
    for name in terms["soft"][0]:
        assert terms["soft"][-1][name] < 0.7 * terms["soft"][0][name]
    scores = {(one.case, one.output): one.value for one in results.of(Score) if one.split == "test"}
    assert scores["teacher", ""] == 1
    assert scores["teacher", "speaker"] is scores["teacher/people", ""] is None, "zeros stand for what it does not tell"
    assert scores["teacher/people", "speaker"] == 1
    assert min(scores["soft", ""], scores["soft", "speaker"]) > 0.6


def test_a_teacher_without_the_output_that_decides_has_a_dash_and_the_reason(results: Results) -> None:
    table = build_table(evidence(results.folder))
    accuracy = next(column for column in table.columns if column.key == "accuracy")
    by_case = {case.name: cell for case, cell in zip(table.rows, accuracy.cells, strict=True)}
    assert by_case["teacher"].text == "100.0"
    silent = by_case["teacher/people"]
    assert silent.text == "–"
    assert "was not made to tell this output" in silent.notes[0]
    assert not any("teacher/people" in found.cases for found in evidence(results.folder).findings)


def test_nothing_is_said_to_agree_with_what_a_teacher_does_not_tell(results: Results) -> None:
    soft = {one.output: one.teacher_agreement_fraction for one in results.of(Score, "soft") if one.split == "test"}
    assert soft[""] is not None
    assert soft["speaker"] is None


def test_an_upgrade_judges_of_each_file_the_outputs_that_it_tells(results: Results) -> None:
    sample = read_sample(results, read_task(results.folder))

    def told(case: str) -> list[str]:
        return [judge.output.name for judge in judges(Side(results, "results"), case, sample)]

    assert told("from-scratch") == ["label", "speaker"]
    assert told("teacher") == ["label"]
    assert told("teacher/people") == ["speaker"]

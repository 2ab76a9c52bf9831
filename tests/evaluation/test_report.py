"""The report as a file: a written report can be read, and invalid files are refused in one line."""

import json
import re
from pathlib import Path

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import SCORES, EvaluationReport, Scores
from flowmodel.files import read_json, sha256_file, write_json
from flowmodel.recipes.split import Split
from tests.reports import changed, report_of

BEFORE = Path(__file__).with_name("metrics-of-before-versions.json")


def test_a_report_is_read_as_it_was_written_and_written_again_to_the_same_bytes(tiny_report, tmp_path):
    report = tiny_report.evaluation.report
    assert report.sweeps is not None
    artifact = report.write(tmp_path / "metrics.json")
    again = EvaluationReport.read(artifact.path)
    assert again == report
    assert again.write(tmp_path / "again.json").digest == artifact.digest == sha256_file(tiny_report.evaluation.metrics.path)


def test_a_file_of_before_there_were_versions_is_read_whole():
    values = read_json(BEFORE)
    assert "schema_version" not in values
    del values["settings"]["tolerance"], values["settings"]["cfg_zero_star"]  # removed options of the solver
    values["settings"]["finisher"] = None  # which there was not
    current = EvaluationReport.read(BEFORE).as_json()
    assert current.pop("schema_version") == 2
    assert _numbers(current) == _numbers(values)


def _numbers(values):
    """The numbers of a report in the order of its sections, regardless of names; AuthPct as a fraction."""
    if isinstance(values, dict):
        percent = {"auth_pct": 100}
        return sorted(number / percent.get(name, 1) for name, value in values.items() for number in _numbers(value))
    if isinstance(values, list):
        return sorted(number for value in values for number in _numbers(value))
    return [values] if isinstance(values, int | float) and not isinstance(values, bool) else []


def test_what_was_not_measured_is_absent_in_the_file_and_none_in_the_report(tmp_path):
    report = report_of({"train": {"kid": 0.5}})
    assert report.metrics[Split.TRAIN].fd is None and report.metrics[Split.TRAIN].measured == {"kid": 0.5}
    values = json.loads(report.write(tmp_path / "metrics.json").path.read_text())
    assert values["metrics"] == {"train": {"count": 20, "kid": 0.5}}
    assert "sweeps" not in values and values["settings"]["clip"] is None


def test_a_score_is_found_by_split_and_name_and_a_misspelled_name_is_an_error():
    report = report_of({"train": {"kid": 0.5}})
    assert report.score(Split.TRAIN, "kid") == report.required(Split.TRAIN, "kid") == 0.5
    assert report.score(Split.TRAIN, "fd") is None and report.score(Split.UNSEEN_TONE, "kid") is None
    with pytest.raises(KeyError, match="kidd"):
        report.score(Split.TRAIN, "kidd")
    with pytest.raises(FlowmodelError, match="kid of 'unseen_tone' was not measured"):
        report.required(Split.UNSEEN_TONE, "kid")
    assert set(SCORES) == Scores.model_fields.keys()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": 3}, "schema_version is 3, and this release reads 1 and 2"),
        ({"metrics.train.kidd": 0.5}, "metrics.train.kidd: "),
        ({"metrics.train.kid": float("nan")}, "metrics.train.kid: "),
        ({"metrics.mine": {"count": 3}}, "metrics.mine"),
        ({"settings.checkpoint_digest": None}, "settings.checkpoint_digest: "),
    ],
)
def test_a_report_of_another_form_is_refused_in_one_line_with_its_field(changes, words):
    with pytest.raises(FlowmodelError, match=re.escape(words)) as refused:
        changed(report_of({"train": {"kid": 0.5}}), changes)
    assert "\n" not in str(refused.value) and str(refused.value).endswith("evaluate the model again")


@pytest.mark.parametrize("values", [[], "text", {}, {"step": 3}])
def test_a_file_that_is_not_a_report_is_named(values, tmp_path):
    path = write_json(tmp_path / "metrics.json", values)
    with pytest.raises(FlowmodelError, match=r"metrics\.json: not the report of an evaluation"):
        EvaluationReport.read(path)

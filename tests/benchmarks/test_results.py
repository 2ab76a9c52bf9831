"""The documented scores are those of the metrics files."""

from pathlib import Path

import pytest
import yaml

from benchmarks import results
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import EvaluationReport
from flowmodel.recipes.split import Split


@pytest.mark.parametrize(
    "path", [results.PAGE, results.README, results.CARD], ids=lambda path: path.parent.name + "/" + path.name
)
def test_what_the_documents_say_is_what_the_metrics_files_hold(path):
    assert path.read_text(encoding="utf-8") == results.documents()[path], "run: python -m benchmarks.results"


def test_a_row_shows_a_split_and_real_icons(tiny_evaluation):
    report: EvaluationReport = tiny_evaluation.report
    header, _, first = results.splits_table(report).splitlines()[:3]
    cells = dict(zip(header.strip("| ").split(" | "), first.strip("| ").split(" | "), strict=True))
    scores, real = report.metrics["train"], report.baselines.real["train"]
    assert cells["split"] == "trained icons" and cells["icons"] == str(scores.count)
    assert cells["KID"] == f"{scores.kid:.3f} ({real.kid:.3f})"
    assert cells["top-1 of all"] == f"{scores.retrieval_top1_all:.1%} ({real.retrieval_top1_all:.1%})"
    assert "without finisher" not in cells


def test_the_header_of_the_model_card_has_the_scores_of_the_shipped_weights():
    _, header, _ = results.CARD.read_text(encoding="utf-8").split("---\n", 2)
    card, report = yaml.safe_load(header), EvaluationReport.read(results.SHIPPED)
    assert (card["pipeline_tag"], card["library_name"], card["license"]) == ("text-to-image", "flowmodel", "mit")
    [model] = card["model-index"]
    assert len(model["results"]) == len(report.metrics)
    for split, shown in zip(Split, model["results"], strict=True):
        scores = {metric["type"]: metric["value"] for metric in shown["metrics"]}
        assert scores["kid"] == pytest.approx(report.metrics[split].kid, abs=1e-3)


def test_a_document_without_the_marks_is_named(tmp_path):
    with pytest.raises(FlowmodelError, match=r"page\.md: no lines"):
        results.with_region("# A page without a table\n", "| |", Path(tmp_path / "page.md"))

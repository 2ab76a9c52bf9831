"""The assets `evaluation` and `sample_grid` of a real, tiny training: their results, and the links in their metadata."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from flowmodel.evaluation.caption_probe import caption_probe_of
from flowmodel.files import Artifact
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store
from pipelines.defs.evaluate.assets import evaluation
from pipelines.resources import StoreResource

_ASSETS = ("evaluation", "sample_grid")


def _returning(name: str, value: object) -> dg.AssetsDefinition:
    @dg.asset(name=name)
    def made():
        return value

    return made


@pytest.mark.slow
def test_the_report_is_a_file_an_artifact_of_the_run_and_a_link(tiny_training, tiny_evaluation, tmp_path, monkeypatch):
    monkeypatch.setenv("FLOWMODEL_STORE", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(tiny_training.store.root / "features", tmp_path / "features")  # that tiny_evaluation has filled
    checkpoint = tmp_path / "flow_checkpoint" / "tiny" / "final.safetensors"
    checkpoint.parent.mkdir(parents=True)
    shutil.copy(tiny_training.checkpoint.path, checkpoint)
    probe = caption_probe_of(tiny_training.dataset, tmp_path / "features", tiny_training.recipe.data.color).artifact
    given = {"finisher": Artifact.of(checkpoint), "icon_dataset": tiny_training.dataset, "caption_probe": probe}
    result = dg.materialize_to_memory([evaluation, *map(_returning, given, given.values())], resources={"store": StoreResource()})
    events = result.asset_materializations_for_node("evaluation")
    scored, grid = (next(event.metadata for event in events if event.asset_key.path == [name]) for name in _ASSETS)

    page = tmp_path / "evaluation" / "tiny" / "report.html"
    assert scored["report_file"].value == grid["report_file"].value == str(page)
    text = page.read_text(encoding="utf-8")
    assert "Steps and guidance" in text and "made without sweeps" not in text and "Noise becoming icons" in text
    assert {"metrics", "baselines", "settings", "sweeps"} <= json.loads(Path(scored["path"].value).read_text()).keys()

    run_id = json.loads((checkpoint.parent / "mlflow_run.json").read_text())["run_id"]
    logged = {artifact.path for artifact in Tracking.of(Store(tmp_path)).client.list_artifacts(run_id, "evaluation")}
    assert {"evaluation/report.html", "evaluation/metrics.json", "evaluation/sample_grid.png"} <= logged
    address = scored["report"].value  # as a link
    assert f"/runs/{run_id}/artifacts/evaluation/report.html" in address and address == grid["report"].value

"""A user's mistake gives one line; a problem of one icon stops only that icon."""

import dagster as dg
import pytest

from tests.pipelines.conftest import ICONS, failure_line, metadata

PREPARE = ["icons/mine", "normalized_icons", "captions", "caption_embeddings", "duplicates", "splits", "icon_dataset"]


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {f"{c.asset_key.to_user_string()}:{c.check_name}": c for c in result.get_asset_check_evaluations()}


def test_a_corrupt_png_is_quarantined_with_its_reason_and_the_rest_continues(project):
    broken, empty, *_ = sorted(project.icons.glob("*.png"))
    broken.write_bytes(broken.read_bytes()[:100])
    empty.write_bytes(b"")
    result = project.run(assets=PREPARE)
    assert result.success
    assert metadata(result, "icons/mine")["quarantined"] == 2
    assert metadata(result, "icon_dataset")["icons"] == ICONS - 2

    check = _checks(result)["icons/mine:decodes"]
    assert not check.passed and check.severity is dg.AssetCheckSeverity.WARN
    reasons = {record.data["id"]: record.data["reason"] for record in check.metadata["reasons"].value.records}
    assert set(reasons) == {f"mine/{broken.stem}", f"mine/{empty.stem}"}
    assert "empty file" in reasons[f"mine/{empty.stem}"]


def test_a_source_without_one_good_image_stops_what_follows(project):
    for path in project.icons.glob("*.png"):
        path.write_bytes(b"not an image")
    result = project.run(assets=PREPARE)
    assert not result.success
    check = _checks(result)["icons/mine:decodes"]
    assert not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
    assert {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()} == {"icons/mine"}


def test_a_missing_captions_column_gives_one_line(project):
    captions = project.icons / "captions.csv"
    captions.write_text(captions.read_text().replace("file,name,keywords", "file,title,keywords", 1))
    result = project.run(assets=PREPARE)
    assert not result.success
    line = failure_line(result, "icons__mine")
    assert str(captions) in line and "name" in line and "title" in line and "\n" not in line


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ({"name": "nonsense"}, "recipe 'nonsense': no such recipe; there are"),
        ({"overrides": ["training.stepps=3"]}, "training.stepps: unknown field"),
        ({"overrides": ["training.steps=none"]}, "training.steps"),
    ],
)
def test_a_wrong_recipe_gives_one_line(project, recipe, says):
    assert project.run(assets=["icons/mine"]).success
    result = project.run(assets=["normalized_icons"], config={"resources": {"recipe": {"config": recipe}}})
    assert not result.success
    line = failure_line(result, "normalized_icons")
    assert says in line and "\n" not in line


def test_a_file_that_was_changed_behind_dagsters_back_gives_one_line(project):
    assert project.run(assets=["icons/mine"]).success
    (table,) = project.store.icons("mine").glob("*.parquet")
    table.write_bytes(b"something else")
    result = project.run(assets=["normalized_icons"])
    assert not result.success
    assert "changed since asset 'icons/mine' wrote it; materialize 'icons/mine' again" in failure_line(result, "normalized_icons")


@pytest.mark.slow
def test_the_gate_keeps_a_bad_model_out_of_the_registry_but_shows_what_it_draws(project):
    project.write_recipe(evaluation={"gate": {"rules": [{"metric": "retrieval_top1_all", "split": "train", "min": 1.0}]}})
    result = project.run()
    assert not result.success
    check = _checks(result)["gate_decision:meets_thresholds"]
    assert not check.passed and check.blocking and "must be at least 1" in check.description
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert {"evaluation", "sample_grid"} <= made and "registered_model" not in made


@pytest.mark.slow
def test_a_broken_mlflow_store_gives_one_line_before_the_training_begins(project):
    database = project.store.root / "mlflow" / "mlflow.db"
    database.write_text("this is not a database, it only pretends to be one" * 20)
    result = project.run()
    assert not result.success
    line = failure_line(result, "flow_checkpoint")
    assert str(database) in line and "not a SQLite database" in line and "\n" not in line
    assert not list(project.store.trainings.glob("*/*.safetensors"))

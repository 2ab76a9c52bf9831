"""The comparison of networks, as a job: a table, an image, and a run of its own in MLflow for each network."""

import numpy as np
import pytest
from PIL import Image

from flowmodel.files import read_json, sha256_file
from flowmodel.registry.tracking import Tracking
from pipelines.reporting import MAX_INLINE
from tests.pipelines.conftest import address, metadata

pytestmark = pytest.mark.slow

NETWORKS = ["Grayscale CNN, 3 layers", "U-Net in RGB, no alpha", "U-Net in RGBA", "U-Net without attention", "DiT, a transformer"]
OPS = {"architecture_comparison": {"config": {"steps": 10}}}


@pytest.fixture(scope="module")
def config(shared_project):
    return {"ops": OPS, "resources": {"recipe": {"config": {"name": str(shared_project.root / "recipe.yaml")}}}}


@pytest.fixture(scope="module")
def compared(shared_project, config):
    return shared_project.run("compare_architectures", config=config)


@pytest.fixture(scope="module")
def shown(compared):
    return metadata(compared, "architecture_comparison")


def _nested(shared_project, shown) -> tuple:
    """The parent's run, and its children's."""
    client = Tracking.of(shared_project.store).client
    parent = client.get_run(address(shown["mlflow_run"]).rpartition("/")[2].partition("?")[0])
    filter_ = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return parent, client.search_runs([parent.info.experiment_id], filter_)


def test_it_trains_five_networks_and_releases_none(compared, shared_project):
    assert compared.success
    made = {event.asset_key.to_user_string() for event in compared.get_asset_materialization_events()}
    assert made == {"architecture_comparison"}
    assert (
        not shared_project.store.released.exists() and Tracking.of(shared_project.store).client.search_registered_models() == []
    )


def test_the_table_has_a_row_a_network_in_dagster_and_on_disk(shown, shared_project):
    assert [record.data["network"] for record in shown["networks"].records] == NETWORKS
    table = read_json(shown["path"])
    rows = {row["slug"]: row for row in table["rows"]}
    assert table["settings"]["steps"] == shown["steps"] == 10
    for row in rows.values():
        assert row["parameters"] > 1000 and row["forward_flops"] > 1e5 and row["images_per_second"] > 0
        assert row["kid_low"] <= row["kid"] <= row["kid_high"] and 0 <= row["top1"] <= 1
    assert [slug for slug, row in rows.items() if row["alpha_iou"] is None] == ["grayscale-cnn", "unet-rgb"]


def test_the_image_shows_real_icons_and_a_row_a_network_of_the_same_captions(shown):
    assert shown["samples"].startswith("![image](data:image/webp;base64,") and len(shown["samples"]) <= MAX_INLINE
    with Image.open(shown["samples file"]) as image:
        assert image.width > 1000 and image.height > 6 * 100
        pixels = np.asarray(image.convert("RGB")).astype(int)
    colorful = (pixels.max(axis=2) - pixels.min(axis=2) > 60).any(axis=1)
    assert colorful[: len(colorful) // 3].any()  # the real icons stand on top


def test_every_network_is_an_mlflow_run_nested_in_the_comparison_s(compared, shown, shared_project):
    parent, children = _nested(shared_project, shown)
    assert parent.info.status == "FINISHED" and "| U-Net in RGBA | rgba |" in parent.data.tags["mlflow.note.content"]
    assert parent.data.tags["dagster_run_id"] == compared.run_id
    reader = Tracking.of(shared_project.store).reader
    files = {f.path for f in reader.list_artifacts(parent.info.run_id, "architecture_comparison")}
    assert {path.rpartition("/")[2] for path in files} == {"comparison.json", "comparison.png"}
    assert len(children) == 5
    for child in children:
        assert child.info.status == "FINISHED" and child.data.params["training.steps"] == "10"
        assert {"training/loss", "evaluation/train/kid", "evaluation/train/retrieval_top1_source"} <= child.data.metrics.keys()


def test_a_second_comparison_trains_nothing_and_says_the_same(compared, shown, shared_project, config):
    again = metadata(shared_project.run("compare_architectures", config=config), "architecture_comparison")
    assert shared_project.data_versions() == {"architecture_comparison": sha256_file(shown["path"])}
    assert again["path"] == shown["path"] and again["mlflow_run"] == shown["mlflow_run"]
    assert len(_nested(shared_project, shown)[1]) == 5


def test_a_recipe_without_unet_fails_in_one_clear_line(shared_project, compared):
    recipe = {"name": "dit", "overrides": ["data.size=16", "network.patch_size=4"]}
    config = {"ops": OPS, "resources": {"recipe": {"config": recipe}}}
    result = shared_project.run("compare_architectures", config=config)
    (failure,) = result.get_step_failure_events()
    assert "recipe 'dit': its network is dit" in failure.step_failure_data.user_failure_data.description

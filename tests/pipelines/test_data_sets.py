"""Data sets of the pipeline and of the command line in one store."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
import yaml

from flowmodel.data.dataset import IconDataset
from flowmodel.data.prepare import prepare
from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_bytes, sha256_file, write_bytes, write_json
from flowmodel.images import decode
from flowmodel.model.checkpoint import FINAL, read_header
from flowmodel.recipes import load_recipe
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.training import loop
from pipelines.artifacts import load_artifact
from tests.pipelines.conftest import RECIPE, Project, failure_line, make_project, write_icons

PREPARED = ["normalized_icons", "captions", "caption_embeddings", "duplicates", "splits", "icon_dataset"]


def _recipe(project: Project, *overrides: str):
    return load_recipe(str(project.root / "recipe.yaml"), overrides)


def _files(root: Path) -> dict[Path, str]:
    return {path: sha256_file(path) for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_command_line_and_the_assets_make_the_same_data_set(project):
    assert project.run(assets=["icons/mine", *PREPARED]).success
    made = load_artifact(project.store, dg.AssetKey("icon_dataset"))
    assert isinstance(made, IconDataset) and project.data_versions()["icon_dataset"] == made.digest
    before = _files(project.store.root)
    assert prepare(_recipe(project), project.store).folder == made.folder
    assert _files(project.store.root) == before, "there was nothing left to make"
    elsewhere = prepare(_recipe(project), Store(project.root / "elsewhere"))
    assert (elsewhere.digest, elsewhere.contents) == (made.digest, made.contents)


def test_an_image_is_decoded_at_most_twice_between_its_source_s_table_and_the_tensor(project, monkeypatch):
    decoded: Counter[str] = Counter()
    original = decode._decode

    def counted(content, expected):
        decoded[sha256_bytes(content)] += 1
        return original(content, expected)

    monkeypatch.setattr(decode, "_decode", counted)
    assert project.run(assets=["icons/mine"]).success
    reading = 1
    on_the_way = Counter({image: count - reading for image, count in decoded.items()})
    decoded.clear()
    assert project.run(assets=PREPARED).success
    assert set(decoded.values()) == {1}, "normalizing decodes each image once, and no check does"
    assert decoded.keys() == on_the_way.keys() and max((on_the_way + decoded).values()) <= 2


@pytest.mark.slow
def test_an_evaluation_and_another_training_break_no_run_between_its_steps(project, monkeypatch):
    """While a run is about to train, two processes evaluate the shipped model and train another recipe on other icons."""
    # The shipped model's names of its icons.
    sources = {"sources": [{"name": "noto", "kind": "folder", "path": "icons", "license": "CC0-1.0"}]}
    (project.root / "sources.yaml").write_text(yaml.safe_dump(sources))
    others = project.root / "others"
    write_icons(others / "icons", count=20)
    (others / "sources.yaml").write_text(yaml.safe_dump(sources))
    other = project.write_recipe_as("other", data={"captions": ["name"], "languages": ["de"], "split": {"seed": 7}})
    report, trained = project.root / "report.html", project.root / "trained"
    evaluating = ["evaluate", "--model", "pretrained", "--icons", "4", "--no-sweeps", "--out", report]
    training = ["train", "--recipe", other, "--sources", others / "sources.yaml", "--out", trained]
    folder_of, before = loop.training_folder, {}

    def meanwhile(*arguments):
        before.update(_files(project.store.root))
        environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
        commands = [[sys.executable, "-m", "flowmodel", *map(str, command)] for command in (evaluating, training)]
        options = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        at_once = [subprocess.Popen(command, **options) for command in commands]
        told = [process.communicate()[0] for process in at_once]
        assert [process.returncode for process in at_once] == [0, 0], told
        return folder_of(*arguments)

    monkeypatch.setattr(loop, "training_folder", meanwhile)
    result = project.run(assets=["icons/noto", *PREPARED, "flow_checkpoint"])
    assert result.success and report.stat().st_size > 10_000
    kept = {path: digest for path, digest in before.items() if path.suffix not in (".lock", ".db")}  # the run writes to its .db
    assert {path: sha256_file(path) for path in kept if path.exists()} == kept
    own = load_artifact(project.store, dg.AssetKey("icon_dataset"))
    made = load_artifact(project.store, dg.AssetKey("flow_checkpoint"))
    headers = [read_header(path) for path in (made.path, trained / FINAL)]
    assert [header.step for header in headers] == [RECIPE["training"]["steps"]] * 2
    datasets = {dataset.digest: dataset for dataset in map(IconDataset.open, project.store.datasets.iterdir())}
    assert len(datasets) == 3, "the run's, the evaluation's and the other training's"
    assert headers[0].dataset_digest == own.digest != headers[1].dataset_digest
    assert set(own.ids) != set(datasets[headers[1].dataset_digest].ids) >= set(headers[1].trained_ids)


def test_leftovers_of_the_former_layout_do_no_harm(project):
    """A store of an earlier release: tables with fixed names, and records that refer to them."""
    old = {
        "icons/mine.parquet": "icons/mine",
        "normalized_icons/icons-16.parquet": "normalized_icons",
        "rgba_tensors/tensors-16.safetensors": "rgba_tensors",
        "captions/captions.parquet": "captions",
        "caption_embeddings/embeddings.parquet": "caption_embeddings",
        "splits/splits.parquet": "splits",
    }
    for file, asset in old.items():
        digest = sha256_file(write_bytes(project.store.root / file, f"{asset} as it was".encode()))
        write_json(project.store.root / "artifacts" / f"{asset}.json", {"path": file, "digest": digest})
    alone = project.run(assets=["flow_checkpoint"])
    assert "asset 'icon_dataset': never materialized" in failure_line(alone, "flow_checkpoint")
    assert project.run(assets=["icons/mine", *PREPARED]).success
    assert all((project.store.root / file).read_bytes() == f"{asset} as it was".encode() for file, asset in old.items())


def test_paths_in_a_list_start_at_the_list_s_own_folder(tmp_path, monkeypatch, prepare_store):
    with dg.instance_for_test() as instance:
        project = make_project(tmp_path / "project", monkeypatch, instance, prepare_store)
        sources = {"sources": [{"name": "mine", "kind": "folder", "path": "../project/icons"}]}
        write_bytes(tmp_path / "lists" / "sources.yaml", yaml.safe_dump(sources).encode())
        monkeypatch.setenv("FLOWMODEL_SOURCES", str(tmp_path / "lists" / "sources.yaml"))
        monkeypatch.chdir(tmp_path)
        assert project.run("ingest").success
        assert prepare(_recipe(project), project.store).icons["origin"].unique().tolist() == ["../project/icons"]
    with pytest.raises(FlowmodelError, match=r"correct its path in sources.yaml \(relative to that file's folder\)"):
        write_bytes(tmp_path / "sources.yaml", yaml.safe_dump(sources).encode())
        prepare(_recipe(project), project.store, tmp_path / "sources.yaml")

"""Registering, the champion, and finding models again."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file, write_bytes
from flowmodel.model.pretrained import pretrained_weights
from flowmodel.recipes.split import Split
from flowmodel.registry.models import recorded_model
from flowmodel.registry.references import resolve_model, versions_of, versions_of_checkpoint
from flowmodel.registry.runs import logged_values
from flowmodel.registry.tracking import Tracking
from flowmodel.store import Store
from tests.registry.conftest import with_header


def test_the_first_model_is_champion_and_draws_pngs_in_a_fresh_process(registered, first, store, capfd):
    result = registered(first)
    assert (result.name, result.version, result.aliases) == ("flowmodel", 1, ("champion",))
    assert result.is_new and result.decision.reason.startswith("there is no champion")
    assert capfd.readouterr() == ("", "")

    script = (
        "import sys, mlflow; model = mlflow.pyfunc.load_model('models:/flowmodel@champion');"
        "first, again = (model.predict(['red heart']) for _ in range(2));"
        "other = model.predict(['red heart'], params={'seed': 1});"
        "assert isinstance(first, list) and first == again != other;"
        "sys.stdout.buffer.write(first[0])"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": store.mlflow_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    drawn = subprocess.run([sys.executable, "-c", script], env=environment, cwd=store.root, capture_output=True, check=True)
    with Image.open(io.BytesIO(drawn.stdout)) as image:
        assert image.format == "PNG" and image.mode == "RGBA" and image.size == (16, 16)
    assert b"WARNING" not in drawn.stderr


def test_the_model_says_what_it_takes_gives_and_needs(registered, first, store):
    registered(first)
    with Tracking.of(store).as_current():
        info = mlflow.models.get_model_info("models:/flowmodel/1")
        folder = Path(mlflow.artifacts.download_artifacts("models:/flowmodel/1"))
        model = mlflow.pyfunc.load_model("models:/flowmodel@champion")
    assert [str(column.type) for column in info.signature.inputs] == ["DataType.string"]
    assert [str(column.type) for column in info.signature.outputs] == ["DataType.binary"]
    assert {param.name: param.default for param in info.signature.params} == {"seed": 0, "steps": 2, "guidance": 2.0}
    assert "red heart" in (folder / "input_example.json").read_text()
    requirements = (folder / "requirements.txt").read_text().split()
    assert all("==" in line and "+" not in line for line in requirements) and "flowmodel" not in str(requirements)
    assert (folder / "code" / "flowmodel" / "model" / "generator.py").is_file()
    assert model.predict(["red heart"])[0].startswith(b"\x89PNG")


def test_a_registered_model_draws_the_same_where_pytorch_cannot_be_imported(registered, recorded, first, store):
    recorded(first)
    with Tracking.of(store).as_current():
        logged = Path(mlflow.artifacts.download_artifacts(recorded(first).uri))
        assert "torch==" in (logged / "requirements.txt").read_text()
        by_torch = mlflow.pyfunc.load_model(str(logged)).predict(["red heart", "pizza"], params={"seed": 3})
    registered(first)
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import mlflow; model = mlflow.pyfunc.load_model('models:/flowmodel@champion')\n"
        "for png in model.predict(['red heart', 'pizza'], params={'seed': 3}): print(png.hex())\n"
        "same = model.predict(['兔子']) == model.predict(['rabbit'])\n"
        "try: model.predict(['ព្រះ'])\n"
        "except mlflow.exceptions.MlflowException as error: print(same, error, file=sys.stderr)"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": store.mlflow_uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=store.root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-2:] == [
        "'兔子' is read as 'rabbit'",
        "True prompt 'ព្រះ': the caption encoder knows none of its words; write it in English",
    ]
    images = [
        [np.asarray(Image.open(io.BytesIO(png))).astype(int) for png in each]
        for each in (by_torch, map(bytes.fromhex, done.stdout.split()))
    ]
    assert np.abs(np.array(images[0]) - np.array(images[1])).mean() < 1
    [requirements] = store.mlflow_artifacts.rglob("requirements.txt")
    names = {line.partition("==")[0] for line in requirements.read_text().split()}
    assert names == {"mlflow-skinny", "numpy", "onnxruntime", "pandas", "pillow", "tokenizers"}


def test_a_logged_model_reads_emoji_and_other_languages_by_tables_of_its_own(recorded, first, store):
    with Tracking.of(store).as_current():
        logged = Path(mlflow.artifacts.download_artifacts(recorded(first).uri))
    script = (
        "import sys, mlflow; model = mlflow.pyfunc.load_model(sys.argv[1]); import flowmodel; print(flowmodel.__file__)\n"
        "for one, other in (('❤️', 'red heart'), ('兔子', 'rabbit')): print(model.predict([one]) == model.predict([other]))"
    )
    command = [sys.executable, "-c", script, str(logged)]
    done = subprocess.run(command, cwd=store.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(logged / "code" / "flowmodel" / "__init__.py"), "True", "True"]


def test_the_run_has_scores_report_recipe_and_grid_also_without_registering(recorded, first):
    run = recorded(first).run
    files = {f.path for folder in ("", "evaluation") for f in run.client.list_artifacts(run.run_id, folder)}
    assert {"recipe.yaml", "evaluation/metrics.json", "evaluation/sample_grid.png"} <= files
    metrics = run.client.get_run(run.run_id).data.metrics
    assert metrics["evaluation/train/kid"] == first.report.metrics[Split.TRAIN].kid
    assert "evaluation/unseen_concept/retrieval_top5_all" in metrics and "evaluation/train/edge_sharpness" in metrics
    assert sum(name.startswith("evaluation/") for name in metrics) <= 23
    assert logged_values(run.tracking, run.run_id, "evaluation/metrics.json") == first.report.as_json()
    assert not run.client.search_registered_models()


def test_a_file_of_the_store_lies_once_in_it_and_can_be_logged_again(recorded, first, store):
    run, page = recorded(first).run, store.file("evaluation", "page.html")
    for content in (b"one", b"one", b"two"):
        write_bytes(page, content)
        run.log_file(page, "evaluation")
        run.log_file(page, "evaluation")
        [logged] = store.mlflow_artifacts.rglob("page.html")
        assert logged.samefile(page) and logged.read_bytes() == content
        write_bytes(page, b"made again")
        assert logged.read_bytes() == content


def test_the_description_of_a_run_has_its_headlines_its_samples_and_a_link_to_the_report(recorded, first):
    run = recorded(first).run
    words = run.client.get_run(run.run_id).data.tags["mlflow.note.content"]
    assert "| Trained icons, 24 |" in words and "| KID |" in words
    assert f"](get-artifact?path=evaluation%2Fsample_grid.png&run_uuid={run.run_id})" in words


def test_an_evaluation_leaves_a_logged_model_with_its_metrics_data_set_and_tags(recorded, first, prepared):
    model = recorded(first)
    client = model.run.client
    logged = client.get_logged_model(model.model_id)
    assert logged.status == "READY" and logged.source_run_id == model.run.run_id
    metrics = {metric.key: metric for metric in logged.metrics}
    kid = metrics["evaluation/train/kid"]
    assert kid.value == first.report.metrics[Split.TRAIN].kid and kid.step == 30
    assert (kid.dataset_name, kid.dataset_digest) == ("icon_dataset", prepared.dataset.digest[:36])
    on_these_data = client.search_logged_models(
        [logged.experiment_id],
        "metrics.`evaluation/train/kid` > 0",
        datasets=[{"dataset_name": "icon_dataset", "dataset_digest": prepared.dataset.digest[:36]}],
    )
    assert [each.model_id for each in on_these_data] == [model.model_id]
    assert [out.model_id for out in client.get_run(model.run.run_id).outputs.model_outputs] == [model.model_id]
    expected = {"size": "16", "styles": "noto", "licenses": "Apache-2.0", "redistributable": "true", "recipe": "tiny"}
    assert expected.items() <= logged.tags.items()
    assert logged.tags["checkpoint_digest"] == first.checkpoint.digest
    assert logged.tags["dataset_digest"] == prepared.dataset.digest and len(logged.tags["recipe_digest"]) == 64


def test_the_weights_are_uploaded_once_whatever_follows(recorded, registered, first, store):
    model = recorded(first)
    assert recorded(first).model_id == model.model_id
    assert registered(first).is_new
    registered(first)
    uploaded = [path for path in store.mlflow_artifacts.rglob("*") if path.is_file() and path.suffix == ".safetensors"]
    assert [sha256_file(path) for path in uploaded] == [first.checkpoint.digest]
    version = Tracking.of(store).reader.get_model_version("flowmodel", "1")
    assert version.source == model.uri
    assert version.tags["size"] == model.tags["size"] == "16" and version.tags["top1"] == model.tags["retrieval_top1_all"]
    (same,) = versions_of_checkpoint(Tracking.of(store), "flowmodel", first.checkpoint.digest)
    assert str(same.version) == "1"
    assert versions_of_checkpoint(Tracking.of(store), "flowmodel", "0" * 64) == []


def test_a_refused_model_has_its_logged_model_and_no_version(recorded, registered, first, store, tmp_path):
    strict = with_header(
        first, tmp_path / "strict", gate={"rules": [{"metric": "retrieval_top1_all", "split": "train", "min": 1.0}]}
    )
    with pytest.raises(FlowmodelError, match="not good enough"):
        registered(strict)
    tracking = Tracking.of(store)
    assert recorded_model(tracking, strict.checkpoint).model_id == recorded(strict).model_id
    assert versions_of(tracking, "flowmodel") == []


def test_a_report_of_another_checkpoint_is_refused(registered, first, second):
    with pytest.raises(FlowmodelError, match="of another checkpoint; evaluate this one first"):
        registered(replace(second, report=first.report))


def test_the_same_checkpoint_keeps_its_version(registered, first, store):
    before = registered(first)
    again = registered(first)
    assert not again.is_new and again.version == 1 and again.decision == before.decision
    client = Tracking.of(store).client
    assert len(client.search_model_versions("name = 'flowmodel'")) == 1
    assert len(client.get_metric_history(again.run_id, "evaluation/train/kid")) == 1


def test_references_lead_to_the_checkpoint(registered, first, second, store):
    registered(first)
    registered(second)
    digests = {1: first.checkpoint.digest, 2: second.checkpoint.digest}
    for reference, version in {
        None: 1,
        "models:/flowmodel@champion": 1,
        "models:/flowmodel@challenger": 2,
        "models:/flowmodel/1": 1,
        "models:/flowmodel/2": 2,
    }.items():
        assert resolve_model(store, reference).digest == digests[version]
    for unknown in ("models:/flowmodel/7", "models:/flowmodel@best"):
        with pytest.raises(FlowmodelError) as caught:
            resolve_model(store, unknown)
        message = str(caught.value)
        assert "\n" not in message and f"model '{unknown}': not in MLflow store" in message
        assert "there are models:/flowmodel/1, models:/flowmodel/2, models:/flowmodel@challenger" in message
    with pytest.raises(FlowmodelError, match="no model 'other' is registered"):
        resolve_model(store, "models:/other@champion")


def test_paths_need_no_registry(first, tmp_path):
    store = Store(tmp_path / "nothing")
    assert resolve_model(store, str(first.checkpoint)).path == first.checkpoint.path
    for bad, reason in {"nowhere.safetensors": "no such file", "models:/flowmodel": "not a model reference"}.items():
        with pytest.raises(FlowmodelError, match=reason):
            resolve_model(store, bad)
    assert not store.root.exists()


def test_without_any_model_it_is_the_shipped_one(store, tmp_path):
    for empty in (store, Store(tmp_path / "nothing")):
        found = {resolve_model(empty, reference).path for reference in (None, "pretrained")}
        assert found == {pretrained_weights().path}
        with pytest.raises(FlowmodelError, match="no model is registered yet; run `make quickstart`"):
            resolve_model(empty, "models:/flowmodel@champion")
    assert not (tmp_path / "nothing").exists()

"""The MLflow run of a training: found again by every later step, also after a crash.

Its id lies beside the checkpoints, in `mlflow_run.json`.
"""

import json
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from PIL import Image

from flowmodel.data.dataset import IconDataset
from flowmodel.data.manifest import licence_table
from flowmodel.data.terms import Terms
from flowmodel.files import read_json, write_json
from flowmodel.registry.tracking import connect, experiment_id, readable_errors, ui_address
from flowmodel.store import PROJECT_ROOT, Store

RUN_FILE = "mlflow_run.json"
PARENT = "mlflow.parentRunId"  # the tag that nests a run in another
# Folder of an evaluation's artifacts and prefix of its scores: `validation/…` without it are curves of the training.
EVALUATION = "evaluation"
GRID_KEY = "grid"
MANIFEST = "data/manifest.csv"
LICENCES = "data/licences.csv"

_MAX_DATASET_DIGEST = 36  # MLflow's limit; a SHA-256 has 64 digits
_GRID_STEP = re.compile(rf"{GRID_KEY}[+%]step[+%](\d+)[+%]")


@dataclass(frozen=True)
class TrainingRun:
    """Writes to one run; what is already there is not written twice. Every method raises FlowmodelError when MLflow fails."""

    store: Store
    client: mlflow.MlflowClient
    run_id: str
    experiment_id: str

    @classmethod
    def open(cls, store: Store, folder: Path, name: str, tags: Mapping[str, str] | None = None) -> "TrainingRun":
        """Continue the run of the training in `folder`, or begin one called `name` where there is none (any more)."""
        client = connect(store)
        with readable_errors(store):
            run = _find(client, folder)
            if run is None:
                run = client.create_run(experiment_id(client, store), run_name=name, tags=_source_tags())
                write_json(folder / RUN_FILE, {"run_id": run.info.run_id})
            opened = cls(store, client, run.info.run_id, run.info.experiment_id)
            # What is known of its origin stays: a later visitor that trains nothing is not where it came from.
            new = {key: value for key, value in (tags or {}).items() if key not in run.data.tags}
            opened._log_batch(tags=[RunTag(key, value) for key, value in new.items()])
        return opened

    @property
    def url(self) -> str:
        """The run's page in the MLflow UI."""
        return self._page()

    def artifact_url(self, name: str) -> str:
        """The page of the MLflow UI that shows the artifact `name`, such as `evaluation/report.html`."""
        return self._page(f"/artifacts/{name}")

    def _page(self, part: str = "") -> str:
        """Among the pages for training: by itself MLflow opens those for language models."""
        page = f"{ui_address(self.store)}/#/experiments/{self.experiment_id}/runs/{self.run_id}{part}"
        return f"{page}?workflowType=machine_learning"

    def set_status(self, status: str) -> None:
        """RUNNING, FINISHED, FAILED or KILLED."""
        with readable_errors(self.store):
            if status == "RUNNING":
                self.client.update_run(self.run_id, status)
            else:
                self.client.set_terminated(self.run_id, status)

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Nested mappings become dotted names. MLflow forbids to change a parameter, so the first value stays."""
        with readable_errors(self.store):
            known = self._run().data.params
            new = {name: value for name, value in _flatten(parameters).items() if name not in known}
            self._log_batch(params=[Param(name, _text(value)) for name, value in new.items()])

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        self._log_batch(metrics=[Metric(name, float(value), now, step) for name, value in metrics.items()])

    def log_final_metrics(self, metrics: Mapping[str, Any], step: int) -> None:
        """Like :meth:`log_metrics`, for nested mappings; unchanged values are not written again."""
        with readable_errors(self.store):
            known = self._run().data.metrics
        flat = _flatten(metrics, separator="/")
        self.log_metrics({name: value for name, value in flat.items() if known.get(name) != value}, step)

    def log_tags(self, tags: Mapping[str, str]) -> None:
        self._log_batch(tags=[RunTag(name, value) for name, value in tags.items()])

    def last_step(self, metric: str) -> int:
        """The highest step at which `metric` was logged; 0 where it never was."""
        with readable_errors(self.store):
            return max((point.step for point in self.client.get_metric_history(self.run_id, metric)), default=0)

    def history(self, metric: str) -> list[float]:
        """All values of `metric`, by step; empty where it was never logged."""
        with readable_errors(self.store):
            points = self.client.get_metric_history(self.run_id, metric)
        return [point.value for point in sorted(points, key=lambda point: point.step)]

    def log_grid(self, step: int, grid: Image.Image) -> None:
        """Shown in the UI with a slider over the steps."""
        with readable_errors(self.store):
            self.client.log_image(self.run_id, grid, key=GRID_KEY, step=step)

    def grid_steps(self) -> set[int]:
        with readable_errors(self.store):
            images = self.client.list_artifacts(self.run_id, "images")
        return {int(match[1]) for image in images if (match := _GRID_STEP.search(image.path))}

    def log_file(self, path: Path, folder: str) -> None:
        with readable_errors(self.store):
            self.client.log_artifact(self.run_id, str(path), folder)

    def log_values(self, values: Mapping[str, Any], name: str) -> None:
        """As an artifact: JSON or YAML, by the suffix of `name`."""
        with readable_errors(self.store):
            self.client.log_dict(self.run_id, dict(values), name)

    def log_picture(self, path: Path, name: str) -> None:
        """As an artifact; unlike grids it has no step."""
        with readable_errors(self.store), Image.open(path) as picture:
            self.client.log_image(self.run_id, picture, artifact_file=name)

    def log_dataset(self, dataset: IconDataset, trained_ids: tuple[str, ...], terms: tuple[Terms, ...] = ()) -> None:
        """The data set, under the digest that is its data version in Dagster; and which icon came from where under which licence,
        as `data/manifest.csv`, `data/licences.csv` and tags.

        `terms` are those of everything that has shaped the weights, also of what the initial ones had been trained on.
        MLflow keeps 36 characters of a digest; the whole one is in the dataset's tag `sha256`.
        """
        logged = _dataset("icon_dataset", dataset.digest, dataset.folder, {"icons": len(trained_ids)})
        manifest = dataset.manifest(trained_ids)
        licences = licence_table(manifest, terms)
        with readable_errors(self.store):
            self.client.log_inputs(self.run_id, datasets=[logged])
            self.client.log_text(self.run_id, manifest.to_csv(index=False), MANIFEST)
            self.client.log_text(self.run_id, licences.to_csv(index=False), LICENCES)
        self.log_tags(
            {
                "licences": ", ".join(sorted(set(licences["licence"]) - {""})) or "unknown",
                "redistributable": str(bool(licences["redistributable"].all())).lower(),
            }
        )

    def _run(self) -> Run:
        return self.client.get_run(self.run_id)

    def _log_batch(self, metrics: Sequence[Metric] = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = ()) -> None:
        if metrics or params or tags:
            with readable_errors(self.store):
                self.client.log_batch(self.run_id, metrics, params, tags)


def _find(client: mlflow.MlflowClient, folder: Path) -> Run | None:
    record = folder / RUN_FILE
    if not record.exists():
        return None
    try:
        run = client.get_run(read_json(record)["run_id"])
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None  # another MLflow store, or a new one
    return run if run.info.lifecycle_stage == "active" else None


def _dataset(name: str, digest: str, path: Path, profile: Mapping[str, int] | None = None) -> DatasetInput:
    dataset = Dataset(
        name=name,
        digest=digest[:_MAX_DATASET_DIGEST],
        source_type="local",
        source=json.dumps({"uri": str(path)}),
        profile=json.dumps(profile) if profile else None,
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training"), InputTag("sha256", digest)])


def _source_tags() -> dict[str, str]:
    """The git commit of this code; nothing where it is not a checkout."""
    command = ["git", "-C", str(PROJECT_ROOT), "rev-parse", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"mlflow.source.git.commit": commit, "git_commit": commit}


def _flatten(values: Mapping[str, Any], separator: str = ".", prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, separator, f"{prefix}{name}{separator}")
        else:
            flat[prefix + name] = value
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

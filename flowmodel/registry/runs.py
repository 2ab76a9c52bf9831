"""The MLflow run of a training, which every later step finds again, also after a crash.

Its id is stored next to the checkpoints in `mlflow_run.json`.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from PIL import Image

from flowmodel.data.dataset import IconDataset
from flowmodel.data.manifest import license_table
from flowmodel.data.terms import Terms
from flowmodel.files import read_json, write_json
from flowmodel.model.checkpoint import FinisherHeader
from flowmodel.registry.names import RUN_FILE
from flowmodel.registry.origin import source_tags
from flowmodel.registry.runs_view import TRAINING_PAGES
from flowmodel.registry.tracking import NotFound, Tracking

PARENT = "mlflow.parentRunId"  # the tag that nests a run in another
# Folder of an evaluation's artifacts and prefix of its scores; `validation/…` without it are training curves.
EVALUATION = "evaluation"
GRID_FILE, GRID_PREVIEW = "sample_grid.png", "sample_grid_preview.png"  # in that folder
FOLDER = "training_folder"  # tag: folder of the training, relative to the store
DESCRIPTION = "mlflow.note.content"
GRID_KEY = "grid"
DATASET = "icon_dataset"
FINISHER_DIGEST = "finisher_digest"
MANIFEST = "data/manifest.csv"
LICENSES = "data/licenses.csv"

_MAX_DATASET_DIGEST = 36  # MLflow's limit; a SHA-256 has 64 digits
_GRID_STEP = re.compile(rf"{GRID_KEY}[+%]step[+%](\d+)[+%]")


@dataclass(frozen=True)
class TrainingRun:
    """Writes to one run, without duplicates. Every method raises FlowmodelError when MLflow fails."""

    tracking: Tracking
    run_id: str
    experiment_id: str

    @classmethod
    def open(cls, tracking: Tracking, folder: Path, name: str, tags: Mapping[str, str] | None = None) -> "TrainingRun":
        """Continue the run of the training in `folder`, or begin one called `name` if there is none."""
        with tracking.errors():
            run = _find(tracking, folder)
            if run is None:
                origin = source_tags() | dict(tags or {}) | {FOLDER: _folder_name(tracking, folder)}
                run = tracking.client.create_run(tracking.experiment_id, run_name=name, tags=origin)
                write_json(folder / RUN_FILE, {"run_id": run.info.run_id})
            opened = cls(tracking, run.info.run_id, run.info.experiment_id)
            # The recorded origin is kept, because later steps that do not train are not the origin.
            new = {key: value for key, value in (tags or {}).items() if key not in run.data.tags}
            opened._log_batch(tags=[RunTag(key, value) for key, value in new.items()])
        return opened

    @property
    def client(self) -> mlflow.MlflowClient:
        return self.tracking.client

    @property
    def url(self) -> str:
        """The run's page in the MLflow UI."""
        return self._page()

    def artifact_url(self, name: str) -> str:
        """The page of the MLflow UI that shows the artifact `name`, such as `evaluation/report.html`."""
        return self._page(f"/artifacts/{name}")

    def _page(self, part: str = "") -> str:
        return f"{self.tracking.ui_address}/{self.relative_page(part)}"

    def relative_page(self, part: str = "") -> str:
        """The relative address of a page of the run, for links within the MLflow UI at any host and port."""
        return f"#/experiments/{self.experiment_id}/runs/{self.run_id}{part}?{TRAINING_PAGES}"

    def relative_artifact(self, name: str) -> str:
        """The relative address of the artifact itself, for links within the MLflow UI."""
        return f"get-artifact?{urlencode({'path': name, 'run_uuid': self.run_id})}"

    def artifact_address(self, name: str) -> str:
        """The absolute address of the artifact itself, for other pages."""
        return f"{self.tracking.ui_address}/{self.relative_artifact(name)}"

    def describe(self, markdown: str) -> None:
        """Shown on the run's page."""
        self.log_tags({DESCRIPTION: markdown})

    def set_status(self, status: str) -> None:
        """RUNNING, FINISHED, FAILED or KILLED."""
        with self.tracking.errors():
            if status == "RUNNING":
                self.client.update_run(self.run_id, status)
            else:
                self.client.set_terminated(self.run_id, status)

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Log parameters; nested mappings become dotted names. The first value is kept, as MLflow requires."""
        with self.tracking.errors():
            known = self._run().data.params
            new = {name: value for name, value in _flatten(parameters).items() if name not in known}
            self._log_batch(params=[Param(name, _text(value)) for name, value in new.items()])

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp: int | None = None) -> None:
        """`timestamp` is the time of measurement in milliseconds, by default now. Logging the same values again changes
        nothing.
        """
        now = timestamp or int(time.time() * 1000)
        self._log_batch(metrics=[Metric(name, float(value), now, step) for name, value in metrics.items()])

    def log_final_metrics(
        self, metrics: Mapping[str, float], step: int, model_id: str | None = None, dataset_digest: str | None = None
    ) -> None:
        """Like :meth:`log_metrics`; unchanged values are not written again.

        If given, they are linked to the logged model `model_id` and to the data set.
        """
        with self.tracking.errors():
            if model_id:
                known = {metric.key: metric.value for metric in self.client.get_logged_model(model_id).metrics or ()}
            else:
                known = self._run().data.metrics
        new = {name: value for name, value in metrics.items() if known.get(name) != value}
        where = {"model_id": model_id, "run_id": self.run_id}
        if dataset_digest:
            where |= {"dataset_name": DATASET, "dataset_digest": dataset_digest[:_MAX_DATASET_DIGEST]}
        now = int(time.time() * 1000)
        self._log_batch(metrics=[Metric(name, value, now, step, **where) for name, value in new.items()])

    def log_finisher(self, finisher: FinisherHeader) -> None:
        """Log the loss of its training as a curve and its digest as a tag, once per training."""
        with self.tracking.errors():
            known = self._run().data.tags.get(FINISHER_DIGEST)
        if known != finisher.digest:
            for step, loss in finisher.curve:
                self.log_metrics({"finisher/loss": loss}, step)
            self.log_tags({FINISHER_DIGEST: finisher.digest})

    def log_tags(self, tags: Mapping[str, str]) -> None:
        self._log_batch(tags=[RunTag(name, value) for name, value in tags.items()])

    def last_step(self, metric: str) -> int:
        """The highest step at which `metric` was logged; 0 if it never was."""
        with self.tracking.errors():
            return max((point.step for point in self.client.get_metric_history(self.run_id, metric)), default=0)

    def history(self, metric: str) -> list[float]:
        """All values of `metric` by step; empty if it was never logged."""
        with self.tracking.errors():
            points = self.client.get_metric_history(self.run_id, metric)
        return [point.value for point in sorted(points, key=lambda point: point.step)]

    def log_grid(self, step: int, grid: Image.Image) -> None:
        """Log an image that the UI shows with a slider over the steps."""
        with self.tracking.errors():
            self.client.log_image(self.run_id, grid, key=GRID_KEY, step=step)

    def grid_steps(self) -> set[int]:
        with self.tracking.errors():
            images = self.client.list_artifacts(self.run_id, "images")
        return {int(match[1]) for image in images if (match := _GRID_STEP.search(image.path))}

    def log_file(self, path: Path, folder: str) -> None:
        with self.tracking.errors():
            self.client.log_artifact(self.run_id, str(path), folder)
            location = str(self.client.get_run(self.run_id).info.artifact_uri)
        self.tracking.share(location, f"{folder}/{path.name}", path)

    def log_values(self, values: Mapping[str, Any], name: str) -> None:
        """Log values as a JSON or YAML artifact, by the suffix of `name`."""
        with self.tracking.errors():
            self.client.log_dict(self.run_id, dict(values), name)

    def log_image(self, path: Path, name: str, width: int | None = None) -> None:
        """Log an image as an artifact, scaled to `width` pixels if given; unlike grids it has no step."""
        with self.tracking.errors(), Image.open(path) as image:
            shown = image.resize((width, round(image.height * width / image.width))) if width else image
            self.client.log_image(self.run_id, shown, artifact_file=name)

    def log_dataset(self, dataset: IconDataset, trained_ids: tuple[str, ...], terms: tuple[Terms, ...] = ()) -> None:
        """Log the data set under its digest, which is also its data version in Dagster, and the origin and license of each icon
        as `data/manifest.csv`, `data/licenses.csv` and tags.

        `terms` include those of the data of the initial weights. MLflow keeps 36 characters of a digest; the whole digest is in
        the dataset's tag `sha256`.
        """
        logged = self._dataset(dataset, {"icons": len(trained_ids)})
        manifest = dataset.manifest(trained_ids)
        licenses = license_table(manifest, terms)
        with self.tracking.errors():
            self.client.log_inputs(self.run_id, datasets=[logged])
            self.client.log_text(self.run_id, manifest.to_csv(index=False), MANIFEST)
            self.client.log_text(self.run_id, licenses.to_csv(index=False), LICENSES)
        self.log_tags(
            {
                "licenses": ", ".join(sorted(set(licenses["license"]) - {""})) or "unknown",
                "redistributable": str(bool(licenses["redistributable"].all())).lower(),
            }
        )

    def _dataset(self, dataset: IconDataset, profile: Mapping[str, int]) -> DatasetInput:
        entity = Dataset(
            name=DATASET,
            digest=dataset.digest[:_MAX_DATASET_DIGEST],
            source_type="local",
            source=json.dumps({"uri": self.tracking.store.relative(dataset.folder)}),
            profile=json.dumps(profile),
        )
        return DatasetInput(entity, [InputTag("mlflow.data.context", "training"), InputTag("sha256", dataset.digest)])

    def _run(self) -> Run:
        return self.client.get_run(self.run_id)

    def _log_batch(self, metrics: Sequence[Metric] = (), params: Sequence[Param] = (), tags: Sequence[RunTag] = ()) -> None:
        if metrics or params or tags:
            with self.tracking.errors():
                self.client.log_batch(self.run_id, metrics, params, tags)


def logged_values(tracking: Tracking, run_id: str, name: str) -> dict[str, Any]:
    """The JSON artifact `name` of that run. Raises NotFound when it doesn't exist, FlowmodelError when MLflow can't be asked."""
    with tracking.errors(), TemporaryDirectory(prefix="flowmodel-") as folder:
        address = tracking.reader.get_run(run_id).info.artifact_uri
        values: dict[str, Any] = read_json(tracking.fetch(address, name, Path(folder)))
    return values


def _find(tracking: Tracking, folder: Path) -> Run | None:
    record = folder / RUN_FILE
    if not record.exists():
        return _adopt(tracking, folder)
    try:
        with tracking.errors():
            run = tracking.client.get_run(read_json(record)["run_id"])
    except NotFound:
        return None  # another MLflow store, or a new one
    return run if run.info.lifecycle_stage == "active" else None


def _adopt(tracking: Tracking, folder: Path) -> Run | None:
    """The run of a process that died between creating it and storing its id."""
    wanted = f"tags.{FOLDER} = '{_folder_name(tracking, folder)}' and attributes.status = 'RUNNING'"
    with tracking.errors():
        found = tracking.client.search_runs([tracking.experiment_id], wanted, max_results=1)
    if not found:
        return None
    write_json(folder / RUN_FILE, {"run_id": found[0].info.run_id})
    return found[0]


def _folder_name(tracking: Tracking, folder: Path) -> str:
    return tracking.store.relative(folder).replace("'", "_")


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

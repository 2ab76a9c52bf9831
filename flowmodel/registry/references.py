"""From what a person writes after `--model` to a checkpoint file. MLflow is imported only where the registry is asked."""

import atexit
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from flowmodel.errors import FlowmodelError
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.pretrained import PRETRAINED, pretrained_weights
from flowmodel.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_NAME = "flowmodel"
CHALLENGER, CHAMPION = "challenger", "champion"

_FORMS = f"a .safetensors file, models:/NAME@alias, models:/NAME/VERSION or {PRETRAINED}"
_REFERENCE = re.compile(r"models:/([^/@]+)(?:@([^/@]+)|/([0-9]+))")


class _NothingRegistered(FlowmodelError):
    """The store has no model at all."""


def resolve_model(store: Store, reference: str | None) -> Checkpoint:
    """Checkpoint of `reference`: a path, `models:/NAME@alias`, `models:/NAME/VERSION`, or `pretrained` for the shipped
    weights. None is the champion, and the shipped weights where nothing is registered yet.

    Raises FlowmodelError that says what there is when nothing answers to the reference.
    """
    if reference is None:
        try:
            return _from_registry(store, MODEL_NAME, CHAMPION, None)
        except _NothingRegistered:
            return pretrained_weights()
    if reference == PRETRAINED:
        return pretrained_weights()
    if match := _REFERENCE.fullmatch(reference):
        return _from_registry(store, *match.groups())
    if reference.startswith("models:"):
        raise FlowmodelError(f"model '{reference}': not a model reference; give {_FORMS}")
    if not Path(reference).is_file():
        raise FlowmodelError(f"model '{reference}': no such file; give {_FORMS}")
    return Checkpoint.open(Path(reference))


def _from_registry(store: Store, name: str, alias: str | None, version: str | None) -> Checkpoint:
    from flowmodel.registry.tracking import connect, readable_errors, shown_uri, sqlite_file

    database = sqlite_file(store)
    nothing = _NothingRegistered(
        f"MLflow store {shown_uri(store)}: no model is registered yet; run `make quickstart`, or give the path of a checkpoint"
    )
    if database is not None and not database.exists():  # looking for a model is no reason to make a store
        raise nothing
    client = connect(store)
    with readable_errors(store):
        models = {model.name: model for model in client.search_registered_models()}
        versions = {name: {v.version for v in client.search_model_versions(f"name = '{name}'")} for name in models}
        if not any(versions.values()):
            raise nothing
        chosen = models[name].aliases.get(alias) if alias and name in models else version
        if chosen is None or str(chosen) not in {str(v) for v in versions.get(name, set())}:
            wanted = f"models:/{name}@{alias}" if alias else f"models:/{name}/{version}"
            there = [f"models:/{n}/{v}" for n in models for v in sorted(versions[n], key=int)]
            there += [f"models:/{n}@{a}" for n in models for a in sorted(models[n].aliases)]
            raise FlowmodelError(f"model '{wanted}': not in MLflow store {shown_uri(store)}; there are {', '.join(there)}")
        checkpoint = checkpoint_of_version(name, str(chosen))
    if checkpoint is None:
        raise FlowmodelError(f"model 'models:/{name}/{chosen}': its checkpoint is gone from MLflow; choose or register another")
    return checkpoint


def checkpoint_of_version(name: str, version: str) -> Checkpoint | None:
    """The version's checkpoint where MLflow keeps it on this machine, else a copy until the process ends; None if it is gone."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    copy = None
    if mlflow.get_tracking_uri().startswith("http"):
        copy = tempfile.mkdtemp(prefix="flowmodel-")
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=copy))
        artifacts = Model.load(str(folder)).flavors["python_function"]["artifacts"]
    except (OSError, KeyError):
        return None
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    path = folder / artifacts["checkpoint"]["path"]
    return Checkpoint.open(path) if path.is_file() else None


def aliases_of(client: "MlflowClient", name: str) -> dict[str, str]:
    """Version by alias; empty where there is no such model."""
    models = client.search_registered_models(f"name = '{name}'")
    return {alias: str(version) for model in models for alias, version in model.aliases.items()}

"""Resolves the value of `--model` to a checkpoint file.

MLflow is imported only if reading its database is not enough. A lookup asks for one version of one model, however many there are,
and writes nothing.
"""

import atexit
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path, sha256_file
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.model.pretrained import SHIPPED, pretrained_weights
from flowmodel.registry.lookup import has_model, registered_checkpoint
from flowmodel.registry.names import CHAMPION, MODEL_NAME
from flowmodel.store import Store, shown_uri

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from flowmodel.registry.tracking import Tracking

CHECKPOINT_DIGEST = "checkpoint_digest"  # tag of runs and logged models

_FORMS = f"a .safetensors file, models:/NAME@alias, models:/NAME/VERSION, or {', '.join(SHIPPED)}"
_REFERENCE = re.compile(r"models:/([^/@]+)(?:@([^/@]+)|/([0-9]+))")


class NothingRegistered(FlowmodelError):
    """There is no such registered model, or no MLflow database."""


def resolve_model(store: Store, reference: str | None) -> Checkpoint:
    """Checkpoint of `reference`: a path, `models:/NAME@alias`, `models:/NAME/VERSION`, or one of SHIPPED for
    shipped weights. None is the champion, or the shipped weights if nothing is registered.

    Raises FlowmodelError that lists the existing models if the reference matches none, or says why MLflow can't be used.
    """
    if reference is None:
        try:
            return _from_registry(store, MODEL_NAME, CHAMPION, None)
        except NothingRegistered:
            return pretrained_weights()
    if reference in SHIPPED:
        return pretrained_weights(SHIPPED[reference])
    if match := _REFERENCE.fullmatch(reference):
        return _from_registry(store, *match.groups())
    if reference.startswith("models:"):
        raise FlowmodelError(f"model '{reference}': not a model reference; use {_FORMS}")
    if not Path(reference).is_file():
        raise FlowmodelError(f"model '{reference}': no such file; use {_FORMS}")
    return Checkpoint.open(Path(reference))


def _from_registry(store: Store, name: str, alias: str | None, number: str | None) -> Checkpoint:
    if has_model(store, name) is False:
        raise _nothing(shown_uri(store.mlflow_uri), name)
    if (known := registered_checkpoint(store, name, alias, number)) is not None:
        return known
    from flowmodel.registry.tracking import Tracking

    tracking = Tracking.of(store)
    return checkpoint_of(tracking, find_version(tracking, name, alias=alias, number=number))


def find_version(tracking: "Tracking", name: str, *, alias: str | None = None, number: str | None = None) -> "ModelVersion":
    """The version of the model `name` that has the alias or the number.

    Raises:
        NothingRegistered: there is no registered model of that name, or no MLflow database.
        NotFound: the model exists, but has no such version or alias.
        FlowmodelError: MLflow can't be used.
    """
    from mlflow.exceptions import MlflowException

    from flowmodel.registry.tracking import NotFound

    nothing = _nothing(tracking.shown_uri, name)
    try:
        client = tracking.reader
    except NotFound:
        raise nothing from None
    with tracking.errors():
        try:
            return client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, str(number))
        except MlflowException as error:
            # MLflow reports a missing alias as an invalid parameter.
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
        try:
            aliases = client.get_registered_model(name).aliases
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise nothing from None
        # MLflow can't search for a name with both kinds of quotation marks.
        there = [] if {"'", '"'} <= set(name) else versions_of(tracking, name)
    known = [f"models:/{name}/{each.version}" for each in reversed(there)]
    known += [f"models:/{name}@{each}" for each in sorted(aliases)]
    wanted = f"models:/{name}@{alias}" if alias else f"models:/{name}/{number}"
    raise NotFound(f"model '{wanted}': not in MLflow store {tracking.shown_uri}; there are {', '.join(known) or 'no versions'}")


def _nothing(shown: str, name: str) -> NothingRegistered:
    words = "no model is registered yet; run `make quickstart`" if name == MODEL_NAME else f"no model '{name}' is registered"
    return NothingRegistered(f"MLflow store {shown}: {words}, or name the path of a checkpoint")


def versions_of(tracking: "Tracking", name: str) -> "list[ModelVersion]":
    """All versions of the model `name`, newest first.

    Raises NotFound where there is no MLflow database, FlowmodelError when MLflow can't be asked.
    """
    quote = '"' if "'" in name else "'"
    wanted = f"name = {quote}{name}{quote}"
    with tracking.errors():
        found: list[ModelVersion] = []
        token = None
        while True:
            page = tracking.reader.search_model_versions(wanted, page_token=token)
            found += page
            token = page.token
            if not token:
                return sorted(found, key=lambda version: -int(version.version))


def versions_of_checkpoint(tracking: "Tracking", name: str, digest: str) -> "list[ModelVersion]":
    """The versions of :func:`versions_of` whose checkpoint has that SHA-256."""
    from flowmodel.registry.runs_view import EXPERIMENT

    versions = versions_of(tracking, name)
    with tracking.errors():
        experiment = tracking.reader.get_experiment_by_name(EXPERIMENT) if versions else None
        wanted = f"tags.{CHECKPOINT_DIGEST} = '{digest}'"
        logged = tracking.reader.search_logged_models([experiment.experiment_id], wanted) if experiment else []
    sources = {f"models:/{each.model_id}" for each in logged}
    return [version for version in versions if version.source in sources or version.tags.get(CHECKPOINT_DIGEST) == digest]


def model_tags_of(tracking: "Tracking", version: "ModelVersion") -> dict[str, str]:
    """The tags of the logged model of `version`. Earlier releases set them on the version itself.

    Raises NotFound when that model is missing, FlowmodelError when MLflow can't be asked.
    """
    if CHECKPOINT_DIGEST in version.tags:
        return dict(version.tags)
    with tracking.errors():
        return dict(tracking.reader.get_logged_model(str(version.source).removeprefix("models:/")).tags)


def checkpoint_of(tracking: "Tracking", version: "ModelVersion") -> Checkpoint:
    """The version's checkpoint: MLflow's own file if it is on this machine, else a copy in the store, which is named by its
    digest and fetched once.

    Raises:
        NotFound: MLflow reports that it no longer exists.
        FlowmodelError: MLflow can't be used, or the file is not a checkpoint of this project.
    """
    from mlflow.models import Model

    with tracking.errors():
        address = tracking.reader.get_model_version_download_uri(version.name, version.version)
    is_here = tracking.local_path(address) is not None
    digest = None if is_here else model_tags_of(tracking, version).get(CHECKPOINT_DIGEST)
    copy = tracking.store.models / f"{digest}.safetensors"
    if digest and not is_here and copy.is_file() and sha256_file(copy) == digest:
        return Checkpoint.open(copy, digest)
    with tempfile.TemporaryDirectory(prefix="flowmodel-") as folder:
        description = tracking.fetch(address, "MLmodel", Path(folder))
        try:
            name = Model.load(str(description)).flavors["python_function"]["artifacts"]["checkpoint"]["path"]
        except KeyError:
            raise FlowmodelError(
                f"models:/{version.name}/{version.version}: holds no flowmodel checkpoint; name another"
            ) from None
        fetched = tracking.fetch(address, name, Path(folder))
        return Checkpoint.open(fetched) if is_here else _kept(fetched, digest, copy.parent)


def _kept(fetched: Path, digest: str | None, folder: Path) -> Checkpoint:
    """A copy of `fetched` in `folder`, or if that can't be written, a copy that is removed at exit."""
    found = sha256_file(fetched)
    if digest not in (None, found):
        raise FlowmodelError(
            f"{fetched.name}: MLflow returned a file with SHA-256 {found[:12]}…, but {str(digest)[:12]}… was registered; its "
            "artifacts were changed, so choose another version"
        )
    copy = folder / f"{found}.safetensors"
    try:
        with atomic_path(copy) as temporary:
            shutil.copyfile(fetched, temporary)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="flowmodel-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        copy = Path(shutil.copy(fetched, folder / copy.name))
    return Checkpoint.open(copy, found)

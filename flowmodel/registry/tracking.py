"""The MLflow store: one object, created once and passed on, with one-line errors when the store can't be used."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import requests
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path, share
from flowmodel.registry import sqlite
from flowmodel.registry.runs_view import EXPERIMENT, view_tag
from flowmodel.store import Store, shown_uri, unfit_for_addresses

_ANSWER_SECONDS = 5
_VARIABLE = "MLFLOW_TRACKING_URI"

# The second one logs the trace of every database error that it also raises.
for _logger, _level in {
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
    "alembic": logging.WARNING,
}.items():
    logging.getLogger(_logger).setLevel(_level)


class NotFound(FlowmodelError):
    """MLflow reports that the object does not exist, or there is no MLflow store yet."""


@dataclass(frozen=True)
class Tracking:
    """The MLflow store: `client` to write, `reader` to read.

    Reading writes nothing: no database, no experiment, no lock. Both raise FlowmodelError within seconds when MLflow is locked,
    unreachable or missing.

    Attributes:
        store: the store with the artifacts of its own database and with copies from a server.
        uri: address of the MLflow server or database, without a server's credentials.
    """

    store: Store
    uri: str

    @classmethod
    def of(cls, store: Store) -> "Tracking":
        """The MLflow at MLFLOW_TRACKING_URI if set, else the database in `store`."""
        return cls(store, _without_credentials(store.mlflow_uri))

    @cached_property
    def client(self) -> mlflow.MlflowClient:
        """The client for writing. Creates a missing database, and corrects the artifact addresses of a store that was moved."""
        self._require_answer()
        with self.errors():
            if self.database is not None:
                self._make(self.database)
                sqlite.prepare(self.database, self.artifacts if self._is_the_store_s else None)
            return mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @cached_property
    def reader(self) -> mlflow.MlflowClient:
        """The client for reading. Raises NotFound if there is no database file."""
        uri = self.uri
        self._require_answer()
        with self.errors():
            if self.database is not None:
                try:
                    self.database.stat()
                except FileNotFoundError:
                    raise NotFound(f"MLflow store {self.shown_uri}: does not exist yet; `make quickstart` creates it") from None
                sqlite.require_readable(self.database)
                uri = sqlite.read_only_uri(self.database)
            return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)

    @cached_property
    def experiment_id(self) -> str:
        """The id of the experiment `flowmodel`, which is created if it is missing and restored if it was deleted."""
        with self.errors():
            experiment = self.client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                # A server has its own artifact store.
                location = None if self.is_server else self.artifacts.as_uri()
                return self.client.create_experiment(EXPERIMENT, artifact_location=location, tags=dict([view_tag()]))
            if experiment.lifecycle_stage == "deleted":
                self.client.restore_experiment(experiment.experiment_id)
            name, view = view_tag()
            if experiment.tags.get(name) != view:
                self.client.set_experiment_tag(experiment.experiment_id, name, view)
            return experiment.experiment_id

    def _make(self, database: Path) -> None:
        """Create MLflow's tables in a temporary file first, because MLflow never repairs a file with missing tables."""
        if unfit := unfit_for_addresses(database):
            raise FlowmodelError(f"MLflow store {self.uri}: {unfit}")
        if database.exists():
            return
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(database.parent / ".making.lock"):
            if not database.exists():  # no other process was faster
                with atomic_path(database) as temporary:
                    mlflow.MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)

    def _require_answer(self) -> None:
        """Raise FlowmodelError within seconds if a server can't be reached; MLflow would retry for half a minute or more."""
        if self.is_server:
            try:
                # MLflow checks the certificate and the status; a server that is being restarted returns 502 to 504.
                status = requests.get(f"{self.uri.rstrip('/')}/health", timeout=_ANSWER_SECONDS).status_code
            except requests.exceptions.SSLError:
                return
            except requests.exceptions.RequestException:
                status = 503
            if status in (502, 503, 504):
                raise FlowmodelError(self._words("failed with exception"))

    @property
    def artifacts(self) -> Path:
        """The folder of a database's artifacts."""
        return self.store.mlflow_artifacts.resolve()

    @property
    def is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    @property
    def database(self) -> Path | None:
        """The file of a SQLite database, or None for any other MLflow store."""
        return sqlite.database_of(self.uri)

    @property
    def _is_the_store_s(self) -> bool:
        """Whether the database is in the store and moves with it."""
        return self.database is not None and sqlite.is_of_the_store(self.database, self.store)

    @property
    def shown_uri(self) -> str:
        """Without a password."""
        return shown_uri(self.uri)

    @property
    def ui_address(self) -> str:
        """The address of the MLflow UI, running or to be started by `make ui`, without a password because links are stored in
        many places.
        """
        return self.shown_uri.rstrip("/") if self.is_server else f"http://127.0.0.1:{self.store.mlflow_port}"

    def local_path(self, address: str) -> Path | None:
        """The path of the artifacts at MLflow's `address`, also in a store that was moved; None if not on this machine."""
        if self._is_the_store_s:
            return sqlite.current_path(address, self.artifacts)
        path = sqlite.local_path(address)
        return path if path and (path.exists() or not self.is_server) else None

    def share(self, address: str, name: str, original: Path) -> None:
        """Make the file `name` of the artifacts at MLflow's `address` and its `original` one file, if both are in the store."""
        folder, root = self.local_path(address), self.store.root.resolve()
        if folder is not None and folder.resolve().is_relative_to(root) and original.resolve().is_relative_to(root):
            share(folder / name, original)

    def fetch(self, address: str, name: str, folder: Path) -> Path:
        """The file `name` of the artifacts at MLflow's `address`: the file itself, or a copy in `folder` if it is not on this
        machine.

        Raises NotFound when it doesn't exist, and FlowmodelError when MLflow can't be used.
        """
        local = self.local_path(address)
        with self.errors():
            if local is None:
                return Path(get_artifact_repository(address, tracking_uri=self.uri).download_artifacts(name, str(folder)))
            try:
                (local / name).stat()
            except (FileNotFoundError, NotADirectoryError):
                # Its siblings exist, so the disk is mounted; an unmounted disk leaves an empty folder or none.
                if local.parents[1].is_dir() and any(local.parents[1].iterdir()):
                    raise NotFound(f"{local / name}: missing in MLflow's artifacts") from None
                raise FlowmodelError(f"{local.parents[1]}: MLflow's artifacts can't be found; is the disk mounted?") from None
            return local / name

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn MLflow's exceptions into FlowmodelError that names the store, or into NotFound."""
        try:
            yield
        except MlflowException as error:
            kind = NotFound if error.error_code == "RESOURCE_DOES_NOT_EXIST" else FlowmodelError
            raise kind(self._words(error.message)) from error
        except (sqlite3.Error, OSError) as error:  # `requests` raises OSError, too
            is_missing = getattr(getattr(error, "response", None), "status_code", None) == 404
            raise (NotFound if is_missing else FlowmodelError)(self._words(str(error))) from error

    @contextmanager
    def as_current(self) -> Iterator[None]:
        """Use this MLflow in MLflow's global functions, for a function that has no argument for it."""
        variable, before = os.environ.get(_VARIABLE), mlflow.get_tracking_uri()
        _set_global_uri(None, variable)
        otherwise = mlflow.get_tracking_uri()
        try:
            _set_global_uri(self.uri, variable)
            yield
        finally:
            _set_global_uri(before if before != otherwise else None, variable)

    def _words(self, reason: str) -> str:
        # SQLAlchemy repeats the address, which may contain a database's password.
        first = next(iter(reason.strip().splitlines()), "").replace(self.uri, self.shown_uri)
        advice = next((advice for sign, advice in _ADVICE if sign in first), first)
        return f"MLflow store {self.shown_uri}: {advice}"


def _without_credentials(uri: str) -> str:
    """A server's address without user and password. MLflow gets these from this process's environment instead, because it
    repeats the address in messages, warnings and links that are stored.

    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return uri
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(user), unquote(password)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _set_global_uri(uri: str | None, variable: str | None) -> None:
    mlflow.set_tracking_uri(uri)  # type: ignore[arg-type]  # None resets it
    # MLflow also sets this variable, which would then be used for every other store.
    os.environ.pop(_VARIABLE, None)
    if variable is not None:
        os.environ[_VARIABLE] = variable


_ADVICE = (
    ("disk is full", "no space is left on its disk; free some, then try again"),
    ("locked", "locked by another process; wait for it or stop it, then try again"),
    ("not a database", "not a SQLite database; move the file away to get a new one"),
    ("unable to open", "can't be opened; check the folder's permissions, or set MLFLOW_TRACKING_URI"),
    ("readonly database", "read-only; check the file's permissions, or set MLFLOW_TRACKING_URI"),
    (
        "out-of-date database schema",
        "another release of MLflow made its tables; copy the database, then `mlflow db upgrade` with this address migrates those "
        "of an earlier release; a later one's need the later release of flowmodel",
    ),
    ("failed with exception", "the server can't be reached; start it, or correct MLFLOW_TRACKING_URI"),
    ("failed with error code", "the server isn't an MLflow server; correct MLFLOW_TRACKING_URI"),
)

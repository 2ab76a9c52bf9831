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
from flowmodel.files import atomic_path
from flowmodel.registry import sqlite
from flowmodel.registry.runs_view import EXPERIMENT, view_tag
from flowmodel.store import Store, shown_uri, unfit_for_addresses

_ANSWER_SECONDS = 5
_VARIABLE = "MLFLOW_TRACKING_URI"

# The second one prints the trace of every database error that it raises as well.
for _logger, _level in {
    "mlflow": logging.WARNING,
    "mlflow.store.db.utils": logging.CRITICAL,
    "alembic": logging.WARNING,
}.items():
    logging.getLogger(_logger).setLevel(_level)


class NotFound(FlowmodelError):
    """MLflow could be asked, and has answered that there is no such thing; or there is no MLflow store yet."""


@dataclass(frozen=True)
class Tracking:
    """The MLflow of a store: `client` to write, `reader` to look something up.

    Looking up writes nothing: no database, no experiment, no lock. Both raise FlowmodelError within seconds when MLflow is
    locked, unreachable or none.

    Attributes:
        store: where a database of its own keeps the artifacts, and where copies from a server are kept.
        uri: of the MLflow server or database; a server's has no credentials in it.
    """

    store: Store
    uri: str

    @classmethod
    def of(cls, store: Store) -> "Tracking":
        """The MLflow at MLFLOW_TRACKING_URI where that is set, else the database in `store`."""
        return cls(store, _without_credentials(store.mlflow_uri))

    @cached_property
    def client(self) -> mlflow.MlflowClient:
        """To write with. Makes a database where there is none; in a store that was moved it corrects where the artifacts are."""
        self._require_answer()
        with self.errors():
            if self.database is not None:
                self._make(self.database)
                sqlite.prepare(self.database, self.artifacts if self._is_the_store_s else None)
            return mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @cached_property
    def reader(self) -> mlflow.MlflowClient:
        """To read with. Raises NotFound where there is no database file."""
        uri = self.uri
        self._require_answer()
        with self.errors():
            if self.database is not None:
                try:
                    self.database.stat()
                except FileNotFoundError:
                    raise NotFound(f"MLflow store {self.shown_uri}: there is none yet; `make quickstart` makes it") from None
                sqlite.require_readable(self.database)
                uri = sqlite.read_only_uri(self.database)
            return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)

    @cached_property
    def experiment_id(self) -> str:
        """The id of the experiment `flowmodel`, which is created if it is missing and restored if it was deleted."""
        with self.errors():
            experiment = self.client.get_experiment_by_name(EXPERIMENT)
            if experiment is None:
                # A server has its own place for artifacts.
                location = None if self.is_server else self.artifacts.as_uri()
                return self.client.create_experiment(EXPERIMENT, artifact_location=location, tags=dict([view_tag()]))
            if experiment.lifecycle_stage == "deleted":
                self.client.restore_experiment(experiment.experiment_id)
            name, view = view_tag()
            if experiment.tags.get(name) != view:
                self.client.set_experiment_tag(experiment.experiment_id, name, view)
            return experiment.experiment_id

    def _make(self, database: Path) -> None:
        """Make MLflow's tables under another name first: a file in which some are missing is never repaired by MLflow."""
        if unfit := unfit_for_addresses(database):
            raise FlowmodelError(f"MLflow store {self.uri}: {unfit}")
        if database.exists():
            return
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(database.parent / ".making.lock"):
            if not database.exists():  # nobody else was quicker
                with atomic_path(database) as temporary:
                    mlflow.MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)

    def _require_answer(self) -> None:
        """Raises FlowmodelError within seconds where a server can't be reached; MLflow would try for half a minute and more."""
        if self.is_server:
            try:
                # Its certificate is MLflow's matter, as is what it says: a server that is being restarted says 502 to 504.
                status = requests.get(f"{self.uri.rstrip('/')}/health", timeout=_ANSWER_SECONDS).status_code
            except requests.exceptions.SSLError:
                return
            except requests.exceptions.RequestException:
                status = 503
            if status in (502, 503, 504):
                raise FlowmodelError(self._words("failed with exception"))

    @property
    def artifacts(self) -> Path:
        """Where a database keeps its artifacts."""
        return self.store.mlflow_artifacts.resolve()

    @property
    def is_server(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    @property
    def database(self) -> Path | None:
        """The file of a SQLite database; None where MLflow is something else."""
        return sqlite.database_of(self.uri)

    @property
    def _is_the_store_s(self) -> bool:
        """Is it a database in the store, which moves with it?"""
        return self.database is not None and sqlite.is_of_the_store(self.database, self.store)

    @property
    def shown_uri(self) -> str:
        """Without a password."""
        return shown_uri(self.uri)

    @property
    def ui_address(self) -> str:
        """Where the MLflow UI is, or will be once `make ui` runs; without a password, as links are stored in many places."""
        return self.shown_uri.rstrip("/") if self.is_server else f"http://127.0.0.1:{self.store.mlflow_port}"

    def local_path(self, address: str) -> Path | None:
        """Where the artifacts at MLflow's `address` lie on this machine, also in a store that was moved; None if elsewhere."""
        if self._is_the_store_s:
            return sqlite.current_path(address, self.artifacts)
        path = sqlite.local_path(address)
        return path if path and (path.exists() or not self.is_server) else None

    def fetch(self, address: str, name: str, folder: Path) -> Path:
        """The file `name` of the artifacts at MLflow's `address`: where it lies, or a copy in `folder` of what is elsewhere.

        Raises NotFound when it isn't there, and FlowmodelError when that can't be found out.
        """
        local = self.local_path(address)
        with self.errors():
            if local is None:
                return Path(get_artifact_repository(address, tracking_uri=self.uri).download_artifacts(name, str(folder)))
            try:
                (local / name).stat()
            except (FileNotFoundError, NotADirectoryError):
                # What lies beside it is there, so that it isn't a disk that is away, which leaves an empty folder or none.
                if local.parents[1].is_dir() and any(local.parents[1].iterdir()):
                    raise NotFound(f"{local / name}: gone from MLflow's artifacts") from None
                raise FlowmodelError(f"{local.parents[1]}: MLflow's artifacts can't be found; is the disk there?") from None
            return local / name

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what MLflow raises into FlowmodelError that names the store; into NotFound where that was its answer."""
        try:
            yield
        except MlflowException as error:
            kind = NotFound if error.error_code == "RESOURCE_DOES_NOT_EXIST" else FlowmodelError
            raise kind(self._words(error.message)) from error
        except (sqlite3.Error, OSError) as error:  # OSError is what `requests` raises, too
            is_missing = getattr(getattr(error, "response", None), "status_code", None) == 404
            raise (NotFound if is_missing else FlowmodelError)(self._words(str(error))) from error

    @contextmanager
    def as_current(self) -> Iterator[None]:
        """Make this MLflow the one of MLflow's global functions, for the one that can't be told which to use."""
        variable, before = os.environ.get(_VARIABLE), mlflow.get_tracking_uri()
        _set_global_uri(None, variable)
        otherwise = mlflow.get_tracking_uri()
        try:
            _set_global_uri(self.uri, variable)
            yield
        finally:
            _set_global_uri(before if before != otherwise else None, variable)

    def _words(self, reason: str) -> str:
        # SQLAlchemy repeats the address that it was given, and with it perhaps a database's password.
        first = next(iter(reason.strip().splitlines()), "").replace(self.uri, self.shown_uri)
        advice = next((advice for sign, advice in _ADVICE if sign in first), first)
        return f"MLflow store {self.shown_uri}: {advice}"


def _without_credentials(uri: str) -> str:
    """A server's address without user and password, which MLflow is given by the environment of this process instead: it would
    repeat the address in messages, warnings and links, and those are kept.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return uri
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(user), unquote(password)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _set_global_uri(uri: str | None, variable: str | None) -> None:
    mlflow.set_tracking_uri(uri)  # type: ignore[arg-type]  # None is none in particular
    # MLflow puts the address there as well, where it would be the address of every other store too.
    os.environ.pop(_VARIABLE, None)
    if variable is not None:
        os.environ[_VARIABLE] = variable


_ADVICE = (
    ("disk is full", "no space is left on its disk; free some, then try again"),
    ("locked", "locked by another process; wait for it or stop it, then try again"),
    ("not a database", "not a SQLite database; move the file away, and a new one is made"),
    ("unable to open", "can't be opened; check the folder's permissions, or set MLFLOW_TRACKING_URI"),
    ("readonly database", "read-only; check the file's permissions, or set MLFLOW_TRACKING_URI"),
    ("failed with exception", "the server can't be reached; start it, or correct MLFLOW_TRACKING_URI"),
    ("failed with error code", "the server doesn't answer as MLflow; correct MLFLOW_TRACKING_URI"),
)

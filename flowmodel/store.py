"""The folder of all generated files: `data/store` of the checkout, or wherever FLOWMODEL_STORE points."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
MLFLOW_PORT = 5252  # not MLflow's own 5000, which macOS occupies
IS_CHECKOUT = (PROJECT_ROOT / "pyproject.toml").is_file()  # otherwise, this is an installed package


def shown_uri(uri: str) -> str:
    """An MLflow URI without user, password and query, which may hold a password too: for logs, links and messages."""
    shown = re.sub(r"//[^/]*@", "//", uri)
    return shown if shown.startswith("sqlite:") else shown.partition("?")[0]


def unfit_for_addresses(path: Path) -> str:
    """The reason why a database can't be stored at `path` (it would be written elsewhere), or an empty string."""
    signs = [sign for sign in "%?" if sign in str(path)]
    return f"its path has '{signs[0]}' in it, which the addresses of databases can't hold; rename that folder" if signs else ""


@dataclass(frozen=True)
class Store:
    """Paths of files and folders under `root`. This class creates nothing; writers create what they need."""

    root: Path

    @classmethod
    def from_environment(cls) -> "Store":
        """The store at FLOWMODEL_STORE if it is set, otherwise at `data/store` in the checkout, or in the current folder for an
        installed package.
        """
        home = PROJECT_ROOT if IS_CHECKOUT else Path.cwd()
        return cls(Path(os.environ.get("FLOWMODEL_STORE") or home / "data" / "store").resolve())

    def file(self, asset: str, name: str) -> Path:
        """Path of a file that the asset named `asset` writes."""
        return self.root / asset / name

    def relative(self, path: Path) -> str:
        """`path` for use in records: relative if it is inside the store, so that a store can be moved or renamed."""
        path = path.resolve()
        return (path.relative_to(self.root.resolve()) if path.is_relative_to(self.root.resolve()) else path).as_posix()

    def locate(self, name: str) -> Path:
        """The current path of a result of :meth:`relative`.

        Earlier releases recorded absolute paths: those of a store that was moved since are found by their end.
        """
        path = self.root / name
        if path.is_relative_to(self.root) or path.exists():
            return path
        ends = (self.root.joinpath(*path.parts[first:]) for first in range(1, len(path.parts)))
        return next((end for end in ends if end.exists()), path)

    @property
    def downloads(self) -> Path:
        """Cache of downloads."""
        return self.root / "downloads"

    def icons(self, source: str) -> Path:
        """Folder of the tables of a source, each named by its digest."""
        return self.root / "icons" / source

    def step(self, asset: str) -> Path:
        """Folder of the files of a preparation step, each named by its digest."""
        return self.root / asset

    def caption_vectors(self, encoder_digest: str) -> Path:
        """Folder of an encoder's caption vectors, shared by all data sets."""
        return self.root / "caption_vectors" / encoder_digest[:16]

    @property
    def datasets(self) -> Path:
        """Folder of prepared data sets, each named by its digest."""
        return self.root / "datasets"

    @property
    def released(self) -> Path:
        """Record of the last registration: model name, version, aliases, and paths of metrics and grid."""
        return self.file("registered_model", "registered.json")

    @property
    def trainings(self) -> Path:
        return self.root / "flow_checkpoint"

    @property
    def mlflow_uri(self) -> str:
        """MLFLOW_TRACKING_URI if it is set, otherwise a SQLite file in the store."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow' / 'mlflow.db'}"

    @property
    def mlflow_port_file(self) -> Path:
        """The file in which `make ui` records the port of the MLflow UI."""
        return self.root / "mlflow" / "port"

    @property
    def mlflow_port(self) -> int:
        """The port of the MLflow UI on this machine, running or to be started by `make ui`: the last one, else MLFLOW_PORT."""
        try:
            return int(self.mlflow_port_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return int(os.environ.get("MLFLOW_PORT") or MLFLOW_PORT)

    @property
    def models(self) -> Path:
        """Cache of models fetched from an MLflow server, each named by its digest."""
        return self.root / "models"

    @property
    def exports(self) -> Path:
        """Exported models, each in a folder that is named by the digest of its checkpoint; and the studio's page."""
        return self.root / "exports"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow" / "artifacts"

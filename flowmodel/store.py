"""The folder of all generated files: `data/store` of the checkout, or wherever FLOWMODEL_STORE points."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
IS_CHECKOUT = (PROJECT_ROOT / "pyproject.toml").is_file()  # else this is an installed package


def shown_uri(uri: str) -> str:
    """An address of MLflow without a password."""
    return re.sub(r"//[^/@]*@", "//", uri)


@dataclass(frozen=True)
class Store:
    """Names of files and folders under `root`. Nothing is created here; writers create what they need."""

    root: Path

    @classmethod
    def from_environment(cls) -> "Store":
        """FLOWMODEL_STORE where it is set, else `data/store` of the checkout; of an installed package, of the current folder."""
        home = PROJECT_ROOT if IS_CHECKOUT else Path.cwd()
        return cls(Path(os.environ.get("FLOWMODEL_STORE") or home / "data" / "store").resolve())

    def file(self, asset: str, name: str) -> Path:
        """Path of a file that the asset named `asset` writes."""
        return self.root / asset / name

    def relative(self, path: Path) -> str:
        """`path` as records name it: relative to the store where it lies there, so that a store can be moved or renamed."""
        path = path.resolve()
        return (path.relative_to(self.root.resolve()) if path.is_relative_to(self.root.resolve()) else path).as_posix()

    def locate(self, name: str) -> Path:
        """Where what :meth:`relative` has named lies now."""
        return self.root / name

    @property
    def downloads(self) -> Path:
        """What sources have fetched, so that it isn't fetched again."""
        return self.root / "downloads"

    def icons(self, source: str) -> Path:
        """Folder of the tables of a source, each named by its content."""
        return self.root / "icons" / source

    def step(self, asset: str) -> Path:
        """Folder of the files that a step of preparing has made, each named by its content."""
        return self.root / asset

    def caption_vectors(self, encoder_digest: str) -> Path:
        """Folder of what an encoder has made of texts, for all data sets."""
        return self.root / "caption_vectors" / encoder_digest[:16]

    @property
    def datasets(self) -> Path:
        """Prepared data sets, each a folder named by its digest."""
        return self.root / "datasets"

    @property
    def released(self) -> Path:
        """What was registered last: model name, version, aliases, and where metrics and grid lie."""
        return self.file("registered_model", "registered.json")

    @property
    def trainings(self) -> Path:
        return self.root / "flow_checkpoint"

    @property
    def mlflow_uri(self) -> str:
        """MLFLOW_TRACKING_URI where it is set, else a SQLite file in the store."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow' / 'mlflow.db'}"

    @property
    def models(self) -> Path:
        """Registered models that were fetched from an MLflow server, each named by its digest."""
        return self.root / "models"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow" / "artifacts"

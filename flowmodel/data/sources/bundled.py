"""Source kind `bundled`: an `icons` table in one Parquet file, used unchanged."""

from pathlib import Path

from flowmodel.data.sources.config import BundledSource, locate
from flowmodel.data.sources.context import Observation, Reading, SourceContext
from flowmodel.errors import FlowmodelError
from flowmodel.files import sha256_file
from flowmodel.shipped import shipped
from flowmodel.tables import ICONS


def read(config: BundledSource, context: SourceContext) -> Reading:
    """The table, renamed to the configured source; the entry's license, origin and redistributable replace its own, if given.

    Raises FlowmodelError when the file is missing or breaks the data contract.
    """
    icons = ICONS.read(_existing(config, context))
    icons["source"] = config.name
    icons["id"] = config.name + "/" + icons["key"]
    for field in ("license", "origin"):
        if value := getattr(config, field):
            icons[field] = value
    if config.redistributable is not None:
        icons["redistributable"] = config.redistributable
    return Reading([{str(name): value for name, value in row.items()} for row in icons.to_dict("records")])


def observe(config: BundledSource, context: SourceContext) -> Observation:
    """The digest of the file; raises FlowmodelError when it is missing."""
    digest = sha256_file(_existing(config, context))
    return Observation(fingerprint=digest, version=f"sha256 {digest[:12]}")


def _existing(config: BundledSource, context: SourceContext) -> Path:
    path = locate(config.path, context.root) if config.path else shipped("bundled/noto.parquet")
    if not path.is_file():
        raise FlowmodelError(f"{path}: no such file; correct its path in sources.yaml (relative to that file's folder)")
    return path

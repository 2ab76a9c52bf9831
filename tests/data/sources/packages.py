"""Small npm packages made on the spot."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowmodel.data.sources.context import SourceContext


def tgz(files: Mapping[str, bytes | Any]) -> bytes:
    """An archive of `files` by full name; values other than bytes are written as JSON."""
    return tgz_of((tarfile.TarInfo(name), as_bytes(content)) for name, content in files.items())


def tgz_of(members: Any) -> bytes:
    """An archive of (TarInfo, content) pairs, with any type and name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, content in members:
            if content:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if content else None)
    return buffer.getvalue()


def as_bytes(content: Any) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def integrity(content: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def put_in_downloads(context: SourceContext, package: str, version: str, files: Mapping[str, Any]) -> Path:
    """Put it where `fetch_package` finds it without a network."""
    content = tgz(files)
    path = context.downloads / "npm" / f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.with_name(f"{path.name}.json").write_text(json.dumps({"integrity": integrity(content)}))
    return path

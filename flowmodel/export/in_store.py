"""Exported models in a store, named by the digests of their checkpoints, for `flowmodel serve`, `flowmodel studio` and the
registry.

exports/861a635793ad0f0c-model-2/   the model for flowmodel/runtime and for the page, with one caption tower
exports/861a635793ad0f0c-icons/     the data about its training icons for the page
"""

import atexit
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import uuid4

from flowmodel.errors import FlowmodelError
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.runtime.model_folder import DESCRIPTION, ModelFolder, Precision
from flowmodel.store import Store

EXPORTABLE = ("minilm",)  # caption encoders whose tower can be exported
_TOWER: Precision = "int8"  # 35 MB instead of 90, with samples that look the same (docs/log.md)
_VERSION = 2  # version of the contents of an export; increase it when they change, and models are exported again


def exported(store: Store, checkpoint: Checkpoint) -> ModelFolder:
    """The ONNX export of `checkpoint` with the smaller caption tower. It is made once and stored in `store`, or in a temporary
    folder of this process if the store is read-only.

    Raises FlowmodelError when the model cannot be exported.
    """

    def make(folder: Path) -> None:
        from flowmodel.export.graphs import DifferentGraph
        from flowmodel.export.model_export import export_model

        if earlier := _earlier(store):
            with suppress(DifferentGraph):
                export_model(checkpoint, folder, [_TOWER], earlier, trace=False)
                return
        _export_elsewhere(checkpoint, folder, earlier)

    if found := already_exported(store, checkpoint):
        return found
    shutil.rmtree(store.exports / _name(checkpoint), ignore_errors=True)  # it is damaged, if it exists
    return ModelFolder.open(_kept(store, _name(checkpoint), make))


def already_exported(store: Store, checkpoint: Checkpoint) -> ModelFolder | None:
    """The export that :func:`exported` has stored before, or None if there is none or one of its files is damaged."""
    try:
        found = ModelFolder.open(store.exports / _name(checkpoint))
        found.verify()
    except FlowmodelError:
        return None
    return found


def _name(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.digest[:16]}-model-{_VERSION}"


def training_icons(store: Store, checkpoint: Checkpoint, log: Callable[[str], None]) -> Path:
    """The folder with the page's data about the icons that `checkpoint` was trained on, stored like :func:`exported`. It names no
    icons if `store` no longer has their data set.
    """
    from flowmodel.export.training_icons import TrainingIcons, write_no_icons

    def make(folder: Path) -> None:
        icons = TrainingIcons.find(checkpoint, store, None, log)
        if icons is None:
            write_no_icons(folder)
        else:
            icons.write(folder)

    return _kept(store, f"{checkpoint.digest[:16]}-icons", make)


def _kept(store: Store, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the store's exports, which `make` writes if it does not exist yet."""
    folder = store.exports / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(folder.parent, os.W_OK)
    except OSError:
        is_writable = False
    if not is_writable:
        own = tempfile.mkdtemp(prefix="flowmodel-")
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        folder = Path(own, folder.name)
    unfinished = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}")
    try:
        make(unfinished)
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _earlier(store: Store) -> list[ModelFolder]:
    """The exports of the store, newest first."""
    descriptions = store.exports.glob(f"[!.]*/{DESCRIPTION}")
    found = []
    for path in sorted(descriptions, key=lambda path: path.stat().st_mtime, reverse=True):
        with suppress(FlowmodelError):  # it is damaged, or of another release
            found.append(ModelFolder.open(path.parent))
    return found


def _export_elsewhere(checkpoint: Checkpoint, folder: Path, earlier: Sequence[ModelFolder]) -> None:
    """Export in a process of its own, because PyTorch's exporter needs hundreds of megabytes and does not return them."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_export, args=(checkpoint.path, folder, [each.path for each in earlier], sender), daemon=True
    )
    process.start()
    sender.close()
    try:
        message: str = receiver.recv()
    except EOFError:  # it was killed, or failed with a programming error, whose traceback is on standard error
        process.join()
        message = f"{checkpoint}: the export ended with status {process.exitcode}; `flowmodel export` may tell more"
    process.join()
    if message:
        raise FlowmodelError(message)


def _export(checkpoint: Path, folder: Path, earlier: Sequence[Path], sender: Connection) -> None:
    """Runs in the other process. Sends the message of a FlowmodelError, or an empty string."""
    from flowmodel.export.model_export import export_model

    try:
        export_model(Checkpoint.open(checkpoint), folder, [_TOWER], [ModelFolder.open(each) for each in earlier])
    except FlowmodelError as error:
        sender.send(str(error))
    else:
        sender.send("")

"""Exported models in a store, named by their checkpoints, for `flowmodel serve` and the registry."""

import atexit
import multiprocessing
import os
import shutil
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import uuid4

from flowmodel.errors import FlowmodelError
from flowmodel.model.checkpoint import Checkpoint
from flowmodel.runtime.model_folder import DESCRIPTION, FORMAT, TOWERS, ModelFolder
from flowmodel.store import Store

EXPORTABLE = ("minilm",)  # caption encoders whose tower can be exported


def exported(store: Store, checkpoint: Checkpoint) -> ModelFolder:
    """The ONNX export of `checkpoint` with the float32 tower. It is made once and stored in `store`, or in a temporary folder
    of this process if the store is read-only.

    Raises FlowmodelError when the model cannot be exported.
    """
    folder = store.exports / f"{checkpoint.digest[:16]}-{FORMAT}-float32"
    if (folder / DESCRIPTION).is_file():
        return ModelFolder.open(folder)
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
    _export_elsewhere(checkpoint, unfinished, _with_the_tower_of(store, checkpoint))
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(unfinished)  # another process was faster
    return ModelFolder.open(folder)


def _with_the_tower_of(store: Store, checkpoint: Checkpoint) -> Path | None:
    """An earlier export with the same caption tower, which takes a third of the time to export."""
    for path in sorted(store.exports.glob(f"[!.]*/{DESCRIPTION}")):
        try:
            other = ModelFolder.open(path.parent)
            other.file(TOWERS["float32"])
        except FlowmodelError:
            continue
        if other.description.encoder_digest == checkpoint.header.encoder_digest:
            return path.parent
    return None


def _export_elsewhere(checkpoint: Checkpoint, folder: Path, like: Path | None) -> None:
    """Export in a process of its own, because PyTorch's exporter needs hundreds of megabytes and does not return them."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_export, args=(checkpoint.path, folder, like, sender), daemon=True)
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


def _export(checkpoint: Path, folder: Path, like: Path | None, sender: Connection) -> None:
    """Runs in the other process. Sends the message of a FlowmodelError, or an empty string."""
    from flowmodel.export.model_export import export_model

    try:
        export_model(Checkpoint.open(checkpoint), folder, ["float32"], ModelFolder.open(like) if like else None)
    except FlowmodelError as error:
        sender.send(str(error))
    else:
        sender.send("")

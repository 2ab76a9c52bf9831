"""Which model is served: found by what `--model` says, and found again where that may change."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from flowmodel.errors import FlowmodelError
from flowmodel.export.in_store import exported
from flowmodel.registry.references import resolve_model
from flowmodel.runtime.model_folder import DESCRIPTION, ModelFolder
from flowmodel.runtime.onnx_generator import OnnxGenerator
from flowmodel.serving.engine import Engine
from flowmodel.serving.metrics import Metrics
from flowmodel.store import Store

_log = logging.getLogger(__name__)


def is_followed(reference: str | None) -> bool:
    """Whether `reference` may name another model later: an alias, or nothing, which is the champion."""
    return reference is None or (reference.startswith("models:/") and "@" in reference)


def find(store: Store, reference: str | None, served: str | None = None) -> ModelFolder | None:
    """The model of `reference`, exported where it isn't yet; None where it is the one of the checkpoint `served`.

    Raises FlowmodelError when there is no such model, or it can't be exported.
    """
    if reference is not None and Path(reference, DESCRIPTION).is_file():
        return ModelFolder.open(reference)
    checkpoint = resolve_model(store, reference)
    return None if checkpoint.digest == served else exported(store, checkpoint)


def ready(folder: ModelFolder) -> OnnxGenerator:
    """A generator whose graphs are loaded: it has drawn once. Raises FlowmodelError when one of its files was changed."""
    generator = OnnxGenerator(folder, threads=1)
    generator.sample(["icon"], steps=1)
    return generator


class Follower:
    """Looks every few seconds whether the served model is another one by now, and lets the engine draw with that.

    Where that can't be found out, or the new model can't be loaded, the old one goes on, and the log says why.
    """

    def __init__(self, engine: Engine, look: Callable[[str], ModelFolder | None], metrics: Metrics, seconds: float) -> None:
        """`look` gets the digest of the checkpoint that is served, and returns None where it is still that."""
        self._engine, self._look, self._metrics, self._seconds = engine, look, metrics, seconds
        self._end = threading.Event()
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name="follows", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more. A model that is being exported or loaded right now is not waited for."""
        self._end.set()

    def _run(self) -> None:
        while not self._end.wait(self._seconds):
            try:
                self._step()
            except Exception as error:  # a server doesn't end because of its registry
                if str(error) != self._complaint:  # once, and not every few seconds
                    self._metrics.reloads.labels("failed").inc()
                    known = isinstance(error, FlowmodelError)
                    _log.warning("still sampling from %s: %s", self._engine.generator, error, exc_info=not known)
                self._complaint = str(error)

    def _step(self) -> None:
        before = self._engine.generator
        folder = self._look(before.folder.description.checkpoint)
        self._complaint = ""
        if folder is None or folder.digest == before.folder.digest:
            return
        self._engine.use(ready(folder))
        self._metrics.serves(folder)
        self._metrics.reloads.labels("changed").inc()
        _log.info("now sampling from %s instead of %s", folder.path, before)

"""Finds the model to serve by `--model`, and follows an alias that may change."""

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


def find(store: Store, reference: str | None, served: str | None = None) -> ModelFolder | None:
    """The model of `reference`, exported if necessary; None if its checkpoint is `served`.

    Raises FlowmodelError when there is no such model, or it can't be exported.
    """
    if reference is not None and Path(reference, DESCRIPTION).is_file():
        return ModelFolder.open(reference)
    checkpoint = resolve_model(store, reference)
    return None if checkpoint.digest == served else exported(store, checkpoint)


def ready(folder: ModelFolder) -> OnnxGenerator:
    """A generator that has loaded its graphs by sampling once. Raises FlowmodelError when one of its files was changed."""
    generator = OnnxGenerator(folder, threads=1)
    generator.sample(["icon"], steps=1)
    return generator


class Follower:
    """Checks every few seconds whether there is a new model to serve, and passes it to the engine.

    If that fails, or the new model can't be loaded, the old one stays in use, and the log has the reason.
    """

    def __init__(self, engine: Engine, look: Callable[[str], ModelFolder | None], metrics: Metrics, seconds: float) -> None:
        """`look` gets the digest of the served checkpoint, and returns None if it is still current."""
        self._engine, self._look, self._metrics, self._seconds = engine, look, metrics, seconds
        self._end = threading.Event()
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name="follows", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop checking, without waiting for a model that is being exported or loaded."""
        self._end.set()

    def _run(self) -> None:
        while not self._end.wait(self._seconds):
            try:
                self._step()
            except Exception as error:  # a failing registry must not stop the server
                if str(error) != self._complaint:  # log it once, not every few seconds
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

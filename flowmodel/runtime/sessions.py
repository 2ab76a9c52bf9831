"""Creates ONNX Runtime sessions with the same settings."""

from pathlib import Path
from typing import TYPE_CHECKING

from flowmodel.errors import FlowmodelError
from flowmodel.extras import require
from flowmodel.runtime.packing import unpack

if TYPE_CHECKING:
    import onnxruntime


def open_session(path: Path, threads: int | None = None) -> "onnxruntime.InferenceSession":
    """A session for the graph at `path` on the CPU, which is packed if the name ends in .zlib; `threads` None is one per core.

    Raises FlowmodelError when this ONNX Runtime can't run it, or ONNX Runtime is not installed.
    """
    require("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    if threads is not None:
        options.intra_op_num_threads = threads
    # Spinning threads starve other processes on the same cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        graph = unpack(path.read_bytes()) if path.suffix == ".zlib" else str(path)
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the types are in a private module
        reason = " ".join(str(error).split())[:160]
        raise FlowmodelError(f"{path}: ONNX Runtime can't run it ({reason}); export the model again") from None

"""Makes open_clip's import of torchvision succeed, although this project does not use torchvision."""

from typing import Any

_libraries: list[Any] = []  # a schema exists only as long as the Library object that defined it


def let_torchvision_import() -> None:
    """Register the schemas of torchvision's `nms` and `qnms` where its compiled part does not fit this torch.

    torchvision from the package index is built against a CUDA build of torch. With a CPU build, loading its library fails
    silently, and its import fails with `operator torchvision::nms does not exist`, because it attaches shape functions to these
    two operators. Declaring them is enough, as this project never calls them. Call this before importing open_clip. It does
    nothing if torchvision works, is absent, or has been handled before.
    """
    if _libraries:
        return
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        from torch.library import Library

        library = Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _libraries.append(library)

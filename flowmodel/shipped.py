"""Data files that ship with flowmodel: the weights, the bundled icons and the names of emoji.

A checkout has them in the folder `data` next to the package; a wheel contains a copy inside the package (setup.py).
"""

import shutil
import sys
from importlib.resources import files
from pathlib import Path

from flowmodel.store import PROJECT_ROOT

_IN_WHEEL = Path(str(files("flowmodel"))) / "_shipped"


def shipped(name: str) -> Path:
    """Path of the file or folder `name`, such as `pretrained` or `bundled/noto.parquet`; it may not exist."""
    return (_IN_WHEEL if _IN_WHEEL.is_dir() else PROJECT_ROOT / "data") / name


def program() -> str:
    """The command line of `flowmodel`: its name if the shell finds it, else its path next to this Python."""
    found, beside = shutil.which("flowmodel"), Path(sys.executable).with_name("flowmodel")
    if found and Path(found).parent == beside.parent:
        return "flowmodel"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)

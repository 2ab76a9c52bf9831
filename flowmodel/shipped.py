"""The files that come with flowmodel: the weights, the bundled icons, the names of emoji.

In a checkout that is the folder `data` beside the package; a wheel carries a copy of it inside the package (setup.py).
"""

from importlib.resources import files
from pathlib import Path

from flowmodel.store import PROJECT_ROOT

_IN_WHEEL = Path(str(files("flowmodel"))) / "_shipped"


def shipped(name: str) -> Path:
    """The file or folder called `name`, such as `pretrained` or `bundled/noto.parquet`, whether or not it is there."""
    return (_IN_WHEEL if _IN_WHEEL.is_dir() else PROJECT_ROOT / "data") / name

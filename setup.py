"""Everything about the package is in pyproject.toml; this adds to a wheel what lies outside of the package's folder."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("bundled", "pretrained", "pretrained-fast")  # in the folder `data`


class BuildWithShippedFiles(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in SHIPPED:
                target = Path(self.build_lib, "flowmodel", "_shipped", name)
                shutil.copytree(
                    Path("data", name), target, ignore=shutil.ignore_patterns("*.py", "__pycache__"), dirs_exist_ok=True
                )


setup(cmdclass={"build_py": BuildWithShippedFiles})

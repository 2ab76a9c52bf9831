"""Runs the command line in processes of their own, which are forks of one that has already imported PyTorch."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowmodel.cli import main

_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["torch", "flowmodel.cli", "flowmodel.training.loop", "flowmodel.evaluation.html.page"])


def run_forked(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The exit code and the output of `flowmodel` with these arguments in this environment."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _FORKED.Process(target=_run, args=(list(arguments), dict(environment), Path.cwd(), files))
        process.start()
        process.join()
        assert process.exitcode is not None
        stdout, stderr = (file.read_text(encoding="utf-8") for file in files)
    return subprocess.CompletedProcess(["flowmodel", *arguments], process.exitcode, stdout, stderr)


def _run(arguments: list[str], environment: dict[str, str], folder: Path, files: list[Path]) -> None:
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["flowmodel", *arguments]
    main()

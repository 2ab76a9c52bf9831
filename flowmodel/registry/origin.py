"""The origin of a run: user, program, and the state of this code."""

import subprocess
import sys
from pathlib import Path

from mlflow.tracking.context.git_context import GitRunContext
from mlflow.tracking.context.registry import resolve_tags

from flowmodel.store import IS_CHECKOUT, PROJECT_ROOT

ENTRY_POINT = "entry_point"


def source_tags() -> dict[str, str]:
    """User, program and entry point, and in a checkout the commit of this code and whether it was changed since."""
    # MLflow would record the address of the program's repository, which may contain a password.
    tags: dict[str, str] = resolve_tags(ignore=[GitRunContext])  # type: ignore[list-item]  # it expects classes
    tags[ENTRY_POINT] = Path(sys.argv[0]).name or "python"
    # An installed package may be in an environment inside another repository.
    if IS_CHECKOUT and (commit := _git("rev-parse", "HEAD")) is not None:
        is_dirty = bool(_git("status", "--porcelain", "--untracked-files=no"))
        tags |= {"mlflow.source.git.commit": commit, "git_commit": commit, "git_dirty": str(is_dirty).lower()}
    return tags


def _git(*arguments: str) -> str | None:
    """None if git is missing or this code is in no repository."""
    try:
        done = subprocess.run(["git", "-C", str(PROJECT_ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

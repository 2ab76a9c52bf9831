"""Every command in README and docs is run, with less data if necessary, or checked as far as possible."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from flowmodel.cli import app
from flowmodel.store import PROJECT_ROOT
from tests.pipelines.conftest import write_icons

PAGES = [
    *("README.md", "CONTRIBUTING.md"),
    *(f"data/{folder}/README.md" for folder in ("bundled", "pretrained", "pretrained-fast")),
    *sorted(page.relative_to(PROJECT_ROOT).as_posix() for page in (PROJECT_ROOT / "docs").glob("*.md") if page.stem != "log"),
]
PROGRAMS = ("accelerate", "curl", "dagster", "export", "flowmodel", "make", "mlflow", "npm", "pip", "python")

# Commands that are not run but only checked for their options, with reasons.
TOO_LONG = {
    "--recipe laptop": "trains for hours",
    "--recipe gpu": "trains for hours, on a GPU",
    "--recipe pretrained": "trains for hours",
    "--recipe few_steps": "trains for an hour",
    "my-recipe.yaml": "the page shows how one is written",
    "--init runs/earlier": "an earlier training of the reader's",
    "--out check": "tests/cli/test_icons.py",
    "export": "tests/export: writing the graphs takes a minute",
    "--model icons": "tests/export",
    "PATH|models:": "a form, not a command",
    "serve": "tests/serving",
    "champion": "tests/registry/test_champion.py, which has two versions",
    "complete": "tests/completion",
    "store": "tests/test_inventory.py, which has a store",
}
# Shorter versions, because real trainings take minutes.
LESS = {
    "train --recipe finetune": "--set training.steps=2 --set training.batch_size=2 --set training.validation.every=0 "
    "--set training.rehearsal.samples=4 --set finisher.steps=2 --set sampling.steps=1 --device cpu",
    "evaluate": "--icons 2 --no-sweeps",
}


def commands(page: str) -> Iterator[str]:
    """The commands of a page: lines of code blocks that begin with a program, with settings before it or not."""
    text = re.sub(r"\\\n\s*", "", (PROJECT_ROOT / page).read_text(encoding="utf-8"))
    for line in re.findall(r"^    (?:\$ )?(\S.*)$", text, re.MULTILINE):
        command = re.sub(r"^(?:[A-Z_]+=\S* )+", "", line)
        if command.partition(" ")[0] in PROGRAMS:
            yield re.sub(r"\s+# .*$", "", command)


ALL = [(page, command) for page in PAGES for command in commands(page)]


def of(*programs: str) -> list[tuple[str, str]]:
    return [(page, command) for page, command in ALL if command.partition(" ")[0] in programs]


def test_pages_show_commands_one_way():
    assert len(ALL) > 40
    outside = [page for page in PAGES if ".venv/bin/" in (PROJECT_ROOT / page).read_text(encoding="utf-8")]
    assert outside == ["README.md"], "only the sentence on activating it names the folder"


@pytest.mark.parametrize(("page", "command"), of("flowmodel", "accelerate"))
def test_a_command_has_these_options(page, command):
    if "PATH|" in command:
        pytest.skip("a form, not a command")
    words = shlex.split(command)
    _parse(get_command(app), words[words.index("flowmodel") + 1 :])


def _parse(command, words: list[str]) -> None:
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    command.make_context("command", list(words))


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Path:
    """The folder of a person who follows README: with icons of their own, a list of sources and a recipe for a short training."""
    folder = tmp_path_factory.mktemp("reader")
    write_icons(folder / "my-icons", 14)
    (folder / "mine.yaml").write_text(yaml.safe_dump({"sources": [{"name": "mine", "kind": "folder", "path": "my-icons"}]}))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/vector.md"])
def test_the_commands_of_a_page_run_one_after_another(page, reader, monkeypatch):
    monkeypatch.chdir(reader)
    monkeypatch.setenv("FLOWMODEL_STORE", str(reader / "store"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    ran = 0
    for command in commands(page):
        if command.startswith("flowmodel ") and not any(words in command for words in TOO_LONG):
            less = next((added for words, added in LESS.items() if words in command), "")
            result = CliRunner().invoke(app, shlex.split(f"{command} {less}")[1:], catch_exceptions=False)
            assert result.exit_code == 0, (command, result.output)
            ran += 1
    assert ran


@pytest.mark.parametrize(("page", "command"), of("make"))
def test_make_knows_the_target(page, command):
    (target,) = shlex.split(command)[1:]
    assert re.search(rf"^{target}:", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("page", "command"), of("pip"))
def test_an_extra_is_one_of_the_project_s(page, command):
    import tomllib

    extras = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = re.search(r"\.\[([a-z,]+)\]", command)
    assert command.startswith("pip install") and (named is None or set(named[1].split(",")) <= extras.keys())


@pytest.mark.parametrize(("page", "command"), of("python"))
def test_a_module_a_script_or_a_job_is_there(page, command):
    words = shlex.split(command)
    if words[1] != "-m":
        assert (PROJECT_ROOT / words[1]).is_file()
    elif words[2] == "pipelines.run":
        from pipelines.definitions import defs

        assert [defs().resolve_job_def(job).name for job in words[3:]] == words[3:]
    else:
        done = subprocess.run([sys.executable, "-m", words[2], "--help"], cwd=PROJECT_ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and all(word in done.stdout for word in words[3:4] if word.isalpha()), done.stderr


@pytest.mark.parametrize(("page", "command"), of("mlflow"))
def test_mlflow_has_these_options(page, command):
    from mlflow.cli import cli

    assert isinstance(cli, click.Group)
    _parse(cli, shlex.split(command)[1:])


@pytest.mark.parametrize(("page", "command"), of("curl", "dagster", "npm"))
def test_commands_that_need_a_server_have_their_own_test(page, command):
    # tests/install/test_wheel.py asks a served model, tests/serving the server of `flowmodel serve`.
    assert re.search(r"http://127\.0\.0\.1:\d+/(invocations|v1/images/generations)", command), command


def test_a_variable_that_a_page_sets_is_read():
    pages = "\n".join((PROJECT_ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    names = set(re.findall(r"^    (?:export )?(FLOWMODEL_[A-Z_]+)=", pages, re.MULTILINE))
    files = [path for folder in ("flowmodel", "pipelines") for path in (PROJECT_ROOT / folder).rglob("*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    assert names and [name for name in sorted(names) if name not in code] == []

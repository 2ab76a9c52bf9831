"""The project's own checks, and the example workflow for a repository of icons."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from flowmodel.model.pretrained import pretrained_weights
from flowmodel.recipes import load_recipe
from flowmodel.store import PROJECT_ROOT
from flowmodel.training.initial import load_initial_weights

EXAMPLES = PROJECT_ROOT / "docs" / "examples"


def _commands(workflow: str) -> str:
    jobs: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / workflow).read_text(encoding="utf-8"))["jobs"]
    return "\n".join(step["run"] for job in jobs.values() for step in job["steps"] if "run" in step)


def test_continuous_integration_runs_what_a_person_runs():
    assert ".ci/run" in _commands(".github/workflows/ci.yml").split()
    script = (PROJECT_ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^make (\w+)$", script, re.MULTILINE) == ["docs", "test"]


def test_the_example_workflow_runs_a_job_that_there_is_and_keeps_its_report():
    from pipelines.definitions import defs

    commands = _commands("docs/examples/retrain.yml")
    (job,) = re.search(r"^python -m pipelines\.run (\S+)$", commands, re.MULTILINE).groups()
    assert defs().resolve_job_def(job).name == job
    assert "store/evaluation/*/report.html" in (EXAMPLES / "retrain.yml").read_text(encoding="utf-8")


def test_the_example_recipe_fits_the_shipped_weights():
    from dataclasses import replace

    from flowmodel.nets import build_network

    recipe, header = load_recipe(str(EXAMPLES / "tiny.yaml")), pretrained_weights().header
    network = build_network(recipe.network, header.text_width)
    own = replace(header, recipe=recipe.model_dump(mode="json"))
    assert load_initial_weights(network, recipe.training.init_from, own) == header


def test_the_workflows_keep_the_schema_of_github():
    workflows = [str(PROJECT_ROOT / ".github" / "workflows" / "ci.yml"), str(EXAMPLES / "retrain.yml")]
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_each_hook_of_a_commit_runs_an_installed_tool_with_arguments_that_it_has():
    (local,) = yaml.safe_load((PROJECT_ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    entries = {hook["id"]: hook["entry"].split() for hook in local["hooks"]}
    assert {"ruff-check", "ruff-format", "mypy"} <= entries.keys()
    for program, *arguments in entries.values():
        assert program.startswith(".venv/bin/")
        tool = Path(sys.executable).with_name(Path(program).name)
        done = subprocess.run([tool, *arguments, "--help"], cwd=PROJECT_ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

"""`python -m pipelines.run`: a job in a terminal, and its run in the Dagster UI."""

import os
import re
import shutil
import signal
import subprocess
import sys

import dagster as dg
import pytest
import yaml

from flowmodel.store import PROJECT_ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(project):
    """Without a DAGSTER_HOME, as in a new shell."""
    hidden = {"DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY", "PYTHONWARNINGS"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.run", *arguments]


def _run(environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(*arguments), cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=600)


def _only_run(project) -> tuple[dg.DagsterRun, list[str]]:
    """The only run in the store's Dagster, and its messages."""
    with dg.DagsterInstance.from_config(str(project.store.root / "dagster")) as instance:
        assert not instance.telemetry_enabled
        (run,) = instance.get_runs()
        return run, [entry.user_message for entry in instance.all_logs(run.run_id)]


@pytest.mark.timeout(900)
def test_a_run_from_a_terminal_belongs_to_the_code_location_that_the_ui_shows(project, environment):
    done = _run(environment, "ingest")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.startswith("loading …\n") and "icons/mine" in done.stdout
    run, _ = _only_run(project)
    assert run.status is dg.DagsterRunStatus.SUCCESS and run.job_name == "ingest"
    (location,) = yaml.safe_load((PROJECT_ROOT / "workspace.yaml").read_text())["load_from"]
    # By this tag the UI chooses the runs of its overview, of a job and of an asset.
    shown = dg.RunsFilter(tags={".dagster/repository": f"__repository__@{location['python_module']['location_name']}"})
    with dg.DagsterInstance.from_config(str(project.store.root / "dagster")) as instance:
        assert [each.run_id for each in instance.get_runs(shown)] == [run.run_id]


@pytest.mark.timeout(900)
def test_a_run_takes_a_configuration_and_says_what_is_wrong_in_one_line(project, shared_nursery):
    again = project.root / "run.yaml"
    again.write_text(yaml.safe_dump({"ops": {"icons__mine": {"config": {"again": True}}}}))
    code, said = shared_nursery.run(project.store, arguments=["ingest", "--config", str(again)])
    assert code == 0, said
    assert _only_run(project)[0].run_config["ops"] and _only_run(project)[0].run_config["loggers"]

    shutil.rmtree(project.icons)
    code, said = shared_nursery.run(project.store, arguments=["ingest"])
    assert code == 1 and "no such folder" in said and "Traceback" not in said
    for arguments, says in ((["nothing"], "job 'nothing': no such job; there are compare_"), (["-c", "no.yaml"], "no.yaml: ")):
        code, said = shared_nursery.run(project.store, arguments=arguments)
        assert code == 2
        first, line = said.splitlines()
        assert first == "loading …" and line.startswith("error: ") and says in line


@pytest.mark.timeout(900)
def test_a_training_that_is_interrupted_is_canceled_and_says_at_which_step(project, environment):
    project.write_recipe(training={"steps": 100_000, "log_every": 1, "checkpoint_every": 100_000, "sample_every": 100_000})
    process = subprocess.Popen(
        _command(), cwd=PROJECT_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "step 1/100000" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(300) == 1
    finally:
        process.kill()
    run, messages = _only_run(project)
    assert run.status is dg.DagsterRunStatus.CANCELED
    assert list(project.store.trainings.glob("*/step-*.safetensors"))
    assert not [line for line in lines if "Traceback" in line or 'File "' in line], lines
    (said,) = [line for line in lines if "ERROR: stopped" in line]
    assert re.search(r"flow_checkpoint +ERROR: stopped at step \d+ of 100000; re-execute from failure to continue$", said)
    assert messages[-1] == "Run was canceled. Failed steps: ['flow_checkpoint']."

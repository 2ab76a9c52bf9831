"""A training on a Ray cluster of two nodes: it survives the loss of its node, and stops together with its run."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.store import PROJECT_ROOT, Store
from flowmodel.training.interruption import Interruption
from pipelines.work import Task
from pipelines.worker import DETACHED
from tests.pipelines.terminal import TerminalRun, newest_step

pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt -e '.[ray]'")
pytestmark = pytest.mark.ray

STEPS = 4000


@pytest.fixture(scope="module")
def cluster() -> Iterator:
    """The head, on which no job runs. A lost node is noticed sooner than by default (15 seconds)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        config = {"health_check_period_ms": 500, "health_check_failure_threshold": 3, "health_check_initial_delay_ms": 0}
        head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": 0, "dashboard_agent_listen_port": 0}
        cluster = Cluster(initialize_head=True, head_node_args={**head, "_system_config": config})
        try:
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture
def environment(project, cluster, monkeypatch):
    project.write_recipe(training={"steps": STEPS, "log_every": 20, "checkpoint_every": 100, "sample_every": STEPS})
    monkeypatch.setenv("FLOWMODEL_TRAINER", "ray")
    monkeypatch.setenv("RAY_ADDRESS", f"http://{cluster.webui_url}")
    monkeypatch.setenv(
        "FLOWMODEL_RAY_JOB",
        json.dumps(
            {
                "entrypoint": f"{sys.executable} -m pipelines.worker {DETACHED}",
                "runtime_env": {"env_vars": {"PYTHONPATH": str(PROJECT_ROOT)}},
            }
        ),
    )
    return {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY")}


def _lose(node) -> None:
    """Kill everything on the node, as a power cut would."""
    [raylet] = node.all_processes["raylet"]
    processes = psutil.Process(raylet.process.pid).children(recursive=True)
    node.kill_raylet(check_alive=False)
    for process in processes:
        if process.is_running():
            process.kill()


def _until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_survives_the_loss_of_its_node_and_stops_with_its_run(project, cluster, environment):
    from ray.job_submission import JobStatus, JobSubmissionClient

    client = JobSubmissionClient(environment["RAY_ADDRESS"])
    node = cluster.add_node(num_cpus=1, dashboard_agent_listen_port=0)
    first = TerminalRun(environment)
    try:
        first.until(f"/{STEPS} (")
        _until(lambda: newest_step(project.store) > 0)
        _lose(node)
        cluster.add_node(num_cpus=1, dashboard_agent_listen_port=0)
        first.until("another one resumes from its newest checkpoint")
        lost_at = newest_step(project.store)
        first.until(f"resumes at step {lost_at} of {STEPS} steps")
        _until(lambda: newest_step(project.store) > lost_at)
        first.process.kill()
        _until(lambda: all(job.status.is_terminal() for job in client.list_jobs()))  # the job has noticed
        left_at = newest_step(project.store)
        assert lost_at < left_at < STEPS
    finally:
        first.process.kill()
        print("".join(first.lines))
    second = TerminalRun(environment)
    try:
        second.until(f"resumes at step {left_at} of {STEPS} steps")
        second.until(f"/{STEPS} (")
        second.process.send_signal(signal.SIGINT)
        said = second.end()
    finally:
        second.process.kill()
        print("".join(second.lines))
    stopped_at = newest_step(project.store)
    assert f"stopped at step {stopped_at} of {STEPS}; re-execute from failure to continue" in said and "Traceback" not in said
    assert sorted(job.status for job in client.list_jobs()) == [JobStatus.FAILED, JobStatus.STOPPED, JobStatus.SUCCEEDED]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("{'entrypoint_num_gpus': 1}", "FLOWMODEL_RAY_JOB: '{'entrypoint_num_gpus': 1}' is not a JSON object"),
        ("[1]", "FLOWMODEL_RAY_JOB"),
        ('{"runtime_env": 3}', "FLOWMODEL_RAY_JOB"),
        ("", "RAY_ADDRESS: .*http://127.0.0.1:9"),
    ],
)
def test_wrong_parameters_and_an_absent_cluster_are_named(parameters, said, monkeypatch, tmp_path):
    from pipelines.ray_job import run_job

    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:9")
    with pytest.raises(FlowmodelError, match=said) as error:
        run_job(None, Task("flow_checkpoint", {}, ""), Store(tmp_path), parameters, Interruption(), print)
    assert "\n" not in str(error.value)


def test_a_job_gets_the_address_of_mlflow_only_without_a_login(monkeypatch, tmp_path):
    from pipelines.ray_job import job_environment

    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert job_environment(Store(tmp_path))["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:planted@mlflow:5000")
    assert "planted" not in str(job_environment(Store(tmp_path)))

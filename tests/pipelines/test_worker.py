"""A training in a separate process: it stops on request, and resumes after being killed."""

import os
import sys
import time

import dagster as dg
import pytest

from flowmodel.store import PROJECT_ROOT
from tests.pipelines.terminal import TerminalRun, newest_step

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="sessions and signals are POSIX")]

STEPS = 300
LAUNCH = "--num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no --cpu -m pipelines.worker"


@pytest.fixture
def environment(project, monkeypatch):
    """A store with everything that a training needs, and a training of some seconds."""
    project.write_recipe(training={"steps": STEPS, "log_every": 1, "checkpoint_every": STEPS, "sample_every": STEPS})
    monkeypatch.delenv("FLOWMODEL_TRAINER")
    return {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY")}


@pytest.mark.timeout(900)
def test_a_training_survives_kill_9_of_each_process_is_terminated_in_seconds_and_continues_from_failure(project, environment):
    first = TerminalRun(environment)
    try:
        first.until(f"/{STEPS} (")
        first.worker.kill()
        first.until("was killed by SIGKILL; another one resumes from its newest checkpoint")
        first.until(f"/{STEPS} (")
        orphan = first.worker
        first.process.kill()
        orphan.wait(60)  # it has noticed
        assert 0 < newest_step(project.store) < STEPS  # and has left a checkpoint
    finally:
        first.process.kill()
    home = str(project.store.root / "dagster")
    second = TerminalRun(environment | {"FLOWMODEL_TRAINER": f"{sys.executable} -m accelerate.commands.launch {LAUNCH}"})
    try:
        second.until(f"resumes at step {newest_step(project.store)} of {STEPS} steps")
        second.until(f"/{STEPS} (")
        worker = second.worker
        with dg.DagsterInstance.from_config(home) as instance:
            canceled, killed = instance.get_runs()
            assert killed.status is dg.DagsterRunStatus.CANCELED
            assert instance.run_coordinator.cancel_run(canceled.run_id)
            began = time.monotonic()
            said = second.end()
            assert time.monotonic() - began < 60 and not worker.is_running()
            assert "stopped at step " in said and "Traceback" not in said
            assert instance.get_run_by_id(canceled.run_id).status is dg.DagsterRunStatus.CANCELED
            step = newest_step(project.store)
            assert f"stopped at step {step} of {STEPS}; re-execute from failure to continue" in said
            _re_execute(project, instance, canceled.run_id, step)
    finally:
        second.process.kill()


def _re_execute(project, instance: dg.DagsterInstance, run_id: str, step: int) -> None:
    """Like the UI's button, which reuses the failed run's results from before the training."""
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    job = ReconstructableRepository.for_module("pipelines.definitions", "defs", str(PROJECT_ROOT)).get_reconstructable_job(
        "quickstart"
    )
    with dg.execute_job(job, instance, reexecution_options=dg.ReexecutionOptions.from_failure(run_id, instance)) as result:
        assert result.success
        (made,) = [
            event for event in result.get_asset_materialization_events() if event.asset_key == dg.AssetKey("flow_checkpoint")
        ]
        shown = {label: value.value for label, value in made.materialization.metadata.items()}
        assert shown["resumed_from"] == step and shown["steps"] == STEPS and shown["trained_now"] is True
        # Its progress could be seen meanwhile, in few events.
        records = instance.fetch_observations(dg.AssetKey("flow_checkpoint"), limit=100).records
        observed = [record for record in records if record.run_id == result.run_id]
        values = [record.asset_observation.metadata for record in reversed(observed)]
        seen = [value["step"].value for value in values]
        assert 0 < len(seen) <= 10 and seen == sorted(set(seen)) and step < seen[0] and seen[-1] <= STEPS
        assert all(value["loss"].value > 0 and value["images_per_second"].value > 0 for value in values)
        [trained] = instance.fetch_materializations(dg.AssetKey("flow_checkpoint"), limit=1).records
        assert observed[-1].timestamp < trained.timestamp - 0.5
        steps = {event.step_key for event in result.get_step_success_events()}
        assert "icon_dataset" not in steps and "registered_model" in steps

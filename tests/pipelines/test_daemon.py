"""A real daemon with a short clock: schedule, sensors, automation condition, queue and messages, also after it was killed."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.scheduler.instigation import ScheduleInstigatorData

from flowmodel.locks import leave_lock, run_lock
from flowmodel.store import PROJECT_ROOT
from pipelines.definitions import defs
from pipelines.home import prepare_home
from pipelines.stale_runs import TERMINAL
from tests.pipelines.test_notify import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="sessions and signals are POSIX")]

SECONDS = 300  # for each thing to happen, on a busy machine; it takes seconds on a quiet one


class Daemon:
    """`dagster-daemon run` on the real definitions, with its code server, in a session of its own."""

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "dagster._daemon", "run", "-m", "pipelines.definitions"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=output, stderr=output, start_new_session=True)

    def kill(self) -> None:
        """The daemon alone, as where it lacks memory: the runs that it has started go on."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """And all that it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.mark.timeout(900)
def test_a_daemon_that_is_killed_and_started_again_loses_nothing_and_does_nothing_twice(project, monkeypatch):
    """A changed source is read. Changed data start a run, which waits for the accelerator until the run that has it is found
    dead, and then fails without a recipe. The schedule makes up for what it has missed. People are told once.
    """
    log, home = project.root / "daemon.log", project.store.root / "dagster"
    in_twelve_hours = datetime.now(UTC) + timedelta(hours=12)
    settings = {
        "schedules": {"ingest": {"cron": f"0 {in_twelve_hours.hour} * * *", "enabled": True}},
        "sensors": {"enabled": True, "every_seconds": 1, "upstream_every_seconds": 1, "retrain_on_changed_data": True},
        "notify": {"kind": "webhook"},
    }
    (project.root / "settings.yaml").write_text(yaml.safe_dump(settings))
    (project.root / "recipe.yaml").unlink()
    monkeypatch.setenv("FLOWMODEL_SETTINGS", str(project.root / "settings.yaml"))
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    prepare_home(project.store)
    with Receiver() as receiver, dg.DagsterInstance.get() as instance:
        monkeypatch.setenv("FLOWMODEL_WEBHOOK_URL", receiver.address)

        def told() -> list[str]:
            return sorted(content["kind"] for _, _, content in receiver.received)

        def runs(status: dg.DagsterRunStatus | None = None, **tags: str) -> list[dg.DagsterRun]:
            wanted = {f"dagster/{name}": value for name, value in tags.items()}
            return instance.get_runs(dg.RunsFilter(statuses=[status] if status else None, tags=wanted))

        def until(happened) -> None:
            deadline = time.monotonic() + SECONDS
            while not happened():
                assert time.monotonic() < deadline, log.read_text()[-5000:]
                time.sleep(0.2)

        def ticks() -> int:
            """Looks at the sources so far."""
            states = [state for state in instance.all_instigator_state() if state.name == "new_upstream"]
            return sum(len(instance.get_ticks(s.instigator_origin_id, s.selector_id)) for s in states)

        training = instance.create_run_for_job(
            defs().resolve_job_def("compare_architectures"), status=dg.DagsterRunStatus.STARTED, tags=TERMINAL
        )
        by_sensor, by_condition = {"sensor_name": "new_upstream"}, {"from_automation_condition": "true"}
        daemons = [first := Daemon(log)]
        try:
            until(lambda: runs(dg.DagsterRunStatus.STARTED, **by_sensor) or runs(dg.DagsterRunStatus.SUCCESS, **by_sensor))
            first.kill()
            until(lambda: runs(dg.DagsterRunStatus.SUCCESS, **by_sensor))
            _miss_a_day(instance, "daily_ingest")
            daemons.append(Daemon(log))
            until(lambda: runs(dg.DagsterRunStatus.QUEUED, **by_condition))
            until(lambda: runs(dg.DagsterRunStatus.SUCCESS, schedule_name="daily_ingest"))
            # The one training has the accelerator all the while.
            assert runs(dg.DagsterRunStatus.QUEUED, **by_condition)
            with run_lock(project.store, training.run_id):
                leave_lock(project.store, training.run_id)  # as `kill -9` does
            until(lambda: told() == ["new_upstream", "run_failed"])
            before = ticks()
            until(lambda: ticks() >= before + 2)
        finally:
            for daemon in daemons:
                daemon.end()
        assert told() == ["new_upstream", "run_failed"]
        assert instance.get_run_by_id(training.run_id).status is dg.DagsterRunStatus.CANCELED
        made = Counter((run.job_name, run.status.value) for run in instance.get_runs() if run.run_id != training.run_id)
        (failed,) = runs(**by_condition)
        assert made == Counter({("ingest", "SUCCESS"): 2, (failed.job_name, "FAILURE"): 1})
        (reason,) = [content["reason"] for _, _, content in receiver.received if content["kind"] == "run_failed"]
        assert "recipe.yaml" in reason
        kept = [path for path in project.root.rglob("*") if path.is_file() and b"planted-secret" in path.read_bytes()]
        assert kept == []


def _miss_a_day(instance: dg.DagsterInstance, schedule: str) -> None:
    """As if the daemon had looked at the schedule a day ago for the last time."""
    (state,) = [state for state in instance.all_instigator_state() if state.name == schedule]
    data = state.instigator_data
    assert isinstance(data, ScheduleInstigatorData)
    yesterday = time.time() - 86400
    then = ScheduleInstigatorData(data.cron_schedule, yesterday, yesterday)
    instance.update_instigator_state(state.with_data(then))

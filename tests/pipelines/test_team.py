"""The profile of a team: each service of deploy/compose.yaml is started by its own command, and the whole job runs there.

PostgreSQL is that of the machine, the storage is moto's server; all else is what the image runs.
"""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dagster as dg
import pytest
import yaml

from flowmodel.store import PROJECT_ROOT
from pipelines.definitions import defs

DEPLOY = PROJECT_ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SECRETS = {
    "POSTGRES_PASSWORD": "planted-postgres%:pass",
    "MLFLOW_TRACKING_USERNAME": "planted-user",
    "MLFLOW_TRACKING_PASSWORD": "planted-mlflow-password",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "planted-secret-key",
    "AWS_ACCESS_KEY_ID": "planted-access-key",
    "AWS_SECRET_ACCESS_KEY": "planted-storage-key",
}
_VARIABLE = re.compile(r"\$\{(\w+):[?-][^}]*\}")
_PATIENCE = 240  # seconds, on a busy machine

_INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_BINARIES = _INSTALLED[0] if _INSTALLED else Path(shutil.which("initdb") or "/none").parent
_POSTGRES = "postgres" if os.geteuid() == 0 else None  # the user, because PostgreSQL does not run as root


def test_the_compose_file_keeps_the_schema_and_pins_its_images():
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    images = {service["image"] for service in COMPOSE["services"].values()}
    assert all(re.fullmatch(r"[\w./]+:\S*\d\S*", image) for image in images), images
    named = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    assert named == SECRETS.keys() == set(re.findall(r"^(\w+)=$", (DEPLOY / "example.env").read_text(encoding="utf-8"), re.M))


def test_on_kubernetes_each_step_has_a_pod_and_training_alone_asks_for_a_gpu(monkeypatch):
    """By the configuration schemas of dagster-k8s; the chart's own schema is checked by Helm whenever it is used."""
    from dagster_k8s.job import UserDefinedDagsterK8sConfig

    values = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8"))
    assert "nvidia" not in yaml.safe_dump(values)
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    snake = {re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name): value for name, value in launcher.items()}
    assert UserDefinedDagsterK8sConfig.from_dict(snake).container_config["resources"]["limits"] == {"memory": "6Gi"}
    [deployment] = values["dagster-user-deployments"]["deployments"]
    environment = {each["name"]: each["value"] for each in deployment["env"]}
    assert deployment["includeConfigInLaunchedRuns"] == {"enabled": True} and "PASSWORD" not in "".join(environment)
    own = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8"))["concurrency"]["pools"]
    pools = values["concurrency"]["pools"]
    assert values["concurrency"]["enabled"] and list(own.values()) == [pools["defaultLimit"], pools["granularity"]]
    assert values["retention"]["enabled"] and values["retention"]["sensor"]["purgeAfterDays"]["skipped"] == 1

    monkeypatch.setenv("FLOWMODEL_EXECUTOR", environment["FLOWMODEL_EXECUTOR"])
    assert defs().get_repository_def().get_sensor_def("dead_runs").default_status is dg.DefaultSensorStatus.STOPPED
    job = defs().resolve_job_def("retrain")
    assert job.executor_def.name == "k8s"
    asked = {node.name: node.tags["dagster-k8s/config"] for node in job.graph.node_defs if "dagster-k8s/config" in node.tags}
    assert asked.keys() == {"flow_checkpoint", "finisher"}
    for tag in asked.values():
        config = UserDefinedDagsterK8sConfig.from_dict(json.loads(tag) if isinstance(tag, str) else tag)
        assert config.container_config["resources"]["limits"] == {"nvidia.com/gpu": "1"}


def _free_ports(*names: str) -> dict[str, str]:
    """A different free port for each name. All are held until the last is chosen, because a closed one may be given again."""
    with ExitStack() as held:
        probes = {name: held.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names}
        return {name: str(probe.getsockname()[1]) for name, probe in probes.items()}


@contextmanager
def _running(command: list[str], environment: Mapping[str, str], log: Path, user: str | None = None) -> Iterator[None]:
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            cwd="/" if user else PROJECT_ROOT,
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
            user=user,
        )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT if user else signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _wait_for(port: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                return
        assert time.monotonic() < until, log.read_text()[-2000:]
        time.sleep(0.2)


def _ask(port: str, query: str) -> dict:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def _found_in(content: bytes) -> list[str]:
    # The name of the user and of the key are no secrets: MLflow records who logged a run, and a storage who signed a request.
    passwords = {name: value for name, value in SECRETS.items() if name not in ("MLFLOW_TRACKING_USERNAME", "AWS_ACCESS_KEY_ID")}
    pair = f"{SECRETS['MLFLOW_TRACKING_USERNAME']}:{SECRETS['MLFLOW_TRACKING_PASSWORD']}"
    looked_for = {*passwords.values(), SECRETS["POSTGRES_PASSWORD"].replace("%", "%25"), base64.b64encode(pair.encode()).decode()}
    return [secret for secret in looked_for if secret.encode() in content]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not (_BINARIES / "initdb").exists(), reason="needs PostgreSQL")
def test_the_job_runs_on_a_team_s_server_and_no_secret_is_kept_or_logged(project, tmp_path):
    shutil.rmtree(project.store.root / "mlflow")  # the team has a server
    ports = _free_ports("postgres", "s3", "mlflow", "code", "webserver-read-only")
    home = tmp_path / "home"
    home.mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(DEPLOY / name, home)
    basis = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DAGSTER_", "AWS_", "PG"))}
    basis |= {"PATH": f"{Path(sys.executable).parent}:{_BINARIES}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
    quiet = {"DAGSTER_DISABLE_TELEMETRY": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}

    def environment(service: str) -> dict[str, str]:
        """That of the service, with the places of this machine for those of the containers."""
        values = COMPOSE["services"][service].get("environment", {})
        values = {
            name: re.sub(r"\$\{(\w+):[?-][^}]*\}", lambda of: SECRETS.get(of[1], ""), value) for name, value in values.items()
        }
        here = {"postgres": ("5432", "PGHOST", "POSTGRES_HOST"), "code": ("4000", "CODE_HOST"), "mlflow": ("5252", "MLFLOW_HOST")}
        for name, (port, *hosts) in here.items():
            values = {key: value.replace(f"{name}:{port}", f"127.0.0.1:{ports[name]}") for key, value in values.items()}
            values |= {key: "127.0.0.1" for key in hosts if key in values}
        values = {key: value.replace("s3:9000", f"127.0.0.1:{ports['s3']}") for key, value in values.items()}
        own = {"POSTGRES_PORT": "postgres", "PGPORT": "postgres", "CODE_PORT": "code", "MLFLOW_PORT": "mlflow"}
        values |= {key: ports[name] for key, name in own.items() if key in values}
        values |= {"DAGSTER_PORT": ports[service]} if "DAGSTER_PORT" in values else {}
        return basis | quiet | values | {"DAGSTER_HOME": str(home), "FLOWMODEL_RECIPE": basis["FLOWMODEL_RECIPE"]}

    def command(service: str) -> list[str]:
        return [part.replace("$$", "$") for part in COMPOSE["services"][service]["command"]]

    with ExitStack() as services:
        place = Path(tempfile.mkdtemp(prefix="flowmodel-postgres-", dir="/tmp"))
        services.callback(shutil.rmtree, place, ignore_errors=True)
        (place / "password").write_text(SECRETS["POSTGRES_PASSWORD"])
        for path in (place, place / "password"):
            shutil.chown(path, _POSTGRES or os.geteuid())
        data = place / "data"
        make = [_BINARIES / "initdb", "-D", data, "-U", "flowmodel", "--pwfile", place / "password", "-A", "scram-sha-256", "-N"]
        subprocess.run([*map(str, make)], user=_POSTGRES, cwd="/", check=True, capture_output=True, env=basis)
        start = [_BINARIES / "postgres", "-D", data, "-p", ports["postgres"], "-k", place, "-h", "127.0.0.1", "-F"]
        services.enter_context(_running([*map(str, start)], basis, tmp_path / "postgres.log", user=_POSTGRES))
        _wait_for(ports["postgres"], tmp_path / "postgres.log")
        client = environment("mlflow")
        subprocess.run(
            ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-f", str(DEPLOY / "databases.sql")], env=client, check=True
        )
        moto = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", ports["s3"]]
        services.enter_context(_running(moto, basis, tmp_path / "s3.log"))
        _wait_for(ports["s3"], tmp_path / "s3.log")
        for service in ("mlflow", "code"):
            services.enter_context(_running(command(service), environment(service), tmp_path / f"{service}.log"))
        for service in ("mlflow", "code"):
            _wait_for(ports[service], tmp_path / f"{service}.log")
        for service in ("daemon", "webserver-read-only"):
            services.enter_context(_running(command(service), environment(service), tmp_path / f"{service}.log"))

        # MLflow lets nobody in without a login.
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                f"http://127.0.0.1:{ports['mlflow']}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=60
            )
        assert refused.value.code == 401

        done = subprocess.run(
            [sys.executable, "-m", "pipelines.run"], cwd=PROJECT_ROOT, env=environment("code"), capture_output=True, text=True
        )
        (tmp_path / "run.log").write_text(done.stdout + done.stderr)
        assert done.returncode == 0, done.stdout + done.stderr

        # Everybody sees the run, and nobody can end or delete it there.
        _wait_for(ports["webserver-read-only"], tmp_path / "webserver-read-only.log")
        seen = _ask(ports["webserver-read-only"], "{runsOrError {... on Runs {results {runId status}}}}")
        [run] = seen["data"]["runsOrError"]["results"]
        assert run["status"] == "SUCCESS"
        mutation = f'mutation {{deletePipelineRun(runId: "{run["runId"]}") {{__typename}}}}'
        assert _ask(ports["webserver-read-only"], mutation)["data"]["deletePipelineRun"]["__typename"] == "UnauthorizedError"
        until = time.monotonic() + _PATIENCE
        daemons = "{instance {daemonHealth {allDaemonStatuses {daemonType healthy required}}}}"
        while not all(
            each["healthy"]
            for each in _ask(ports["webserver-read-only"], daemons)["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
            if each["required"]
        ):
            assert time.monotonic() < until, (tmp_path / "daemon.log").read_text()[-2000:]
            time.sleep(1)

        # Metrics and versions are in PostgreSQL, artifacts in the bucket, and none in the store.
        dumps = {}
        for database in ("dagster", "mlflow", "mlflow_auth"):
            dumped = subprocess.run(["pg_dump", database], env=client, check=True, capture_output=True)
            dumps[database] = dumped.stdout
        assert b"ASSET_MATERIALIZATION" in dumps["dagster"] and b"retrieval_top1_all" in dumps["mlflow"]
        assert not (project.store.root / "mlflow" / "mlflow.db").exists() and not project.store.mlflow_artifacts.exists()
        import boto3

        bucket = boto3.resource(
            "s3",
            endpoint_url=f"http://127.0.0.1:{ports['s3']}",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            region_name="us-east-1",
        ).Bucket("flowmodel")
        objects = {each.key: each.get()["Body"].read() for each in bucket.objects.all()}
        assert any(key.endswith("final.safetensors") for key in objects) and any(key.endswith("report.html") for key in objects)

        files = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert {str(tmp_path / f"{name}.log") for name in ("mlflow", "code", "daemon", "run", "postgres")} <= files.keys()
        kept = files | dumps | objects
        assert {name: found for name, content in kept.items() if (found := _found_in(content))} == {}

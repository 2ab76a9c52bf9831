"""`python -m pipelines.run [JOB]`: runs a job once in this process; the Dagster UI shows the run like any other.

`dagster job execute` records no code location, so the UI's first pages omit its runs, and it needs a prepared DAGSTER_HOME.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INGEST = "ingest"
MODULE, ATTRIBUTE = "pipelines.definitions", "defs"


def run_job(name: str, config: Mapping[str, Any]) -> bool:
    """Execute the job `name` with its own run configuration, overridden by `config`; returns whether it succeeded.

    Raises FlowmodelError when there is no such job, or MLflow, which it needs, can't be used.
    """
    import dagster as dg
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._core.execution.api import execute_run
    from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.utils import make_new_run_id
    from dagster._utils.merger import deep_merge_dicts

    from flowmodel.errors import FlowmodelError
    from flowmodel.locks import leave_lock, run_lock
    from flowmodel.registry.tracking import Tracking
    from flowmodel.store import IS_CHECKOUT, PROJECT_ROOT, Store
    from pipelines.pools import take_place
    from pipelines.stale_runs import TERMINAL
    from pipelines.terminal_run import terminable

    here, store = str(PROJECT_ROOT), Store.from_environment()
    repository = ReconstructableRepository.for_module(MODULE, ATTRIBUTE, here)
    definition = repository.get_definition()
    jobs = sorted(name for name in definition.job_names if not name.startswith("__"))
    if name not in jobs:
        raise FlowmodelError(f"job '{name}': no such job; there are {', '.join(jobs)}")
    if name != INGEST:  # all others use MLflow
        _ = Tracking.of(store).experiment_id
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE, working_directory=here)
    # The name in workspace.yaml; without that file, `make ui` uses the module's name.
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, "flowmodel" if IS_CHECKOUT else MODULE)
    job = repository.get_reconstructable_job(name)
    run_id = make_new_run_id()
    # The lock is taken before the run is created, so that a run that dies at any moment is detected as dead.
    with dg.DagsterInstance.get() as instance, run_lock(store, run_id):
        run = instance.create_run_for_job(
            job.get_definition(),
            run_id=run_id,
            run_config=deep_merge_dicts(job.get_definition().run_config or {}, config),
            tags={**job.get_definition().run_tags, **TERMINAL},
            remote_job_origin=RemoteRepositoryOrigin(location, definition.name).get_job_origin(name),
            job_code_origin=job.get_python_origin(),
        )
        with terminable(instance, run_id):
            run = take_place(instance, store, run, lambda line: print(line, flush=True))
            try:
                return execute_run(job, run, instance).success
            except BaseException:  # raised by Dagster itself, for example when the disk is full
                leave_lock(store, run_id)
                raise


def _configuration(file: Path) -> dict[str, Any]:
    """Raises FlowmodelError when the file can't be read or is not a mapping."""
    import yaml

    from flowmodel.errors import FlowmodelError

    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FlowmodelError(f"{file}: {' '.join(str(error).split())}") from None
    if not isinstance(config, dict):
        raise FlowmodelError(f"{file}: not a mapping; write it in the format of the job's Launchpad")
    return config


def main() -> int:
    """Returns 0 on success, 1 if a step or a blocking check failed or the run was stopped, 2 if the input is invalid."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.run", description="Run a job of the pipeline in this terminal.")
    parser.add_argument("job", nargs="?", default="quickstart", help="its name; default: quickstart, the whole pipeline")
    parser.add_argument("-c", "--config", type=Path, help="YAML file with the run's configuration, in the Launchpad's format")
    options = parser.parse_args()
    print("loading …", flush=True)
    # Warnings of libraries are for developers; child processes inherit this.
    warnings.simplefilter("ignore")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")

    from flowmodel.errors import FlowmodelError, machine_refusal
    from flowmodel.store import Store
    from pipelines.home import prepare_home

    try:
        config = _configuration(options.config) if options.config else {}
        prepare_home(Store.from_environment())
        return 0 if run_job(options.job, config) else 1
    except FlowmodelError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 1
    except Exception as error:
        if (refusal := machine_refusal(error)) is None:
            raise
        print(f"error: {refusal}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

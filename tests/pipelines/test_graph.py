"""The graph of the code location against a reviewed file, so that a change of assets, checks, jobs, schedules or sensors is
noticed.

After an intended change, `python -m tests.pipelines.test_graph` updates the file.
"""

import os
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("graph.yaml")


def graph() -> dict[str, Any]:
    from pipelines.definitions import defs

    location = defs()
    assets, repository = location.resolve_asset_graph(), location.get_repository_def()
    checks = {}
    for key in sorted(assets.asset_check_keys, key=str):
        node = assets.get(key)
        checks[f"{key.asset_key.to_user_string()}: {key.name}"] = "blocking" if node.blocking else "not blocking"
    return {
        "assets": {
            key.to_user_string(): {
                "group": (node := assets.get(key)).group_name,
                "depends_on": sorted(parent.to_user_string() for parent in node.parent_keys),
                "automation": node.automation_condition.get_label() or "yes" if node.automation_condition else None,
                "fresh_for": str(policy.fail_window.to_timedelta()) if (policy := node.freshness_policy) else None,
                "pool": sorted(node.pools or ()) if node.is_materializable else [],
                "materializable": node.is_materializable,
            }
            for key in sorted(assets.get_all_asset_keys(), key=str)
        },
        "checks": checks,
        "jobs": {
            job.name: sorted(job.run_config or {}) for job in sorted(location.resolve_all_job_defs(), key=lambda job: job.name)
        },
        "schedules": {each.name: f"{each.cron_schedule}, {each.job_name}" for each in repository.schedule_defs},
        "sensors": {each.name: each.default_status.value for each in sorted(repository.sensor_defs, key=lambda each: each.name)},
    }


def test_the_graph_is_the_reviewed_one(monkeypatch):
    for name in ("FLOWMODEL_SOURCES", "FLOWMODEL_RECIPE", "FLOWMODEL_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    assert graph() == yaml.safe_load(FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    for name in ("FLOWMODEL_SOURCES", "FLOWMODEL_RECIPE", "FLOWMODEL_SETTINGS"):
        os.environ.pop(name, None)
    FILE.write_text(yaml.safe_dump(graph(), sort_keys=False), encoding="utf-8")

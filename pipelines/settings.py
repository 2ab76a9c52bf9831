"""The settings of unattended operation: schedules, sensors, freshness and notifications. docs/deployment.md explains them."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flowmodel.errors import FlowmodelError
from flowmodel.settings_yaml import load_yaml

WEBHOOK_URL = "FLOWMODEL_WEBHOOK_URL"
SMTP_PASSWORD = "FLOWMODEL_SMTP_PASSWORD"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScheduleSettings(_Section):
    cron: str = Field(description="Cron string of five fields: minute, hour, day of the month, month, day of the week.")
    enabled: bool = Field(False, description="Whether it runs without being switched on in the UI.")

    @field_validator("cron")
    @classmethod
    def _is_read_by_dagster(cls, cron: str) -> str:
        import dagster as dg

        try:
            dg.ScheduleDefinition(name="probe", job_name="probe", cron_schedule=cron)
        except dg.DagsterInvalidDefinitionError:
            raise ValueError("must be a cron string of five fields, such as '0 3 * * 0' for Sundays at 3") from None
        return cron


class Schedules(_Section):
    time_zone: str = Field("UTC", description="Name of the IANA time zone of both cron strings, such as Europe/Berlin.")
    retrain: ScheduleSettings = ScheduleSettings(cron="0 3 * * 0")
    ingest: ScheduleSettings = ScheduleSettings(cron="0 2 * * *")

    @field_validator("time_zone")
    @classmethod
    def _exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            raise ValueError("unknown IANA time zone; use one such as Europe/Berlin") from None
        return name


class Sensors(_Section):
    enabled: bool = Field(False, description="Whether they run without being switched on in the UI.")
    every_seconds: int = Field(30, ge=1, description="Minimum number of seconds between two checks of the runs and results.")
    upstream_every_seconds: int = Field(21600, ge=1, description="Minimum number of seconds between two checks of the sources.")
    retrain_on_changed_data: bool = Field(False, description="Whether changed data start a training; the UI can override it.")


_Days = Annotated[float | None, Field(ge=1 / 1440, le=3650)]


class Freshness(_Section):
    sources_days: _Days = Field(2, description="Maximum age of the last reading of a source.")
    champion_days: _Days = Field(14, description="Maximum age of the last run that made or confirmed a champion.")


class Retention(_Section):
    enabled: bool = Field(True, description="Whether the sensor runs without having been switched on in the UI.")
    every_hours: float = Field(24, ge=1 / 3600, description="Minimum number of hours between two removals.")
    runs_days: _Days = Field(180, description="Age at which a finished run leaves Dagster's history; empty: never.")
    checkpoints_days: _Days = Field(
        None, description="Age at which unreferenced trainings, data sets and tables are removed; empty: never."
    )
    versions: int | None = Field(None, ge=1, description="Registered versions kept beside those that have an alias; empty: all.")
    downloads_days: _Days = Field(None, description="Age at which a download that was not used again is removed; empty: never.")


class FileNotifier(_Section):
    """Writes a line of JSON for each event."""

    kind: Literal["file"] = "file"
    path: str = Field("", description="The file, relative to the folder of the settings file; if empty, a file in the store.")


class WebhookNotifier(_Section):
    """Sends the event as JSON by POST to the address in FLOWMODEL_WEBHOOK_URL."""

    kind: Literal["webhook"]


class SlackNotifier(_Section):
    """Sends a Slack message by POST to the incoming webhook in FLOWMODEL_WEBHOOK_URL."""

    kind: Literal["slack"]


class EmailNotifier(_Section):
    """Sends email by SMTP; the password of `user` comes from FLOWMODEL_SMTP_PASSWORD."""

    kind: Literal["email"]
    host: str = Field(min_length=1)
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = Field("", description="User name; if empty, there is no login.")
    sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(min_length=1)


Notifier = Annotated[FileNotifier | WebhookNotifier | SlackNotifier | EmailNotifier, Field(discriminator="kind")]


class Settings(_Section):
    schedules: Schedules = Schedules()
    sensors: Sensors = Sensors()
    freshness: Freshness = Freshness()
    retention: Retention = Retention()
    notify: Notifier = FileNotifier()
    dagster_url: str = Field(
        "http://127.0.0.1:3000", pattern=r"^https?://[^\s@]+$", description="Address of Dagster for links in notifications."
    )


def settings_file() -> Path:
    """The file named by FLOWMODEL_SETTINGS, else `pipelines/settings.yaml`."""
    return Path(os.environ.get("FLOWMODEL_SETTINGS") or Path(__file__).with_name("settings.yaml")).resolve()


def load_settings() -> Settings:
    """The settings of this deployment. Raises FlowmodelError naming the file, the field and its valid values."""
    path = settings_file()
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FlowmodelError(f"{path}: no such file; FLOWMODEL_SETTINGS names it") from None
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise FlowmodelError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if content is not None and not isinstance(content, dict):
        raise FlowmodelError(f"{path}: must be a mapping with {', '.join(Settings.model_fields)}")
    try:
        settings = Settings.model_validate(content or {})
    except ValidationError as error:
        raise FlowmodelError(f"{path}: {'; '.join(map(_problem, error.errors()))}") from None
    if isinstance(settings.notify, FileNotifier) and settings.notify.path:
        place = str(path.parent / Path(settings.notify.path).expanduser())
        return settings.model_copy(update={"notify": FileNotifier(path=place)})
    return settings


def _problem(item: Any) -> str:
    place = item["loc"]
    field = ".".join(map(str, place))
    if item["type"] == "extra_forbidden":
        about = f"; secrets come from the environment ({WEBHOOK_URL}, {SMTP_PASSWORD}), never from this file"
        return f"{field}: unknown field{about if place[0] == 'notify' else ''}"
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return f"{field}.kind: must be file, webhook, slack or email"
    says = item["msg"].removeprefix("Value error, ")
    # Values that may be a misplaced secret are not repeated.
    return f"{field}: {says}" if place[0] in ("notify", "dagster_url") else f"{field}: {says}, got {item['input']!r}"

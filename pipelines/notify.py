"""Notifies people of an event through a line in a file, a webhook, Slack or email.

No error repeats a webhook's address or a password. Both are secrets, and Dagster logs the errors of sensors.
"""

import json
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from http.client import HTTPException
from pathlib import Path
from typing import Any

from flowmodel.errors import FlowmodelError
from pipelines.settings import SMTP_PASSWORD, WEBHOOK_URL, EmailNotifier, FileNotifier, Notifier, SlackNotifier

SECONDS = 10.0
_ATTACHED = 5_000_000  # bytes; many mail servers refuse larger messages


@dataclass(frozen=True)
class Event:
    """An event that people are notified of once.

    Attributes:
        id: the same each time that the same event is found.
        kind: run_failed, new_champion, not_fresh, new_upstream or newer_version.
        title: one line.
        reason: why, in one or more lines.
        link: address of a page that shows it.
        grid: path of the grid of samples; empty if there is none.
        time: when it was found, such as 2026-01-31T12:00:00+00:00.
    """

    id: str
    kind: str
    title: str
    reason: str
    link: str
    grid: str = ""
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def send(event: Event, notifier: Notifier, default_file: Path) -> None:
    """Send `event`; a notifier of kind file without a path writes to `default_file`.

    Raises FlowmodelError when a secret is missing from the environment, or the receiver doesn't accept the message.
    """
    if isinstance(notifier, FileNotifier):
        _append(event, Path(notifier.path) if notifier.path else default_file)
    elif isinstance(notifier, EmailNotifier):
        _mail(event, notifier)
    elif isinstance(notifier, SlackNotifier):
        _post(event, {"text": _slack_text(event)})
    else:
        _post(event, asdict(event))


def _append(event: Event, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab+") as lines:
            lines.seek(0)
            there = lines.read()
            if f'"id": {json.dumps(event.id)},'.encode() in there:
                return  # already written by a process that died before it could record that
            torn = b"\n" if there and not there.endswith(b"\n") else b""
            lines.write(torn + json.dumps(asdict(event), ensure_ascii=False).encode() + b"\n")
            lines.flush()
            os.fsync(lines.fileno())
    except OSError as error:
        raise FlowmodelError(f"{file}: {error.strerror}; name another file in notify.path of the settings") from None


def _slack_text(event: Event) -> str:
    def escaped(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    lines = [f"*{escaped(event.title)}*", escaped(event.reason), f"<{event.link}|Open>"]
    return "\n".join([*lines, f"Samples: {escaped(event.grid)}"] if event.grid else lines)


def _post(event: Event, content: Mapping[str, Any]) -> None:
    address = os.environ.get(WEBHOOK_URL, "")
    if not address.startswith(("http://", "https://")):
        raise FlowmodelError(
            f"{WEBHOOK_URL}: not set to an address that begins with http:// or https://; set it where Dagster starts"
        )
    headers = {"Content-Type": "application/json", "Idempotency-Key": event.id, "User-Agent": "flowmodel"}
    problem = ""
    try:
        request = urllib.request.Request(address, json.dumps(content).encode(), headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            response.read(1)
    except urllib.error.HTTPError as error:
        problem = f"answered with status {error.code}"
    except (OSError, ValueError, HTTPException) as error:
        problem = f"could not be reached ({type(getattr(error, 'reason', error)).__name__})"
    if problem:  # not raised in the handlers, whose error may contain the address
        raise FlowmodelError(f"{WEBHOOK_URL}: the webhook {problem}; the notification waits and is sent again")


def _mail(event: Event, mail: EmailNotifier) -> None:
    message = EmailMessage()
    message["Subject"] = f"[flowmodel] {' '.join(event.title.split())}"
    message["From"], message["To"] = mail.sender, ", ".join(mail.to)
    message["Message-ID"] = f"<{event.id}@flowmodel>"  # mail programs hide duplicates with the same id
    message["Date"] = datetime.fromisoformat(event.time)
    message.set_content("\n\n".join(filter(None, [event.reason, event.link, event.grid and f"Samples: {event.grid}"])))
    grid = Path(event.grid) if event.grid else None
    if grid and grid.is_file() and grid.stat().st_size <= _ATTACHED:
        message.add_attachment(grid.read_bytes(), maintype="image", subtype="png", filename=grid.name)
    password = os.environ.get(SMTP_PASSWORD, "")
    if mail.user and not password:
        raise FlowmodelError(f"{SMTP_PASSWORD}: not set; user {mail.user} of {mail.host} needs it")
    problem = ""
    try:
        with _connected(mail) as server:
            if mail.user:
                server.login(mail.user, password)
            refused = server.send_message(message)
        if refused:
            problem = f"accepted the message, but not for {', '.join(refused)}"
    except smtplib.SMTPResponseException as error:
        problem = f"answered with {error.smtp_code} ({type(error).__name__})"
    except (OSError, smtplib.SMTPException) as error:
        problem = f"did not accept the message ({type(error).__name__})"
    if problem:
        raise FlowmodelError(f"mail server {mail.host}:{mail.port} {problem}; the notification waits and is sent again")


def _connected(mail: EmailNotifier) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if mail.security == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, timeout=SECONDS, context=context)
    server = smtplib.SMTP(mail.host, mail.port, timeout=SECONDS)
    if mail.security == "starttls":
        server.starttls(context=context)
    return server

"""Every notifier with real servers, and the outbox that loses nothing."""

import datetime
import email
import ipaddress
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from flowmodel.errors import FlowmodelError
from pipelines.notify import Event, send
from pipelines.outbox import Outbox
from pipelines.settings import EmailNotifier, FileNotifier, SlackNotifier, WebhookNotifier
from pipelines.ui import free_port

EVENT = Event("run-failed-1", "run_failed", "Run 1 has failed", "evaluation: a < b & c", "http://127.0.0.1:3000/runs/1")


class Receiver(HTTPServer):
    """Records path, headers and content of each POST, and responds with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.received = 200, []

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/planted-secret"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append((self.path, self.headers, content))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver(monkeypatch):
    with Receiver() as started:
        monkeypatch.setenv("FLOWMODEL_WEBHOOK_URL", started.address)
        yield started


def test_a_webhook_gets_the_event_with_a_key_that_stays_the_same(receiver, tmp_path):
    send(EVENT, WebhookNotifier(kind="webhook"), tmp_path / "unused")
    ((path, headers, content),) = receiver.received
    assert path == "/planted-secret" and headers["Idempotency-Key"] == EVENT.id
    assert Event(**content) == EVENT


def test_slack_gets_text_with_a_link_and_the_path_of_the_samples(receiver, tmp_path):
    event = Event(**{**EVENT.__dict__, "grid": "/store/grid.png"})
    send(event, SlackNotifier(kind="slack"), tmp_path / "unused")
    ((_, _, content),) = receiver.received
    assert content == {
        "text": "*Run 1 has failed*\nevaluation: a &lt; b &amp; c\n<http://127.0.0.1:3000/runs/1|Open>\nSamples: /store/grid.png"
    }


def test_a_file_gets_one_line_for_an_event_also_after_a_line_that_was_cut_off(tmp_path):
    file = tmp_path / "told" / "events.jsonl"
    notifier = FileNotifier(path=str(file))
    send(EVENT, notifier, tmp_path / "unused")
    send(EVENT, notifier, tmp_path / "unused")
    with file.open("a") as lines:
        lines.write('{"id": "torn')
    other = Event(**{**EVENT.__dict__, "id": "run-failed-12"})
    send(other, notifier, tmp_path / "unused")
    first, torn, second = file.read_text().splitlines()
    assert (Event(**json.loads(first)), torn, Event(**json.loads(second))) == (EVENT, '{"id": "torn', other)


class Mailbox(Message):
    def __init__(self) -> None:
        super().__init__()
        self.received: list[email.message.Message] = []

    def handle_message(self, message) -> None:
        self.received.append(message)


def _certificate(folder):
    """Of 127.0.0.1, by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    signed = builder.add_extension(host, critical=False).sign(key, hashes.SHA256())
    file, private = folder / "cert.pem", serialization.PrivateFormat.PKCS8
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
    )
    return file


def test_a_mail_goes_encrypted_with_a_password_and_the_samples_attached(tmp_path, monkeypatch):
    certificate, mailbox, passwords = _certificate(tmp_path), Mailbox(), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def login(server, session, envelope, mechanism, data):
        passwords.append((data.login, data.password))
        return AuthResult(success=data.password == b"planted-password", handled=False)  # the server answers

    port = free_port(0)
    server = Controller(
        mailbox,
        "127.0.0.1",
        port,
        ready_timeout=60,
        tls_context=context,
        require_starttls=True,
        authenticator=login,
        auth_required=True,
    )
    server.start()
    grid = tmp_path / "grid.png"
    Image.new("RGB", (8, 8), "red").save(grid)
    event = Event(**{**EVENT.__dict__, "grid": str(grid)})
    notifier = EmailNotifier(
        kind="email", host="127.0.0.1", port=port, user="me", sender="from@example.org", to=("to@example.org", "and@example.org")
    )
    try:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv("FLOWMODEL_SMTP_PASSWORD", "planted-password")
        send(event, notifier, tmp_path / "unused")
        monkeypatch.setenv("FLOWMODEL_SMTP_PASSWORD", "wrong-password")
        with pytest.raises(FlowmodelError, match=r"answered with 535") as refused:
            send(event, notifier, tmp_path / "unused")
        monkeypatch.delenv("FLOWMODEL_SMTP_PASSWORD")
        with pytest.raises(FlowmodelError, match="FLOWMODEL_SMTP_PASSWORD: not set"):
            send(event, notifier, tmp_path / "unused")
    finally:
        server.stop()
    assert passwords[0] == (b"me", b"planted-password") and "password" not in str(refused.value).lower()
    (message,) = mailbox.received
    assert message["Subject"] == "[flowmodel] Run 1 has failed" and message["Message-ID"] == "<run-failed-1@flowmodel>"
    assert message["To"] == "to@example.org, and@example.org"
    text, image = message.get_payload()
    assert EVENT.reason in text.get_payload() and EVENT.link in text.get_payload()
    assert image.get_filename() == "grid.png" and image.get_payload(decode=True) == grid.read_bytes()


@pytest.mark.parametrize(
    "address", ["", "planted-secret", "http://127.0.0.1:planted-secret/", "http://127.0.0.1:1/planted-secret"]
)
def test_a_webhook_that_is_not_there_gives_one_line_without_its_address(address, monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWMODEL_WEBHOOK_URL", address)
    with pytest.raises(FlowmodelError, match="FLOWMODEL_WEBHOOK_URL: ") as raised:
        send(EVENT, WebhookNotifier(kind="webhook"), tmp_path / "unused")
    assert "planted" not in str(raised.value) and raised.value.__context__ is None


def test_what_could_not_be_sent_waits_and_is_reported_once(receiver, tmp_path):
    outbox, notifier = Outbox(tmp_path), WebhookNotifier(kind="webhook")

    def deliver():
        return outbox.deliver(lambda event: send(event, notifier, outbox.file))

    assert outbox.put(EVENT) and not outbox.put(EVENT)
    receiver.status = 503
    with pytest.raises(FlowmodelError, match="answered with status 503; the notification waits"):
        deliver()
    assert outbox.waiting() == [EVENT]
    receiver.status = 200
    assert deliver() == [EVENT] and deliver() == []
    assert not outbox.put(EVENT) and deliver() == [] and len(receiver.received) == 2


def test_one_event_that_is_not_taken_keeps_no_other_back(tmp_path):
    outbox, told = Outbox(tmp_path), []
    for number in range(3):
        outbox.put(Event(**{**EVENT.__dict__, "id": str(number)}))

    def send_all_but_one(event):
        if event.id == "1":
            raise FlowmodelError("refused")
        told.append(event.id)

    with pytest.raises(FlowmodelError, match="refused"):
        outbox.deliver(send_all_but_one)
    assert sorted(told) == ["0", "2"] and [event.id for event in outbox.waiting()] == ["1"]

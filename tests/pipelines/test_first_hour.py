"""The first hour in a real browser: a run in the terminal, Dagster's pages, MLflow's, the report.

`--screenshots STORE` uses the store of a `make quickstart`, and writes images for the documentation.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from flowmodel.store import PROJECT_ROOT, Store
from pipelines.ui import free_port
from tests.evaluation.browser import CHROMIUM, Page, browser_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.name != "posix", reason="sessions and signals are POSIX"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium"),
]

IMAGES = PROJECT_ROOT / "docs" / "images"
SECONDS = 300
# MLflow's page asks who is logged in, also where nobody can be, and its charts may be resized twice in a frame.
THEIR_ERRORS = re.compile(
    r"/mlflow/users/current Failed to load resource: the server responded with a status of 404|ResizeObserver loop"
)


@pytest.fixture(scope="module")
def environment(request, shared_project) -> dict[str, str]:
    """The environment of a shell, with a store and ports."""
    hidden = {"DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY", "PYTHONWARNINGS", "MLFLOW_TRACKING_URI"}
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    if store := request.config.getoption("--screenshots"):
        variables["FLOWMODEL_STORE"] = store
        for name in ("FLOWMODEL_SOURCES", "FLOWMODEL_RECIPE"):
            del variables[name]
    return variables | {"COLUMNS": "80"} | {f"{server}_PORT": str(free_port(0)) for server in ("DAGSTER", "MLFLOW", "STUDIO")}


@pytest.fixture(scope="module")
def store(request, environment) -> Store:
    """A store with one run, made in a terminal."""
    store = Store(Path(environment["FLOWMODEL_STORE"]))
    if not request.config.getoption("--screenshots"):
        for command in (["pipelines.run"], ["flowmodel", "summary"]):
            done = subprocess.run(
                [sys.executable, "-m", *command], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
            assert "Traceback" not in done.stdout
        assert f"sample grid       {store.root}/sample_grid/" in done.stdout.replace("\n", " "), "paths are in one piece"
    return store


class Ui:
    """`make ui`, with two of the addresses that it prints."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.ui"],
            cwd=PROJECT_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def wait(self) -> None:
        deadline = time.monotonic() + SECONDS
        while not any("To sample" in line for line in self.lines):
            assert time.monotonic() < deadline and self.process.poll() is None, self.lines
            time.sleep(0.2)
        printed = dict(re.findall(r"(\w+) +(http://127\.0\.0\.1\S+)", "\n".join(self.lines)))
        self.dagster, self.mlflow = printed["Dagster"], printed["MLflow"]
        assert list(printed)[:2] == ["Dagster", "MLflow"], "the page to open first comes first"
        self.servers = psutil.Process(self.process.pid).children(recursive=True)

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.rstrip())


@pytest.fixture(scope="module")
def ui(store, environment) -> Iterator[Ui]:
    """Another program has the port in the links of the run."""
    recorded = store.mlflow_port if store.mlflow_port_file.exists() else int(environment["MLFLOW_PORT"])
    with socket.create_server(("127.0.0.1", recorded)):
        ui = Ui(environment)
        try:
            ui.wait()
            yield ui
        finally:
            ui.process.send_signal(signal.SIGHUP)  # as when a terminal is closed
            ended = ui.process.wait(60)
    assert ended == 0
    assert not [each for each in ui.servers if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert not [line for line in ui.lines if "Traceback" in line]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Page]:
    with browser_page(tmp_path_factory.mktemp("browser")) as page:
        yield page
    assert [error for error in page.errors if not THEIR_ERRORS.search(error)] == []


@pytest.fixture
def shot(request, page):
    """Writes an image for the documentation, if requested."""

    def write(name: str) -> None:
        if request.config.getoption("--screenshots"):
            time.sleep(2)
            page.evaluate("1")
            page.screenshot(IMAGES / name)

    return write


def _shows(words: str) -> str:
    return f"document.body.innerText.includes({words!r})"


def _link(words: str) -> str:
    """The target of the link with these words."""
    return f"[...document.querySelectorAll('a')].find(a => a.innerText.trim() == {words!r})?.href"


IMAGE = "[...document.images].find(i => i.src.includes('sample_grid') && i.complete && i.naturalWidth > 100)?.src"


def test_the_first_page_has_the_run_of_the_terminal(ui, page):
    page.visit(ui.dagster.partition("/assets")[0])
    page.wait_for(_shows("quickstart"))
    assert not page.evaluate(_shows("No runs"))


def test_the_sidebar_has_the_groups_in_the_order_of_the_pipeline(ui, page, shot):
    page.visit(ui.dagster.replace("/assets", "/asset-groups"), width=1700, height=520)
    page.wait_for(_shows("5_release"))
    # The sidebar left of the graph, from the top down. Each name appears twice, because its width is measured.
    place = "e.getBoundingClientRect()"
    left = f"[...document.querySelectorAll('*')].filter(e => !e.children.length && {place}.left < 500 && {place}.width > 150)"
    texts = page.evaluate(f"{left}.map(e => e.textContent)")
    groups = [text for text in texts if re.fullmatch(r"\d_[a-z]+", text)]
    assert groups[:5] == ["1_ingest", "2_prepare", "3_train", "4_evaluate", "5_release"] and groups == sorted(groups)
    shot("asset-graph.png")


def test_an_asset_shows_the_samples_and_its_links_lead_to_the_mlflow_that_runs(ui, page, shot):
    page.visit(ui.dagster + "/evaluation")
    image = page.wait_for(IMAGE)
    run, address = page.wait_for(_link("the run in MLflow")), ui.mlflow.partition("/#")[0]
    assert run.startswith(f"{address}/#/experiments/") and image.startswith(f"{address}/get-artifact?")
    assert page.evaluate(_link("the report")).startswith(run.partition("?")[0] + "/artifacts/evaluation/report.html")
    # Nothing is cut off at 1,440 pixels: no table is wider than its container.
    wide = "[...document.querySelectorAll('table')].filter(t => t.scrollWidth > t.parentElement.clientWidth + 1).length"
    assert page.evaluate(wide) == 0

    page.visit(run)
    page.wait_for(_shows("Recognition within the source"))
    page.wait_for(IMAGE)
    assert page.evaluate(_shows("Model registry")), "the pages for training, not those for language models"
    for name in ("Close", "Expand description"):  # MLflow's assistant, for the screenshot
        page.evaluate(f"document.querySelector('button[aria-label={json.dumps(name)}]')?.click()")
    shot("mlflow-run.png")

    page.visit(run.replace("?", "/artifacts/evaluation/report.html?"))
    page.wait_for("document.querySelector('iframe')?.getBoundingClientRect().width > 200")


def test_the_launchpad_says_what_a_person_may_change(ui, page):
    page.visit(ui.dagster.replace("/assets", "/locations/flowmodel/jobs/quickstart/playground"))
    page.wait_for(_shows("overrides: []"))
    page.wait_for(_shows("such as training.steps=2000"))


def test_the_printed_address_shows_the_runs_with_their_scores(ui, page):
    page.visit(ui.mlflow)
    page.wait_for(_shows("evaluation/train/kid"))
    assert page.evaluate(_shows("Model registry"))


def test_a_version_has_few_tags(ui, page):
    page.visit(ui.mlflow.partition("/#")[0] + "/#/models/flowmodel?workflowType=machine_learning")
    page.wait_for(_shows("Version 1"))
    page.wait_for(_shows("top1"))
    assert not page.evaluate(_shows("digest"))


def test_the_report_reads_on_a_phone(store, page):
    (report,) = list(store.root.glob("evaluation/*/report.html"))[:1]
    page.visit(report.as_uri(), width=390, height=844, mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.querySelectorAll('h1').length") == 1 and page.evaluate("document.images.length") > 0

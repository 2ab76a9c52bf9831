"""Consistency of the pages: valid links, decisions with evidence, the newest measurement first."""

import re
from pathlib import Path

import pytest

from flowmodel.store import PROJECT_ROOT

DOCS = PROJECT_ROOT / "docs"
DECISIONS = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.stem != "index")
# `make docs` checks the links of the pages in docs/.
CARDS = [f"data/{name}/README.md" for name in ("pretrained", "pretrained-fast")]
OUTSIDE = [PROJECT_ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *CARDS)]


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: page.parent.name + "/" + page.name)
def test_a_link_leads_to_a_file(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("folder", ["flowmodel", "pipelines", "benchmarks", "tests"])
def test_a_page_that_code_names_is_there(folder):
    named = {
        (path.relative_to(PROJECT_ROOT).as_posix(), page)
        for path in (PROJECT_ROOT / folder).rglob("*.py")
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert {(path, page) for path, page in named if not (PROJECT_ROOT / page).is_file()} == set()


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_a_date_a_claim_its_evidence_and_a_line_in_the_list(page: Path):
    text = page.read_text(encoding="utf-8")
    title = re.match(r"# (.+)\n", text)[1]
    date = re.search(r"^Decided (\d{4}-\d\d-\d\d)", text, re.MULTILINE)[1]
    assert "**Claim.**" in text and "**Limits.**" in text
    assert "](../log.md#" in text.partition("**Evidence.**")[2].partition("**Limits.**")[0]
    assert f"| {date} | [{title}]({page.name}) |" in (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")


def test_the_log_begins_with_the_newest_measurement():
    dates = re.findall(r"^## (\d{4}-\d\d-\d\d): ", (DOCS / "log.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(dates) > 20
    assert dates == sorted(dates, reverse=True)

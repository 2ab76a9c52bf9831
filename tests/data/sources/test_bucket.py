"""A folder in S3-compatible storage is read like one on the disk, by a real server of that protocol in this process."""

from pathlib import Path

import pytest

from flowmodel.data.sources import folder
from flowmodel.data.sources.config import FolderSource
from flowmodel.data.sources.context import SourceContext
from flowmodel.errors import FlowmodelError
from tests.pipelines.conftest import write_icons

boto3 = pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")


@pytest.fixture
def storage(monkeypatch):
    running = server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "planted-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="pictures")
    yield client
    running.stop()


def _source(path: Path | str) -> FolderSource:
    return FolderSource(name="mine", kind="folder", path=str(path))


def test_a_folder_in_a_bucket_is_read_like_one_on_the_disk_and_only_changes_are_fetched_again(storage, tmp_path):
    write_icons(tmp_path / "icons", 4)
    for file in (tmp_path / "icons").iterdir():
        storage.upload_file(str(file), "pictures", f"team/icons/{file.name}")
    storage.put_object(Bucket="pictures", Key="team/icons/.hidden/a.png", Body=b"x")
    storage.put_object(Bucket="pictures", Key="team/others/b.png", Body=b"x")
    lines: list[str] = []

    def told() -> str:
        return [line for line in lines if line.startswith("s3://")][-1]

    context = SourceContext(tmp_path, tmp_path / "downloads", lines.append)
    bucket = _source("s3://pictures/team/icons")

    here, there = (folder.read(source, context).rows for source in (_source(tmp_path / "icons"), bucket))
    assert len(there) == 4 and [{**row, "origin": ""} for row in there] == [{**row, "origin": ""} for row in here]
    assert {row["origin"] for row in there} == {"s3://pictures/team/icons"}
    assert told() == "s3://pictures/team/icons: 5 files, 5 of them fetched"
    seen = folder.observe(bucket, context)
    assert seen == folder.observe(bucket, context) and seen.version.startswith("5 files, newest of 20")

    first, second, *_ = sorted(path.name for path in (tmp_path / "icons").glob("*.png"))
    storage.delete_object(Bucket="pictures", Key=f"team/icons/{first}")
    storage.put_object(Bucket="pictures", Key=f"team/icons/{second}", Body=b"not an image")
    assert folder.observe(bucket, context).fingerprint != seen.fingerprint
    rows = folder.read(bucket, context).rows
    assert told() == "s3://pictures/team/icons: 4 files, 1 of them fetched"
    assert sorted(row["status"] for row in rows) == ["ok", "ok", "quarantined", "quarantined"]
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and b"planted" in path.read_bytes()]
    assert kept == [] and "planted" not in "".join(lines)

    for address, says in (
        ("s3://nowhere/icons", "bucket does not exist"),
        ("s3://pictures/nowhere", "no such folder in the storage"),
    ):
        with pytest.raises(FlowmodelError, match=rf"^{address}: [^\n]*{says}[^\n]*$"):
            folder.observe(_source(address), context)


@pytest.mark.parametrize("path", ["s3://planted:secret@pictures/icons", "s3://pictures/../other", "s3://pictures/a?b=c", "s3://"])
def test_an_address_of_another_form_is_refused_and_not_repeated(path, tmp_path):
    with pytest.raises(FlowmodelError, match=r"s3://BUCKET/FOLDER") as raised:
        folder.observe(_source(path), SourceContext(tmp_path, tmp_path))
    assert "planted" not in str(raised.value) and "\n" not in str(raised.value)


def test_storage_that_does_not_answer_gives_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(FlowmodelError, match=r"^s3://pictures/icons: can't be read \([^\n]*AWS_ENDPOINT_URL$"):
        folder.observe(_source("s3://pictures/icons"), SourceContext(tmp_path, tmp_path))

"""How commands find what `--model` names."""

from flowmodel.cli.common import exported


def test_a_folder_that_is_no_exported_model_hides_nothing_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert exported(None, "auto") is None and exported("pretrained", "auto") is None
    (tmp_path / "pretrained").mkdir()
    assert exported("pretrained", "auto") is None

"""Errors of graphs that can't be run."""

import pytest

from flowmodel.errors import FlowmodelError
from flowmodel.runtime.sessions import open_session


def test_a_file_that_is_not_a_graph_is_named(tmp_path):
    path = tmp_path / "network.onnx"
    path.write_bytes(b"something else")
    with pytest.raises(FlowmodelError, match=r"network\.onnx: ONNX Runtime can't run it .*export the model again"):
        open_session(path)


def test_a_missing_runtime_is_named_with_its_install_command(tmp_path, monkeypatch):
    monkeypatch.setattr("flowmodel.extras.find_spec", lambda name: None)
    with pytest.raises(FlowmodelError, match=r"'onnxruntime': not installed; run: pip install 'flowmodel\[runtime\]'"):
        open_session(tmp_path / "network.onnx")

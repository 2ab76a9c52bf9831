"""`import flowmodel` gives the public interface."""

import inspect
import subprocess
import sys

import pytest

import flowmodel
from flowmodel.model.pretrained import pretrained_weights


def test_every_public_name_is_there_and_documented():
    for name in flowmodel.__all__:
        value = getattr(flowmodel, name)
        assert inspect.getdoc(value), name
        if not inspect.isclass(value):
            parameters = inspect.signature(value).parameters.values()
            assert all(parameter.annotation is not parameter.empty for parameter in parameters), name
    assert set(flowmodel.__all__) < set(dir(flowmodel))


def test_importing_it_imports_nothing_heavy():
    script = "import flowmodel, sys; print(sorted({'torch', 'numpy', 'pydantic', 'mlflow'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"


def test_an_unknown_name_is_not_an_attribute():
    with pytest.raises(AttributeError, match="no attribute 'draw'"):
        flowmodel.draw  # noqa: B018


def test_a_generator_draws_images():
    generator = flowmodel.Generator.from_pretrained()
    assert generator.checkpoint.digest == pretrained_weights().digest
    drawn = generator.images(["pizza", "red heart"], seed=3, steps=2)
    assert [(image.mode, image.size) for image in drawn] == [("RGBA", (generator.size, generator.size))] * 2
    again = flowmodel.Generator.from_pretrained(generator.checkpoint.path).images(["pizza", "red heart"], seed=3, steps=2)
    assert [image.tobytes() for image in again] == [image.tobytes() for image in drawn]

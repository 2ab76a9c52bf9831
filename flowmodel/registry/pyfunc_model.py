"""The registered model's code. MLflow copies this file to the checkpoint and runs it when the model is loaded.

It imports the copy of `flowmodel` in the same folder (package.py), even if another one is installed.
"""

import logging
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

_log = logging.getLogger("flowmodel")


class IconGenerator(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        if "onnx" in context.artifacts:  # a registered model, which is loaded without PyTorch
            from flowmodel.runtime.onnx_generator import OnnxGenerator

            self._generator: Any = OnnxGenerator.load(context.artifacts["onnx"])
        else:
            from flowmodel.model.generator import Generator

            self._generator = Generator.load(Path(context.artifacts["checkpoint"]))

    def predict(self, context: PythonModelContext, model_input: list[str], params: dict | None = None) -> list[bytes]:
        """Return a transparent PNG per caption. `params`: seed, steps, guidance.

        Captions are read as by `flowmodel sample`: what is translated or lost is logged. Raises MlflowException for a bad
        parameter, and for a caption that is empty or of which the caption encoder knows no part.
        """
        from flowmodel.errors import FlowmodelError
        from flowmodel.images.save import png_bytes

        try:
            read = self._generator.readability(model_input)
            read.require_meaning()
            for line in read.notes:
                _log.warning("%s", line)
            return [png_bytes(image) for image in self._generator.images(model_input, **(params or {}))]
        except FlowmodelError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None


set_model(IconGenerator())

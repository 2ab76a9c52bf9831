"""The registered model's code. MLflow copies this file to the checkpoint and runs it when the model is loaded.

It imports the copy of `flowmodel` in the same folder (package.py), even if another one is installed.
"""

from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class IconGenerator(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        if "onnx" in context.artifacts:  # a registered model, which is loaded without PyTorch
            from flowmodel.runtime.onnx_generator import OnnxGenerator

            self._images = OnnxGenerator.load(context.artifacts["onnx"]).images
        else:
            from flowmodel.model.generator import Generator

            self._images = Generator.load(Path(context.artifacts["checkpoint"])).images

    def predict(self, context: PythonModelContext, model_input: list[str], params: dict | None = None) -> list[bytes]:
        """Return a transparent PNG per caption. `params`: seed, steps, guidance."""
        from flowmodel.images.save import png_bytes

        return [png_bytes(image) for image in self._images(model_input, **(params or {}))]


set_model(IconGenerator())

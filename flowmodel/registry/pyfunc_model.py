"""The registered model's code: MLflow copies this file beside the checkpoint and runs it when the model is loaded.

Nothing else is copied: `flowmodel` itself must be installed where the model is used.
"""

from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class IconGenerator(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        try:
            from flowmodel.model.generator import Generator
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "flowmodel":
                raise
            raise ModuleNotFoundError(
                "this model needs the package 'flowmodel' where it is loaded; in its project folder run: "
                "pip install -c constraints.txt -e '.[offline]'",
                name="flowmodel",
            ) from None
        self._generator = Generator.load(Path(context.artifacts["checkpoint"]))

    def predict(self, context: PythonModelContext, model_input: list[str], params: dict | None = None) -> list[bytes]:
        """One transparent PNG a caption. `params`: seed, steps, guidance."""
        from flowmodel.images.rgba import to_image
        from flowmodel.images.save import png_bytes

        drawn_NCHW = self._generator.sample(model_input, **(params or {}))
        return [png_bytes(to_image(rgba_CHW)) for rgba_CHW in drawn_NCHW]


set_model(IconGenerator())

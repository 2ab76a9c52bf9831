"""From prepared data to a checkpoint."""

import shutil

import dagster as dg
from pydantic import Field

from flowmodel.files import Artifact
from pipelines.automation import on_changed_data
from pipelines.failures import readable_failures
from pipelines.resources import RecipeResource, StoreResource


class TrainingOptions(dg.Config):
    fresh: bool = Field(
        False, description="Forget an earlier training on the same recipe and data, finished or not, and start anew."
    )

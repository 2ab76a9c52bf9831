"""Metrics for Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from flowmodel.runtime.model_folder import ModelFolder


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each metric, which is not needed
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own = self.registry
        self.requests = Counter("flowmodel_requests", "Answers, by status.", ["path", "status"], registry=own)
        buckets = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
        self.seconds = Histogram(
            "flowmodel_generation_seconds", "Time from a request for images to its response.", registry=own, buckets=buckets
        )
        self.images = Counter("flowmodel_images", "Images that were sampled.", registry=own)
        self.batches = Histogram("flowmodel_batch_images", "Images per batch.", registry=own, buckets=(1, 2, 4, 8, 16, 32))
        self.pending = Gauge("flowmodel_pending_images", "Accepted images without a response so far.", registry=own)
        self.model = Gauge("flowmodel_model", "1 for the model that is served.", ["name", "digest"], registry=own)
        self.reloads = Counter("flowmodel_reloads", "Successful and failed changes of the model.", ["result"], registry=own)

    def drawn(self, images: int) -> None:
        self.images.inc(images)
        self.batches.observe(images)

    def serves(self, folder: ModelFolder) -> None:
        self.model.clear()
        self.model.labels(folder.description.name, folder.description.checkpoint[:12]).set(1)

    def text(self) -> bytes:
        """In the text format of Prometheus."""
        return generate_latest(self.registry)

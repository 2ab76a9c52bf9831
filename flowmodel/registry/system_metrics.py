"""The load of CPU, memory, disk and network during a training, and of GPUs if their library is installed."""

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from flowmodel.registry.outbox import Outbox
from flowmodel.registry.runs import TrainingRun


class SystemMetrics(SystemMetricsMonitor):
    """MLflow's own monitor, which measures every ten seconds, with metrics sent through the outbox.

    Otherwise it would stop at the first failed request.
    """

    def __init__(self, run: TrainingRun, outbox: Outbox) -> None:
        super().__init__(run.run_id, resume_logging=True, tracking_uri=run.tracking.uri)
        self._outbox = outbox

    def monitor(self) -> None:
        while not self._shutdown_event.is_set():
            for _ in range(self.samples_before_logging):
                self.collect_metrics()
                self._shutdown_event.wait(self.sampling_interval)
            self.publish_metrics(self.aggregate_metrics())  # at the end as well, so that a short training has at least one point

    def publish_metrics(self, metrics: dict[str, float]) -> None:
        self._outbox.metrics({f"{self._metrics_prefix}{name}": value for name, value in metrics.items()}, self._logging_step)
        self._logging_step += 1
        for monitor in self.monitors:
            monitor.clear_metrics()

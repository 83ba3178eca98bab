"""What Prometheus reads from this process: each worker counts for itself, and says which one it is."""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from frostline.ship.model_info import ModelInfo
from frostline.ship.serve.quota import Quota

KIND = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_BATCHES = (1, 2, 4, 8, 16, 32)
_PATHS = frozenset({"/", "/predict", "/explain", "/health", "/info", "/metrics", "/docs", "/openapi.json"})


class Metrics:
    """Counters of one server process. No text of a client's becomes a label."""

    def __init__(self, about: ModelInfo, engine: str, *, pictures: Quota, memory: Quota) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        worker = Info("frostline_worker", "The process that answers, and its model.", registry=self.registry)
        worker.info(
            {"pid": str(os.getpid()), "model": about.name, "engine": engine, "classes": str(len(about.classes))}
        )
        self._requests = Counter(
            "frostline_requests", "Requests by path and status.", ("path", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "frostline_request_seconds",
            "From a request's head to the end of its answer.",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._pictures = Counter("frostline_pictures", "Pictures by outcome.", ("outcome",), registry=self.registry)
        self._batches = Histogram(
            "frostline_batch_pictures", "Pictures the engine got at once.", buckets=_BATCHES, registry=self.registry
        )
        for name, said, room in (
            ("frostline_waiting_pictures", "Pictures accepted and not answered yet.", pictures),
            ("frostline_held_bytes", "Bytes of bodies in memory.", memory),
        ):
            Gauge(name, said, registry=self.registry).set_function(lambda room=room: room.taken)  # type: ignore[misc]

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        known = path if path in _PATHS else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def pictures(self, *, answered: int, unreadable: int) -> None:
        """Pictures of a request were answered, or could not be decoded."""
        self._pictures.labels("answered").inc(answered)
        self._pictures.labels("unreadable").inc(unreadable)

    def batch(self, size: int) -> None:
        """The engine was given so many pictures. Any thread may tell."""
        self._batches.observe(size)

    def text(self) -> bytes:
        """All of it in Prometheus' text form."""
        return generate_latest(self.registry)

"""What a server is asked for, as one value: from the command to each of its processes."""

from dataclasses import dataclass, field
from pathlib import Path

from frostline.processors import processors
from frostline.ship.serve.quota import Limits


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What is served, where, and to whom.

    folder: a model folder, or a run's. port: 0 is any free one. workers: processes, each with the model.
    token: see ``SecurityMiddleware``. hosts: names beside addresses and "localhost" that the server goes by.
    trust: as ``open_folder``. tta: as ``open_predictor``.
    samples: whether held-out pictures of the run that the model is of are offered on the page; None: where only this
        machine may ask.
    digest: of the model that every process must have; ``server.serve`` fills it in.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    engine: str = "auto"
    precision: str = "fp32"
    trust: str | None = None
    tta: str | None = None
    samples: bool | None = None
    digest: str = ""
    limits: Limits = field(default_factory=Limits)

    @property
    def cores(self) -> int:
        """Of each process."""
        return max(1, processors() // self.workers)

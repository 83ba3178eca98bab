"""The best model of a run so far and how it came about: all that crosses from one phase to the next.

It is what a checkpoint holds between phases, so a run that was killed goes on from the last phase that was judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.manifest import Manifest
from frostline.errors import CheckpointError
from frostline.events import Note
from frostline.judge.result import PhaseRow
from frostline.run.cross_validation import CrossValidated, Fold
from frostline.run.phase_context import Logits, PhaseResult, judgeable
from frostline.run.resolve import Job
from frostline.train import checkpoint


@dataclass
class BestSoFar:
    """The model that the next phase starts from, and the record of all phases.

    rows: of every phase so far, kept or not. state: the best weights, empty before the first model. val: its logits on
    the val split. crossed: its out-of-fold logits of the training pictures. folds: where the run is judged by
    cross-validation, each fold with its weights. distances: (N,) of the training pictures to those that the fold's
    network learned from.
    """

    rows: list[PhaseRow] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    val: Logits | None = None
    crossed: Logits | None = None
    folds: tuple[Fold, ...] = ()
    distances: NDArray[np.float32] | None = None
    interrupted: bool = False

    def take(self, net: nn.Module, result: PhaseResult, crossed: CrossValidated | None) -> None:
        """The network as it is now becomes the best one. crossed: where folds have judged it."""
        self.state = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
        self.val, self.crossed = result.val, result.crossed
        if crossed is not None:
            self.folds = crossed.folds
            self.distances = self.distances if crossed.distances is None else crossed.distances

    def save(self, job: Job, phase: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write a checkpoint: this, and what the phase of that number has to go on with.

        Not with folds: they are for data so small that what lies in the store is most of the work.
        """
        if job.record.checkpoint is None or not job.record.writes or self.folds:
            return
        held = {f"standing/{name}": tensor for name, tensor in self.state.items()}
        logits = {"standing_val": self.val, "standing_crossed": self.crossed}
        held |= {name: torch.from_numpy(array) for name, array in logits.items() if array is not None}
        known = {"run": job.facts["run"], "phase": phase, "rows": [row.to_dict() for row in self.rows]}
        checkpoint.save(job.record.checkpoint, checkpoint.Checkpoint({**held, **tensors}, {**known, **facts}))


def recalled(job: Job, start: checkpoint.Checkpoint) -> tuple[BestSoFar, int]:
    """The best model when a checkpoint was written, and the number of the phase to go on with.

    Raises: CheckpointError: it is another run's.
    """
    if start.facts.get("run") != job.facts["run"]:
        raise CheckpointError(
            "the checkpoint belongs to a run with other options, pictures or weights",
            where=job.record.checkpoint,
            hint="give the options of that run (its plan.json has them), or leave --resume out to begin again",
        )
    logits = {name: start.tensors.get(f"standing_{name}") for name in ("val", "crossed")}
    best = BestSoFar(
        rows=[PhaseRow.from_dict(row) for row in start.facts["rows"]],
        state=start.under("standing"),
        val=None if logits["val"] is None else logits["val"].numpy(),
        crossed=None if logits["crossed"] is None else logits["crossed"].numpy(),
    )
    if best.state:
        job.context.net.load_state_dict(best.state)
    number = int(start.facts["phase"])
    job.tell(Note(f"going on with phase {number + 1} of {len(job.plan.phases)}, {job.plan.phases[number].name}"))
    return best, number


def held_out(job: Job, of: BestSoFar | PhaseResult) -> tuple[Manifest, Logits] | None:
    """Pictures that the model has not learned from, with its logits (N, K) of them; None where there are none.

    The val split where there is one, else the training pictures that out-of-fold logits judge.
    """
    if of.val is not None and job.context.val is not None:
        return job.context.val, of.val
    return None if of.crossed is None else judgeable(of.crossed, job.context.train)

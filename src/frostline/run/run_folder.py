"""The folder of a run: what was resolved, what happened, what came out. Every file is whole or absent.

plan.json     all that was resolved, with versions and digests
log.jsonl     a line a step and a line an epoch
skipped.csv   pictures that were left out, and why
report.html   all of it for people (`pages`)
metrics.json  the figures, with their intervals
training.csv  the pictures that it learnt from: name, path, digest, label
pictures.csv  each judged picture and its answer (`judge.predictions`)
evidence.safetensors  probabilities of the headline's pictures, and their places on a map of the features
model/        the model folder (`ship.folder`)
checkpoint/   while the run goes on (`train.checkpoint`)
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from frostline import atomic
from frostline.data import csv_files
from frostline.data.manifest import Manifest, Skipped
from frostline.errors import CheckpointError
from frostline.events import Epoch, Event, Judged, Note, PhaseStart, Step, Warn
from frostline.features.locks import is_still, taken
from frostline.judge import training_list
from frostline.judge.predictions import PICTURES, Outcome, to_csv
from frostline.judge.training_list import TRAINING
from frostline.ship import atomic_folder
from frostline.ship.file_names import ALL

EVIDENCE = "evidence.safetensors"
MOST_PROBABILITIES = 2_000_000


@dataclass
class RunFolder:
    """A run's folder, or nothing at all when `folder` is None (a fit from Python that asked for no files).

    writes: False in every process but the first.
    """

    folder: Path | None
    writes: bool = True
    _log: IO[str] | None = field(default=None, repr=False)
    _made: list[Path] = field(default_factory=list, repr=False)
    _fresh: bool = field(default=False, repr=False)
    _before: int | None = field(default=None, repr=False)  # bytes of the log of a run before, until this one begins

    @property
    def model(self) -> Path | None:
        """Where the model folder lies."""
        return None if self.folder is None else self.folder / "model"

    @property
    def checkpoint(self) -> Path | None:
        """Where checkpoints lie."""
        return None if self.folder is None else self.folder / "checkpoint"

    def open(self, *, resume: bool, overwrite: bool = False) -> None:
        """Make the folder and open its log, which no other run can then open.

        Raises: CheckpointError: the folder cannot be made, another run writes into it, or as `check_place`.
        """
        if self.folder is None or not self.writes:
            return
        check_place(self.folder, resume=resume, overwrite=overwrite)
        try:
            self._made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
            self.folder.mkdir(parents=True, exist_ok=True)
            self._fresh = not any(self.folder.iterdir())
            self._log = (self.folder / "log.jsonl").open("a", encoding="utf-8")
            if taken(self._log.fileno()):
                self._fresh = False
                self.close()
                raise CheckpointError(
                    "another run is writing into this folder",
                    where=self.folder,
                    hint="choose another --out, or wait until it has ended",
                )
            self._before = self._log.tell()
        except (OSError, ValueError) as error:
            raise _no_folder(self.folder, error) from None

    def begin(self, plan: Mapping[str, Any], learned: Manifest, skipped: Sequence[Skipped], *, anew: bool) -> None:
        """Write what was resolved, when nothing can be refused any more.

        anew: what a run before has left here gives way first: its figures and its model are not of this plan.

        Raises: CheckpointError: it cannot be written, or there are other things in the model's place.
        """
        try:
            if self.folder is not None and self._log is not None and anew:
                self._refuse_another()
                atomic_folder.check(self.folder / "model", ALL)
                for name in ("metrics.json", "report.html", "model", PICTURES, EVIDENCE, TRAINING):
                    _remove(self.folder / name)
                self._log.flush()
                own = (self.folder / "log.jsonl").read_bytes()[self._before :]
                self._log.truncate(0)
                self._log.write(own.decode())
            self._before = None
        except OSError as error:
            raise self._unwritten(error, "log.jsonl") from None
        self.skipped(skipped)
        self.training(learned)
        self.json("plan.json", plan)

    def discard(self) -> None:
        """After a failure: leave what there was before the run, unless there is a model or a checkpoint."""
        ours = self._log is not None and is_still(self._log.fileno(), Path(self._log.name))
        if self._log is not None and self._before is not None:
            with suppress(OSError):
                self._log.truncate(self._before)
        self.close()
        if self.folder is None or not self._fresh or not ours:
            return
        if any(place is not None and place.exists() for place in (self.model, self.checkpoint)):
            return
        with suppress(OSError):  # something else is in a folder by now
            for path in self.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for place in self._made:
                place.rmdir()

    def close(self) -> None:
        """Close the log."""
        if self._log:
            with suppress(OSError):  # the last lines of a log on a full disk; what could not be written was told
                self._log.close()

    def json(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file of the run."""
        self._text(name, json.dumps(values, indent=2, ensure_ascii=False, default=str) + "\n")

    def skipped(self, skipped: Sequence[Skipped]) -> None:
        """Write ``skipped.csv``, one line a picture that was left out."""
        lines = ((item.name, item.reason) for item in skipped)
        self._text("skipped.csv", csv_files.text((("path", "reason"), *lines)))

    def training(self, manifest: Manifest) -> None:
        """Write ``training.csv``, the pictures that the run learns from."""
        self._text(TRAINING, training_list.to_csv(manifest))

    def pictures(self, rows: Sequence[Outcome]) -> None:
        """Write ``pictures.csv``, one line a judged picture."""
        self._text(PICTURES, to_csv(rows))

    def log(self, event: Event) -> None:
        """A line of the log for the events that belong there."""
        if self._log is None:
            return
        self._refuse_another()
        match event:
            case Step():
                line = {
                    "step": event.step,
                    "epoch": event.epoch + 1,
                    "loss": round(float(event.loss), 6),
                    "rates": event.rates,
                }
            case Judged():
                line = {
                    "epoch": event.epoch + 1,
                    "val_accuracy": event.accuracy,
                    "val_loss": event.loss,
                    "train_loss": event.train_loss,
                    "pictures_per_second": round(event.pictures_per_second, 1),
                }
            case PhaseStart():
                line = {"phase": event.name, "line": event.line, "epochs": event.epochs}
            case Note() | Warn():
                line = {type(event).__name__.lower(): event.text}
            case Epoch() | _:
                return
        try:
            self._log.write(json.dumps(line, ensure_ascii=False) + "\n")
            if not isinstance(event, Step):
                self._log.flush()
        except OSError as error:
            raise self._unwritten(error, "log.jsonl") from None

    def evidence(self, probabilities: NDArray[np.floating], places: NDArray[np.float32] | None) -> None:
        """Write what the report draws of its headline's pictures beside ``pictures.csv``, in the order of its rows.

        probabilities: (N, K), left out where they would take more than some megabytes. places: (N, 2), see
        `run.picture_map`.
        """
        tensors = {} if places is None else {"places": places}
        if probabilities.size <= MOST_PROBABILITIES:
            tensors["probabilities"] = probabilities.astype(np.float32)
        if tensors:
            self._text(EVIDENCE, save(tensors))

    def _text(self, name: str, text: str | bytes) -> None:
        if self.folder is None or not self.writes:
            return
        self._refuse_another()
        try:
            atomic.write(self.folder / name, text)
        except OSError as error:
            raise self._unwritten(error, name) from None

    def _refuse_another(self) -> None:
        """Notice a folder that was removed meanwhile, or that another run has taken since: two would be mixed."""
        if self._log is not None and not is_still(self._log.fileno(), Path(self._log.name)):
            raise CheckpointError(
                "the run's folder was removed or replaced while the run went on",
                where=self.folder,
                hint="begin again; the features that were computed are kept",
            )

    def _unwritten(self, error: OSError, name: str) -> CheckpointError:
        return CheckpointError(
            f"the run's folder cannot be written: {atomic.reason(error)}",
            where=self.folder / name if self.folder else name,
            hint="free some space, then go on with --resume",
        )


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place.resolve())  # a link to another disk stays
    else:
        place.unlink(missing_ok=True)


def _no_folder(folder: Path, error: OSError | ValueError) -> CheckpointError:
    said = error.strerror if isinstance(error, OSError) else error
    return CheckpointError(f"the run's folder cannot be written: {said}", where=folder, hint="choose another --out")


def check_place(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Notice what a run in a folder would write over, before anything is read or computed.

    Raises: CheckpointError: there is a file of that name, a finished run, or a folder with other things in it, or there
        can be none.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise CheckpointError("there is a file of that name", where=folder, hint="choose another --out")
        if not folder.is_dir() or not any(folder.iterdir()):
            return
    except (OSError, ValueError) as error:  # a name that no folder can have, or one that may not be looked into
        raise _no_folder(folder, error) from None
    ours = any((folder / name).is_file() for name in ("plan.json", "log.jsonl", "metrics.json"))
    # the report is written last of all
    whole = all((folder / name).is_file() for name in ("metrics.json", "report.html"))
    finished = whole and not any((folder / "checkpoint").glob("*"))
    if ours and finished and resume:
        raise CheckpointError(
            "the run in this folder is finished: there is nothing to resume",
            where=folder,
            hint="use its model, fit into another --out, or give --overwrite in place of --resume",
        )
    if overwrite or (ours and not finished):
        return
    what = "the folder holds a finished run" if ours else "the folder holds things that no run has written"
    raise CheckpointError(what, where=folder, hint="choose another --out, or give --overwrite")

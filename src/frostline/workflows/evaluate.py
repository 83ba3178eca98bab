"""Judge a model on labelled pictures that it has not seen."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data import sources
from frostline.data.manifest import Manifest, Skipped
from frostline.data.places.place_options import PlaceOptions
from frostline.data.split import units
from frostline.errors import DataError, JudgementError, one_line
from frostline.judge import metrics
from frostline.judge.conformal import CoverageResult, PredictionSets, measured_on_test, promised
from frostline.judge.drift import Drift, Mix, distance, mix
from frostline.judge.figures import Report
from frostline.judge.one_draw import counted
from frostline.judge.predictions import PICTURES, Outcome, outcomes, read_outcomes
from frostline.judge.training_list import run_of, training_list
from frostline.ship.given_options import given_options
from frostline.ship.model_info import ModelInfo
from frostline.ship.predictor import NOT_FINITE, Failure, Predictor

BEFORE_REFIT = "The model that is saved has learned from these pictures too (refit); the figures are of the one before."


@dataclass(frozen=True, eq=False)
class Evaluation:
    """report: the figures. skipped: pictures that could not be read and count nowhere. outcomes: of all others.

    learnt: pictures that the model has learnt from and that were left out. familiar: such ones among the outcomes.
        unseen: whether it is known that there are none of these. before: whether the figures are of the model before
        it was carried out again on these pictures too. chose: those among the outcomes that chose its epoch
        or phases, so that the figures are a little too good.
    drift: what has moved since training. coverage: what the model's prediction sets came to, if it has any.
    probabilities: (N, K) of the outcomes.
    """

    report: Report
    skipped: tuple[Skipped, ...]
    outcomes: tuple[Outcome, ...] = ()
    learnt: int = 0
    familiar: int = 0
    unseen: bool = False
    before: bool = False
    chose: int = 0
    drift: Drift = field(default_factory=lambda: Drift(None, None))
    coverage: tuple[CoverageResult, ...] = ()
    probabilities: NDArray[np.floating] | None = None

    @property
    def notes(self) -> Iterator[str]:
        """What is to be said of pictures that the model was trained on, or may have been."""
        if self.learnt:
            n = f"{self.learnt:,} pictures were left out" if self.learnt > 1 else "1 picture was left out"
            yield f"{n}: the model was trained on them (--all counts them)"
        if self.before:
            yield BEFORE_REFIT
        elif self.familiar:
            yield f"the model was trained on {self.familiar:,} of these pictures, so the figures are too good"
        elif not self.unseen:
            yield "no training.csv is beside the model: if it was trained on these pictures, the figures are too good"

    @property
    def chosen(self) -> str:
        """What is to be said of pictures that chose the model's epoch or phases, or ""; learned ones say more."""
        if self.familiar or not self.chose:
            return ""
        n = f"{self.chose:,} of these pictures" if self.chose < self.report.n else "these pictures"
        return f"{n} also chose what was kept, so the figures are a little too good"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``--json``."""
        return {
            "metrics": self.report.to_dict(),
            "coverage": [row.to_dict() for row in self.coverage],
            "drift": self.drift.to_dict(),
            "skipped": len(self.skipped),
            "unseen": self.unseen,
            "learnt_from": self.learnt,
            "counted_though_learnt_from": self.familiar,
            "chosen_on": self.chose,
        }


def labelled_for(about: ModelInfo, place: Path, how: PlaceOptions) -> Manifest:
    """Labelled pictures for a model: of its classes, one or several a picture, read as its fit's were.

    Raises: DataError: as ``sources.read``.
    """
    how = how.recalling(given_options(about)[0])
    return sources.read(place, classes=about.classes, how=how, several=about.multilabel)


def evaluate(
    predictor: Predictor,
    manifest: Manifest,
    *,
    learnt: Set[str] = frozenset(),
    every: bool = False,
    held_out: Set[str] = frozenset(),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """All figures of a model on a manifest's pictures.

    learnt: digests of pictures that it has learnt from (`learnt_by`): they are left out, unless `every` picture is to
        be judged. held_out: of those that its run held out (`held_out_by`): they made its sets, so what these cover is
        not measured on them, nor on pictures that were learnt from.

    Raises: DataError: a label that the model does not know, no labels, only pictures that it has learnt from, or no
        picture that can be read.
    """
    # what judges takes a second to import, and the engine's threads leave room for it
    Thread(target=import_module, args=("scipy.stats",), daemon=True).start()
    about = predictor.about
    known = [row.digest in learnt and not every for row in manifest.rows]
    if sum(known):
        fresh = tuple(row for row, out in zip(manifest.rows, known, strict=True) if not out)
        if not fresh:
            raise DataError(
                f"the model was trained on all {len(manifest)} of these pictures, so they cannot judge it",
                where=manifest.source or None,
                hint="give it others, or include them with --all",
            )
        manifest = replace(manifest, rows=fresh)
    strange = sorted({label for row in manifest.rows for label in row.labels} - set(about.classes))
    wrong = next((row.name for row in manifest.rows if len(row.labels) != 1), None)
    if wrong is not None and not strange and not about.multilabel and all(row.labels for row in manifest.rows):
        raise DataError(
            f"the model gives one label a picture, and {one_line(wrong)} has several",
            where=manifest.source or None,
            hint="label them with one each, or fit a model to several: --label-separator says how they are written",
        )
    if strange or (not about.multilabel and not all(row.labels for row in manifest.rows)):
        what = f"the model does not know the class {strange[0]!r}" if strange else "some pictures have no label"
        raise DataError(what, where=manifest.source or None, hint=f"it knows: {', '.join(about.classes)}")
    place = {name: number for number, name in enumerate(about.classes)}
    found, truths, skipped, far = [], [], [], []
    for number, (row, answer) in enumerate(zip(manifest.rows, predictor.predict(manifest.rows), strict=True), start=1):
        if isinstance(answer, Failure):
            if answer.reason == NOT_FINITE:
                raise JudgementError(NOT_FINITE, where=answer.name, hint="--engine torch may; else fit the model again")
            skipped.append(Skipped(answer.name, answer.reason))
        else:
            found.append(answer.probabilities)
            truths.append([place[label] for label in row.labels])
            far += [] if answer.distance is None else [answer.distance]
        progress(number, len(manifest))
    if not found:
        raise DataError("no picture can be read", where=manifest.source or None, hint=skipped[0].reason)
    probabilities = np.stack(found).astype(np.float64)
    coverage: tuple[CoverageResult, ...] = ()
    rows = outcomes(manifest.without(skipped), probabilities, "evaluation")
    chose = sum(row.digest in held_out for row in rows) if about.facts.get("chosen_on") else 0
    unlearnt = np.array([row.digest not in learnt for row in rows])
    new = unlearnt & np.array([row.digest not in held_out for row in rows])
    together = units(manifest.without(skipped))
    apart = None
    if far:  # pictures that were learnt from lie where the training pictures do
        of_far = None if together is None else together[unlearnt]
        apart = distance(about.novelty, np.array(far)[unlearnt], of_far)
    drift = Drift(apart, _mix(about, truths, together))
    if about.multilabel:
        y = np.zeros((len(truths), len(place)), np.int64)
        for line, labels in zip(y, truths, strict=True):
            line[labels] = 1
        report = metrics.report_multilabel(probabilities, y, about.classes, units=together)
    else:
        probabilities /= probabilities.sum(1, keepdims=True)
        single = np.array([labels[0] for labels in truths])
        report = metrics.report(probabilities, single, about.classes, units=together)
        if about.sets is not None:
            coverage = _coverage(about.sets, about.classes, probabilities, single, together, new, len(held_out))
    familiar = int((~unlearnt).sum())
    return Evaluation(
        report=report,
        skipped=(*manifest.skipped, *skipped),
        outcomes=tuple(rows),
        learnt=sum(known),
        familiar=familiar,
        unseen=bool(learnt) and not familiar,
        chose=chose,
        drift=drift,
        coverage=coverage,
        probabilities=probabilities,
    )


def of_held_out(
    report: Report, part: Manifest, probabilities: NDArray[np.float64], split: str, *, chose: bool, before: bool
) -> Evaluation:
    """What a fit found of its held-out pictures, by the models that had not seen them.

    probabilities: (N, K). chose: whether they chose its epoch or phases. before: as `Evaluation` has it.
    """
    rows = tuple(outcomes(part, probabilities, split))
    chosen = len(rows) if chose else 0
    return Evaluation(report, (), rows, unseen=not before, before=before, chose=chosen, probabilities=probabilities)


def _coverage(
    sets: PredictionSets,
    classes: Sequence[str],
    probabilities: NDArray[np.float64],
    y: NDArray[np.int64],
    together: NDArray[np.int64] | None,
    new: NDArray[np.bool_],
    made_of: int,
) -> tuple[CoverageResult, ...]:
    """What sets cover of the pictures that are new (N,), or what they promise where there are none.

    made_of: pictures that made the sets, as far as is known.
    """
    if not new.any():
        return promised(sets, probabilities, classes=classes, pictures=made_of)
    units = None if together is None else together[new]
    return measured_on_test(sets, probabilities[new], y[new], classes=classes, units=units)


def learnt_by(model: Path) -> frozenset[str]:
    """Digests of the pictures that a model has learnt from, as its run's `training.csv` lists them; none without one.

    model: a model folder or a run's folder.

    Raises: DataError: the file is damaged.
    """
    listed = training_list(model)
    return frozenset(row.digest for row in listed or () if row.digest)


def held_out_by(model: Path) -> frozenset[str]:
    """Digests of the pictures that a model's run held out, to choose and to calibrate by, as `pictures.csv` lists them.

    Raises: JudgementError: the file is damaged.
    """
    run = run_of(model)
    if run is None or not (run / PICTURES).is_file():
        return frozenset()
    return frozenset(row.digest for row in read_outcomes(run / PICTURES) if row.split != "test" and row.digest)


def _mix(about: ModelInfo, truths: Sequence[Sequence[int]], together: NDArray[np.int64] | None) -> Mix | None:
    """Where the folder says how often each class was learnt from, and a picture has one."""
    learnt = _learnt(about, "counts")
    if about.multilabel or learnt is None:
        return None
    kind = np.array([labels[0] for labels in truths])
    now = np.bincount(kind, minlength=len(about.classes)).tolist()
    drawn = _learnt(about, "units") or learnt
    if together is None and drawn == learnt:
        return mix(now, learnt, about.classes)
    # each class once in a unit, as training counts them: the first picture of a unit would stand for one class alone
    return mix(now, learnt, about.classes, draws=(counted(kind, together, len(now)).tolist(), drawn))


def _learnt(about: ModelInfo, what: str) -> list[int] | None:
    """How many pictures, or units of such, of each class a model has learnt from, if its folder says so."""
    counts = about.facts.get(what)
    found = counts.get("train") if isinstance(counts, dict) else None
    if not isinstance(found, dict):
        return None
    of_class = [found.get(name) for name in about.classes]
    whole = [count for count in of_class if isinstance(count, int) and 0 <= count < 1 << 40]
    return whole if len(whole) == len(of_class) else None

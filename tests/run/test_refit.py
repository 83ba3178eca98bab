"""The pictures that chose are learned from too: what is kept then is the network of a fit on all of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frostline import ImageClassifier
from frostline.data.sources import read
from frostline.errors import PlanError
from frostline.events import Note, Step, Warn
from frostline.options import FitOptions
from frostline.run.check_options import check_options
from frostline.run.phase_context import PhaseContext, PhaseResult
from frostline.train.schedule import Schedule
from frostline.workflows.report_data import of_folder
from tests.run.test_fit import SMALL, TRAINING, of_chance, same, state

ONE = {**TRAINING, "epochs": 1}


def some(leaves: Path, *splits: str) -> tuple[list[str], list[str]]:
    """Pictures of a data set, without its splits."""
    rows = [row for row in read(leaves).rows if row.split in splits]
    return [str(row.picture) for row in rows], [row.labels[0] for row in rows]


def test_a_refit_is_a_fit_on_all_pictures_with_the_figures_of_the_model_before(leaves: Path, tmp_path: Path) -> None:
    fitted = {
        refit: ImageClassifier(**ONE, strategy="lp-ft", refit=refit, out=tmp_path / refit).fit(*some(leaves, "train"))
        for refit in ("on", "off")
    }
    on, off = fitted["on"], fitted["off"]
    assert same(state(on), state(ImageClassifier(**ONE, strategy="lp-ft").fit(leaves)))  # whose val is its own
    assert on.result_.metrics["val"].to_dict() == off.result_.metrics["val"].to_dict()
    assert on.result_.phases[-1].name == "refit"
    assert "the figures are of the model before" in on.result_.phases[-1].why
    assert "by the model before this one" in (tmp_path / "on" / "model" / "README.md").read_text()
    for refit in ("on", "off"):
        pages = on.report().html if refit == "on" else off.report().html, (tmp_path / refit / "report.html").read_text()
        assert ["(refit); the figures are of the one before" in page for page in pages] == [refit == "on"] * 2
        assert ["it was not trained on" in page for page in pages] == [refit == "off"] * 2
    assert [len(fitted[refit]._learnt) for refit in ("on", "off")] == [48, 48 - off.result_.counts["val"]]
    listed = [len((tmp_path / refit / "training.csv").read_text().splitlines()) - 1 for refit in ("on", "off")]
    assert listed == [48, 48 - off.result_.counts["val"]]


def test_a_report_counts_what_was_learned_from_in_the_end(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A val split was set apart, nothing deeper was kept, and the head is fitted to all and judged out of fold."""
    monkeypatch.setattr("frostline.run.resolve.FEW", 10)
    fitted = ImageClassifier(**ONE, strategy="auto", out=tmp_path / "run").fit(*some(leaves, "train"))
    page = of_folder(tmp_path / "run")
    assert page.pictures == fitted.result_.counts == {"train": page.accuracy.n} == {"train": 48}
    assert page.counts == {"train": {"green leaf": 24, "red leaf": 24}}


def test_a_refit_ends_with_the_epoch_that_val_chose(leaves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter([(0.5, 1.0), (0.9, 0.5), (0.6, 0.9), (0.6, 0.9)])
    monkeypatch.setattr("frostline.run.train_phase.figures", lambda *_: next(figures))
    options = {**TRAINING, "strategy": "full", "epochs": 4, "keep": "best", "schedule": "constant", "refit": "on"}
    steps: list[Step] = []
    fitted = ImageClassifier(**options).fit(
        *some(leaves, "train"), listen=lambda event: steps.append(event) if isinstance(event, Step) else None
    )
    assert [(row.epochs, row.best_epoch) for row in fitted.result_.phases] == [(4, 2), (0, 0)]
    assert [step.epoch for step in steps[-6:]] == [0, 0, 0, 1, 1, 1]


def test_pictures_that_chose_are_no_test_once_they_were_learned_from(leaves: Path) -> None:
    for refit, counted in (("on", 0), ("off", 10)):
        fitted = ImageClassifier(**ONE, strategy="lp-ft", refit=refit).fit(*some(leaves, "train"))
        chose = {row.digest for part, _ in fitted.judged_ for row in part.rows}
        assert len(chose) == 10
        assert len(chose - fitted._learnt) == counted


def test_what_is_unlike_the_others_is_measured_by_the_network_that_had_not_learned_from_val(leaves: Path) -> None:
    held = []
    for refit in ("on", "off"):
        fitted = ImageClassifier(**ONE, strategy="lp-ft", refit=refit).fit(*some(leaves, "train", "val", "test"))
        assert fitted.about_.novelty is not None
        assert fitted.about_.novelty.known is not None
        held.append(fitted.about_.novelty.known.held_out)
    assert np.array_equal(held[0], held[1])


@pytest.fixture
def every_phase_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever val or the folds say of it."""
    monkeypatch.setattr("frostline.run.attempt.verdict", lambda *args, **more: (True, "kept"))
    monkeypatch.setattr("frostline.run.attempt.hopeless", lambda *args, **more: "")
    monkeypatch.setattr("frostline.run.cross_validation.harmed", lambda *args: "")


@pytest.mark.usefixtures("every_phase_is_kept")
def test_all_folds_and_what_is_kept_are_shortened_alike_where_time_is_short(
    leaves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frostline.run.train_phase._affordable", lambda task, phase, *given: min(2, phase.epochs))
    seen: list[tuple[int, float]] = []

    def schedule(kind: str, epochs: int, steps: int, warmup: float, *given: float) -> Schedule:
        seen.append((epochs, warmup))
        return Schedule(kind, epochs, steps, warmup, *given)

    monkeypatch.setattr("frostline.run.train_phase.Schedule", schedule)
    ImageClassifier(**{**TRAINING, "epochs": 4, "warmup": 1.0}, strategy="auto").fit(*some(leaves, "train"))
    assert seen == [(2, 0.5)] * 4  # three folds, and all pictures


@pytest.mark.usefixtures("every_phase_is_kept")
def test_few_pictures_are_judged_by_folds_and_what_is_kept_learned_from_all(leaves: Path) -> None:
    few = ImageClassifier(**ONE, strategy="auto").fit(*some(leaves, "train"))
    assert [row.kept for row in few.result_.phases] == [True, True, False]
    assert few.result_.phases[2].why == "unfreezing more has been tried"
    assert few.result_.metrics["cross-validation"].n == 48
    assert few.result_.counts == {"train": 48}
    assert few.result_.chosen_on == "cross-validation"
    assert same(state(few), state(ImageClassifier(**ONE, strategy="auto").fit(leaves)))


def test_a_phase_that_harms_the_first_fold_is_not_carried_out_in_the_others(
    leaves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that trains towards wrong labels harms for certain; which pictures a phase learned from is noted."""
    monkeypatch.setattr("frostline.run.attempt.hopeless", lambda *args, **more: "")
    learned: list[int] = []

    def astray(context: PhaseContext, *args: object, **more: object) -> PhaseResult:
        learned.append(len(context.train))
        with torch.no_grad():
            context.net.get_submodule(context.head.path).get_parameter("weight").neg_()
        return PhaseResult(None, None, 1)

    monkeypatch.setattr("frostline.run.cross_validation.train_stages", astray)
    harmed = ImageClassifier(**ONE, strategy="auto").fit(*some(leaves, "train"))
    _, whole, half, _ = harmed.result_.phases
    assert learned == [32]
    assert whole.why.startswith("the first of 3 folds: accuracy ")
    assert (whole.epochs, whole.kept, half.why) == (1, False, "unfreezing more has been tried")
    assert same(state(harmed), state(ImageClassifier(**SMALL, strategy="probe").fit(*some(leaves, "train"))))


def test_folds_are_not_begun_that_could_not_be_half_finished(leaves: Path) -> None:
    hurried = ImageClassifier(**{**TRAINING, "epochs": 10**7}, strategy="auto", budget="60s").fit(*of_chance(leaves))
    _, whole, half, _ = hurried.result_.phases
    for row in (whole, half):
        assert (row.epochs, row.why) == (0, "no time was left for enough of its epochs")


def test_val_pictures_that_somebody_gave_are_not_refitted_to(leaves: Path) -> None:
    said: list[str] = []
    given = ImageClassifier(**ONE, strategy="freeze", refit="on")
    given.fit(leaves, listen=lambda event: said.append(event.text) if isinstance(event, Warn) else None)
    assert [row.name for row in given.result_.phases] == ["head"]
    assert any(line.startswith("no refit: a val split") for line in said)


def test_a_refit_that_is_none_of_the_three_is_refused(leaves: Path) -> None:
    with pytest.raises(PlanError, match="no refit 'maybe'"):
        ImageClassifier(**ONE, refit="maybe").fit(leaves)


@pytest.mark.parametrize(
    "given",
    [
        {"folds": 5, "schedule": "plateau"},
        {"folds": 5, "patience": 3},
        {"folds": 5, "keep": "best"},
        {"refit": "on", "schedule": "plateau"},
    ],
)
def test_what_goes_by_a_val_split_is_refused_where_there_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match="to go by"):
        check_options(FitOptions(strategy="freeze", **given))


@pytest.mark.parametrize("given", [{"schedule": "constant"}, {"keep": "last", "patience": 0}, {}])
def test_what_folds_do_all_the_same_is_not_refused(given: dict[str, Any]) -> None:
    """`--schedule constant` would keep the best epoch by itself: that was not asked for."""
    check_options(FitOptions(strategy="freeze", folds=5, **given))


def test_a_rate_that_goes_by_val_is_not_refitted_without(leaves: Path) -> None:
    said: list[str] = []
    fitted = ImageClassifier(**ONE, strategy="freeze", schedule="plateau", budget="10m")
    fitted.fit(
        *some(leaves, "train"), listen=lambda event: said.append(event.text) if isinstance(event, Note) else None
    )
    assert [row.name for row in fitted.result_.phases] == ["head"]
    assert any(line.startswith("no refit: --schedule plateau") for line in said)


def test_folds_that_were_not_asked_for_say_what_they_have_no_use_for(leaves: Path) -> None:
    said: list[str] = []
    fitted = ImageClassifier(**ONE, strategy="auto", schedule="plateau")
    fitted.fit(
        *some(leaves, "train"), listen=lambda event: said.append(event.text) if isinstance(event, Warn) else None
    )
    assert any(line.startswith("--schedule plateau does nothing here") for line in said)

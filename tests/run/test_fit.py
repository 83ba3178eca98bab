"""A run from pictures to a model folder: what it writes, what it says, and what it refuses."""

import csv
import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frostline import ImageClassifier
from frostline.errors import CheckpointError, EngineError, PlanError, UnknownName
from frostline.events import Event, Judged, Note, PhaseStart, Step, Warn
from frostline.judge.result import RunResult
from frostline.net.stages import Stages
from frostline.run import train_phase
from frostline.train.plan import Plan, Recipe
from frostline.train.strategies import auto
from frostline.train.task import Task

SMALL: dict[str, Any] = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": 64,
    "precision": "fp32",
    "engine": "torch",
}
TRAINING: dict[str, Any] = {**SMALL, "epochs": 2, "views": 1, "batch_size": 16}
STRATEGIES = ("freeze", "discriminative", "layerwise", "gradual", "lp-ft", "full", "bitfit", "norm", "lora")


def state(classifier: ImageClassifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.net_.state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_probe_learns_and_writes_a_whole_run(leaves: Path, tmp_path: Path) -> None:
    classifier = ImageClassifier(**SMALL, strategy="probe", out=tmp_path / "run").fit(leaves)
    assert list(classifier.classes_) == ["green leaf", "red leaf"]
    assert classifier.result_.metrics["val"].figures["accuracy"].value >= 0.8
    assert classifier.result_.metrics["test"].n == 24
    run = tmp_path / "run"
    plan = json.loads((run / "plan.json").read_text())
    assert plan["strategy"] == "probe"
    assert plan["resolved"]["plan"]["phases"][0]["line"] == "head"
    assert plan["counts"]["train"] == {"green leaf": 24, "red leaf": 24}
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["metrics"]["test"]["accuracy"]["n"] == 24
    read_back = RunResult.from_dict(metrics, classifier.result_.skipped)
    assert (
        json.loads(json.dumps(read_back.to_dict())) == metrics == json.loads(json.dumps(classifier.result_.to_dict()))
    )
    assert read_back.coverage == classifier.result_.coverage
    assert read_back.phases == classifier.result_.phases
    pictures = list(csv.DictReader((run / "pictures.csv").read_text().splitlines()))
    assert [row["split"] for row in pictures] == ["val"] * 24 + ["test"] * 24
    assert sum(row["right"] == "1" for row in pictures[24:]) == round(
        24 * metrics["metrics"]["test"]["accuracy"]["value"]
    )
    assert not list(run.glob("*.tmp"))
    assert not (run / "checkpoint" / "checkpoint.safetensors").exists()
    loaded = ImageClassifier.load(run / "model")
    pictures = sorted((leaves / "test").rglob("*.png"))
    np.testing.assert_allclose(loaded.predict_proba(pictures), classifier.predict_proba(pictures), atol=1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(leaves: Path) -> None:
    one, again, other = (
        state(ImageClassifier(**TRAINING, strategy="full", seed=seed).fit(leaves)) for seed in (3, 3, 4)
    )
    assert same(one, again)
    assert not same(one, other)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_trains_what_it_says_and_nothing_else(leaves: Path, strategy: str) -> None:
    events: list[Event] = []
    classifier = ImageClassifier(**TRAINING, strategy=strategy).fit(leaves, listen=events.append)
    assert any(isinstance(event, Step) for event in events)
    rows = classifier.result_.phases
    assert all(row.kept for row in rows)
    assert rows[-1].trainable > 0
    assert classifier.result_.metrics["val"].n == 24
    assert set(classifier.net_.state_dict()) == set(
        ImageClassifier(**SMALL, strategy="probe").fit(leaves).net_.state_dict()
    )


def test_frozen_means_bit_equal(leaves: Path) -> None:
    probe = state(ImageClassifier(**SMALL, strategy="probe").fit(leaves))
    frozen = state(ImageClassifier(**TRAINING, strategy="freeze").fit(leaves))
    trunk = [name for name in probe if not name.startswith("fc.")]
    assert all(torch.equal(probe[name], frozen[name]) for name in trunk)
    assert not torch.equal(probe["fc.weight"], frozen["fc.weight"])


def test_norm_and_bias_strategies_move_only_their_own(leaves: Path) -> None:
    before = state(ImageClassifier(**SMALL, strategy="probe").fit(leaves))
    after = state(ImageClassifier(**TRAINING, strategy="bitfit", lr=1e-2).fit(leaves))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    weights = {name for name in moved if name.endswith(".weight") and not name.startswith("fc.")}
    assert not weights
    assert any(name.endswith(".bias") and not name.startswith("fc.") for name in moved)
    after = state(ImageClassifier(**TRAINING, strategy="norm", lr=1e-2).fit(leaves))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not {name for name in moved if before[name].ndim > 1 and not name.startswith("fc.")}
    assert any(before[name].ndim == 1 and name.endswith(".weight") for name in moved)


def test_a_trunk_rate_of_zero_moves_the_line_to_the_head(leaves: Path) -> None:
    events: list[Event] = []
    zero = ImageClassifier(**TRAINING, strategy="discriminative", trunk_lr=0.0).fit(leaves, listen=events.append)
    starts = [event for event in events if isinstance(event, PhaseStart)]
    assert [event.line for event in starts] == ["head"]
    assert any(isinstance(event, Note) and "are frozen" in event.text for event in events)
    assert zero.result_.phases[0].trainable == sum(p.numel() for p in zero.net_.get_classifier().parameters())
    frozen = ImageClassifier(**TRAINING, strategy="freeze").fit(leaves)
    assert same(state(zero), state(frozen))


def test_fresh_views_and_stored_views_are_the_same_views(leaves: Path) -> None:
    options = {**TRAINING, "epochs": 2, "strategy": "full", "clip": 0.0}
    stored = state(ImageClassifier(**{**options, "views": 2}).fit(leaves))
    fresh = state(ImageClassifier(**{**options, "views": 0}).fit(leaves))
    assert same(stored, fresh)


def test_auto_keeps_a_phase_only_if_it_is_measurably_better(leaves: Path) -> None:
    classifier = ImageClassifier(**{**TRAINING, "epochs": 1}, strategy="auto").fit(leaves)
    probe, *deeper = classifier.result_.phases
    assert probe.kept
    assert deeper
    assert probe.why == "the first model"
    reasons = ("measurably better", "measurably fewer", "unfreezing more")
    assert all(any(reason in row.why for reason in reasons) for row in deeper)
    best = [row for row in classifier.result_.phases if row.kept][-1]
    assert best.val is not None
    assert classifier.result_.metrics["val"].figures["accuracy"].value == pytest.approx(best.val.value)


def of_chance(leaves: Path) -> tuple[list[Path], list[str]]:
    """Pictures with labels that nothing in them tells."""
    paths = sorted((leaves / "train").glob("*/*.png"))
    return paths, ["heads" if number % 3 else "tails" for number in range(len(paths))]


@pytest.fixture
def few_errors_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phase is begun for the few errors of few pictures too."""
    monkeypatch.setattr("frostline.run.attempt.hopeless", lambda *given, **more: "")


@pytest.mark.usefixtures("few_errors_will_do")
def test_auto_tries_less_only_where_there_was_no_time_for_more(leaves: Path) -> None:
    still = ImageClassifier(**{**TRAINING, "epochs": 1, "lr": 1e-9}, strategy="auto", val=0.3)
    _, whole, half = still.fit(*of_chance(leaves)).result_.phases
    assert not whole.kept
    assert whole.epochs == 1
    assert not half.kept
    assert (half.epochs, half.why) == (0, "unfreezing more has been tried")


def test_where_fewer_epochs_fit_the_warm_up_is_as_much_shorter(leaves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.run.train_phase._affordable", lambda *given: 3)
    rates: list[float] = []

    def heard(event: Event) -> None:
        if isinstance(event, Step):
            rates.append(event.rates[0])

    whole = {**TRAINING, "epochs": 12, "warmup": 4.0, "schedule": "constant", "batch_size": 8}
    ImageClassifier(**whole, strategy="full").fit(leaves, listen=heard)
    assert len(rates) == 3 * 6
    assert rates[:7] == pytest.approx([rates[-1] * step / 7 for step in range(1, 8)])


@pytest.mark.usefixtures("few_errors_will_do")
def test_phases_that_unfreeze_ever_more_end_with_the_one_that_does_not_pay(leaves: Path) -> None:
    _, half, whole = (
        ImageClassifier(**{**TRAINING, "epochs": 1, "lr": 1e-9}, strategy="tests.run.test_fit:deeper", val=0.3)
        .fit(*of_chance(leaves))
        .result_.phases
    )
    assert (half.epochs, half.kept) == (1, False)
    assert (whole.epochs, whole.why) == (0, "unfreezing less was not worth it")


def deeper(stages: Stages, *, recipe: Recipe, lr: float, epochs: int) -> Plan:
    """What auto does, the other way round."""
    plan = auto(stages, recipe=recipe, lr=lr, decay=1.0, epochs=epochs, budget=60.0, flips=False, head_crops=0)
    solved, whole, half = plan.phases
    return replace(plan, phases=(solved, half, whole))


@pytest.mark.usefixtures("few_errors_will_do")
def test_auto_does_not_begin_what_it_could_not_half_finish(leaves: Path) -> None:
    hurried = ImageClassifier(**{**TRAINING, "epochs": 10**7}, strategy="auto", budget="60s", val=0.3)
    _, whole, half = hurried.fit(*of_chance(leaves)).result_.phases
    for row in (whole, half):
        assert (row.epochs, row.why) == (0, "no time was left for enough of its epochs")


def test_auto_trains_nothing_that_no_picture_could_judge(leaves: Path) -> None:
    one_each = [*sorted((leaves / "train" / "red leaf").glob("*.png"))[:6]]
    steps: list[Event] = []
    classifier = ImageClassifier(**TRAINING, strategy="auto")
    classifier.fit(
        one_each, list("abcdef"), listen=lambda event: steps.append(event) if isinstance(event, Step) else None
    )
    assert not steps
    assert [(row.why, row.epochs) for row in classifier.result_.phases[1:3]] == [
        ("there is no val split to judge it by", 0)
    ] * 2


def test_pictures_that_cannot_be_decoded_are_named_and_left_out(leaves: Path, tmp_path: Path) -> None:
    import shutil

    data = tmp_path / "data"
    shutil.copytree(leaves / "train", data)
    (data / "red leaf" / "cut.png").write_bytes((data / "red leaf" / "0.png").read_bytes()[:300])
    (data / "red leaf" / "empty.jpg").touch()
    (data / "notes.txt").write_text("not a picture")
    classifier = ImageClassifier(**SMALL, strategy="probe", out=tmp_path / "run").fit(data)
    rows = list(csv.DictReader((tmp_path / "run" / "skipped.csv").read_text().splitlines()))
    assert {Path(row["path"]).name for row in rows} == {"cut.png", "empty.jpg", "notes.txt"}
    assert all(row["reason"] for row in rows)
    assert sum(classifier.result_.counts.values()) == 48


def test_bad_options_are_refused_before_anything_is_computed(leaves: Path) -> None:
    with pytest.raises(UnknownName, match="full"):
        ImageClassifier(**SMALL, strategy="ful").fit(leaves)
    with pytest.raises(PlanError, match=r"--batch-size is 0.*--label-smoothing is 2"):
        ImageClassifier(**{**SMALL, "batch_size": 0}, label_smoothing=2.0, strategy="full").fit(leaves)
    with pytest.raises(PlanError, match="no use for"):
        ImageClassifier(**SMALL, strategy="probe", trunk_lr=0.1).fit(leaves)


def test_a_budget_that_is_over_ends_with_the_probe(leaves: Path) -> None:
    classifier = ImageClassifier(**TRAINING, strategy="lp-ft", budget="0s").fit(leaves)
    assert [row.kept for row in classifier.result_.phases] == [True, False]
    assert "no time" in classifier.result_.phases[1].why


def test_ctrl_c_keeps_the_best_model_so_far(leaves: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Warn):
            said.append(event.text)
        if isinstance(event, Judged):
            raise KeyboardInterrupt

    classifier = ImageClassifier(**TRAINING, strategy="full", out=tmp_path / "run")
    classifier.fit(leaves, listen=listen)
    assert classifier.result_.interrupted
    assert classifier.result_.phases[0].epochs == 1
    assert any("interrupted after 1 of " in text for text in said)  # in a loop of fits nobody else says it
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_ctrl_c_while_an_epoch_is_judged_leaves_it_out(leaves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights of an epoch that nothing had judged were kept in place of the probe's, and the run had no figures."""
    judge, calls = train_phase._val_logits, count()

    def interrupted(*given: Any) -> Any:
        if next(calls) == stops:
            raise KeyboardInterrupt
        return judge(*given)

    monkeypatch.setattr(train_phase, "_val_logits", interrupted)
    stops = 0
    result = ImageClassifier(**{**TRAINING, "epochs": 3}, strategy="lp-ft").fit(leaves).result_
    assert [row.kept for row in result.phases] == [True, False]
    assert result.interrupted
    assert "val" in result.metrics
    stops, calls = 1, count()
    result = ImageClassifier(**{**TRAINING, "epochs": 3}, strategy="lp-ft").fit(leaves).result_
    assert (result.phases[1].epochs, result.phases[1].best_epoch, result.phases[1].kept) == (1, 1, True)


def test_ctrl_c_before_the_first_step_leaves_the_network_as_the_phase_found_it(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was left where the phase trains, on a card, and with what the phase had attached: saving failed."""
    seen = []

    def interrupted(task: Task) -> float:
        seen.append(task.suffix)
        task.suffix.requires_grad_(False)
        raise KeyboardInterrupt

    monkeypatch.setattr("frostline.run.train_phase.range_test", interrupted)
    classifier = ImageClassifier(**TRAINING, strategy="lp-ft", lr="auto", out=tmp_path / "run").fit(leaves)
    assert len(seen) == 1
    assert classifier.result_.interrupted or classifier.result_.phases[1].early == "interrupted"
    assert [row.kept for row in classifier.result_.phases] == [True, False]
    assert all(parameter.requires_grad for parameter in classifier.net_.parameters())
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_a_batch_that_a_card_cannot_hold_is_said_and_costs_no_model(
    leaves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Task, "loss", full)
    with pytest.raises(EngineError, match="a batch of 16 does not fit into the memory") as caught:
        ImageClassifier(**TRAINING, strategy="full").fit(leaves)
    assert "--batch-size 8 --accumulate 2" in str(caught.value.hint)
    kept = ImageClassifier(**TRAINING, strategy="lp-ft").fit(leaves)
    assert [row.kept for row in kept.result_.phases] == [True, False]
    assert "does not fit" in kept.result_.phases[1].why


def test_resume_gives_the_same_bits_as_never_stopping(leaves: Path, tmp_path: Path) -> None:
    options = {**TRAINING, "strategy": "gradual", "epochs": 12, "views": 2, "mixup": 0.2, "ema": 0.9}
    whole = state(ImageClassifier(**options).fit(leaves))

    class Killed(BaseException):
        pass

    for stop in (1, 7):
        seen = 0

        def listen(event: Event) -> None:
            nonlocal seen
            seen += isinstance(event, Judged)
            if seen == stop:  # noqa: B023
                raise Killed

        out = tmp_path / str(stop)
        with pytest.raises(Killed):
            ImageClassifier(**options, out=out).fit(leaves, listen=listen)
        resumed = ImageClassifier(**options, out=out, resume=True).fit(leaves)
        assert same(state(resumed), whole)


@pytest.mark.parametrize(
    ("options", "stops"),
    [
        (
            {"mixup": 0.2, "cutmix": 1.0, "ema": 0.9, "accumulate": 2, "optimizer": "lookahead_adamw", "warmup": 1.0},
            (2, 5, 6, 9),
        ),
        ({"schedule": "plateau", "balance": "sampling", "views": 0, "augment": "trivial", "optimizer": "sgd"}, (5, 9)),
        ({"drop_path": 0.3, "l2sp": 0.1, "interpolate": 0.7, "lr": "auto", "strategy": "layerwise"}, (9,)),
    ],
)
def test_resume_within_an_epoch_gives_the_same_bits_and_figures(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], stops: tuple[int, ...]
) -> None:
    monkeypatch.setattr("frostline.run.train_phase.CHECKPOINT_SECONDS", -1.0)
    chosen = {"model": "test_resnet", **TRAINING, "strategy": "full", "batch_size": 8, **options}
    events: list[Event] = []
    whole = ImageClassifier(**chosen).fit(leaves, listen=events.append)

    class Killed(BaseException):
        pass

    for stop in stops:
        out, seen = tmp_path / str(stop), 0

        def listen(event: Event) -> None:
            nonlocal seen
            seen += isinstance(event, Step)
            if isinstance(event, Step) and seen == stop + 1:  # noqa: B023
                raise Killed

        with pytest.raises(Killed):
            ImageClassifier(**chosen, out=out).fit(leaves, listen=listen)
        again: list[Event] = []
        resumed = ImageClassifier(**chosen, out=out, resume=True).fit(leaves, listen=again.append)
        assert same(state(resumed), state(whole))
        figures = [
            [(e.epoch, e.accuracy, e.loss, e.train_loss) for e in told if isinstance(e, Judged)]
            for told in (events, again)
        ]
        assert figures[1] == figures[0][-len(figures[1]) :]


def test_a_phase_that_had_ended_early_is_not_trained_on(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the checkpoint of the epoch that it ended with: it went on for an epoch more."""
    monkeypatch.setattr("frostline.run.train_phase.figures", lambda *_: (0.5, 1.0))  # no epoch is better than the first
    options = {**TRAINING, "strategy": "freeze", "epochs": 8, "keep": "last", "patience": 1}
    whole = ImageClassifier(**options).fit(leaves)
    assert "no better val loss" in whole.result_.phases[0].early

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("frostline.run.train_phase._settled", killed)
        with pytest.raises(Killed):
            ImageClassifier(**options, out=tmp_path).fit(leaves)
    resumed = ImageClassifier(**options, out=tmp_path, resume=True).fit(leaves)
    assert resumed.result_.phases[0].epochs == whole.result_.phases[0].epochs
    assert resumed.result_.phases[0].early == whole.result_.phases[0].early
    assert same(state(resumed), state(whole))


@pytest.mark.parametrize("changed", [{"lr": 0.5}, {"drop_path": 0.1}, {"precision": "bf16"}, {"engine": "auto"}])
def test_a_checkpoint_of_another_run_is_refused(leaves: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    class Killed(BaseException):
        pass

    def listen(event: Event) -> None:
        if isinstance(event, Judged) and event.epoch == 1:
            raise Killed

    with pytest.raises(Killed):
        ImageClassifier(**TRAINING, strategy="full", out=tmp_path).fit(leaves, listen=listen)
    with pytest.raises(CheckpointError, match=r"another run|other options"):
        ImageClassifier(**{**TRAINING, **changed}, strategy="full", out=tmp_path, resume=True).fit(leaves)


def test_a_rate_that_wrecks_the_network_without_a_nan_is_said() -> None:
    """The loss stays a finite number, some 1e14: no model, and no exception either."""
    rng = np.random.default_rng(0)
    pictures = [np.clip(rng.normal(60 + 90 * (n % 2), 30, (32, 32, 3)), 0, 255).astype(np.uint8) for n in range(24)]
    for lr in (1e6, 1e-3):
        said: list[str] = []
        wild = ImageClassifier(
            model="test_resnet", weights="none", strategy="full", epochs=1, optimizer="sgd", image_size=48, lr=lr
        )
        wild.fit(
            pictures, ["ab"[n % 2] for n in range(24)], listen=lambda e, to=said: to.append(getattr(e, "text", ""))
        )
        assert any("far above guessing" in text for text in said) == (lr == 1e6)

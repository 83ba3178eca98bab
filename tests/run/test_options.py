"""Every option of a fit does something: with it a run ends elsewhere than without, and where it should."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frostline import ImageClassifier
from frostline.errors import StoreError
from frostline.events import Event, Judged, Note, PhaseStart, Step

BASE: dict[str, Any] = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": 32,
    "precision": "fp32",
    "engine": "torch",
    "device": "cpu",
    "strategy": "full",
    "epochs": 2,
    "views": 2,
    "batch_size": 16,
    "keep": "last",
    "warmup": 0.0,
}


def fitted(data: Path, **options: Any) -> tuple[torch.Tensor, list[Event], ImageClassifier]:
    """All weights in one vector, what happened, and the estimator."""
    events: list[Event] = []
    classifier = ImageClassifier(**{**BASE, **options}).fit(data, listen=events.append)
    return torch.nn.utils.parameters_to_vector(classifier.net_.parameters()).detach(), events, classifier


@pytest.fixture(scope="module")
def plain(leaves: Path) -> torch.Tensor:
    return fitted(leaves)[0]


@pytest.fixture(scope="module")
def with_sgd(leaves: Path) -> torch.Tensor:
    return fitted(leaves, optimizer="sgd")[0]


def test_nothing_is_drawn_anew(leaves: Path, plain: torch.Tensor) -> None:
    assert torch.equal(fitted(leaves)[0], plain)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 1e-2},
        {"epochs": 3},
        {"batch_size": 8},
        {"seed": 1},
        {"optimizer": "lamb"},
        {"weight_decay": 0.3},
        {"schedule": "constant"},
        {"schedule": "one-cycle"},
        {"schedule": "step", "step_size": 1},
        {"warmup": 1.0},
        {"label_smoothing": 0.1},
        {"mixup": 0.4},
        {"cutmix": 1.0},
        {"augment": "flip"},
        {"augment": "trivial"},
        {"augment": "rand"},
        {"augment": "none"},
        {"erasing": 0.9},
        {"views": 1},
        {"ema": 0.5},
        {"l2sp": 1.0},
        {"clip": 1e-3},
        {"accumulate": 2},
        {"balance": "sampling"},
        {"image_size": 64},
        {"precision": "bf16"},
    ],
    ids=lambda options: "-".join(f"{name}={value}" for name, value in options.items()),
)
def test_an_option_changes_what_is_learnt(leaves: Path, plain: torch.Tensor, options: dict[str, Any]) -> None:
    found, _, _ = fitted(leaves, **options)
    assert found.isfinite().all()
    assert not torch.equal(found, plain)


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"optimizer": "nesterov"}], ids=["momentum", "nesterov"])
def test_an_option_of_sgd_changes_what_is_learnt(leaves: Path, with_sgd: torch.Tensor, options: dict[str, Any]) -> None:
    assert not torch.equal(fitted(leaves, **{"optimizer": "sgd", **options})[0], with_sgd)


def rates(events: list[Event]) -> list[float]:
    return [max(event.rates) for event in events if isinstance(event, Step)]


def test_the_schedules_own_options_move_the_rate(leaves: Path) -> None:
    step = {"lr": 1e-2, "schedule": "step", "step_size": 1}
    first = {gamma: rates(fitted(leaves, **step, gamma=gamma)[1]) for gamma in (0.1, 0.5)}
    assert first[0.1] == pytest.approx([1e-2] * 3 + [1e-3] * 3)
    assert first[0.5] == pytest.approx([1e-2] * 3 + [5e-3] * 3)
    later = rates(fitted(leaves, **{**step, "step_size": 2})[1])
    assert later == pytest.approx([1e-2] * 6)


def test_a_plateau_lowers_the_rate(leaves: Path) -> None:
    # A rate of next to nothing: val does not get better, and after four such epochs the rate falls.
    found = rates(fitted(leaves, strategy="freeze", schedule="plateau", lr=1e-12, epochs=6)[1])
    assert found[-1] < found[0]


def test_a_range_test_sets_the_rate(leaves: Path) -> None:
    _, events, _ = fitted(leaves, lr="auto")
    assert any(isinstance(event, Note) and event.text.startswith("range test: all rates times") for event in events)
    assert rates(events)[0] != rates(fitted(leaves)[1])[0]


def test_patience_ends_a_phase_early(leaves: Path) -> None:
    _, events, classifier = fitted(leaves, strategy="freeze", lr=1e-12, patience=1, epochs=6)
    assert sum(isinstance(event, Judged) for event in events) < 6
    assert "no better val loss" in classifier.result_.phases[0].early


def test_keep_chooses_the_best_epoch_or_the_last(leaves: Path) -> None:
    spoilt = {"lr": 0.3, "optimizer": "sgd", "schedule": "constant", "epochs": 4, "clip": 0.0}
    _, events, best = fitted(leaves, **spoilt, **{"keep": "best"})
    judged = [event for event in events if isinstance(event, Judged)]
    figure = best.result_.metrics["val"].figures["accuracy"].value
    assert figure == pytest.approx(max(event.accuracy for event in judged))
    _, events, last = fitted(leaves, **spoilt)
    judged = [event for event in events if isinstance(event, Judged)]
    assert last.result_.metrics["val"].figures["accuracy"].value == pytest.approx(judged[-1].accuracy)


def test_class_weights_follow_the_classes(leaves: Path) -> None:
    paths = [*(leaves / "train" / "green leaf").iterdir(), *sorted((leaves / "train" / "red leaf").iterdir())[:6]]
    labels = [path.parent.name for path in paths]
    found = [
        ImageClassifier(**BASE, balance=balance).fit(paths, labels).net_.state_dict()["fc.weight"]
        for balance in ("none", "weights", "sampling")
    ]
    assert not torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    solved = [
        ImageClassifier(**{**BASE, "strategy": "probe", "epochs": None, "views": None, "batch_size": None,
                           "keep": None, "warmup": None}, balance=balance).fit(paths, labels)
        for balance in ("none", "weights")
    ]  # fmt: skip
    assert not torch.equal(*(c.net_.state_dict()["fc.weight"] for c in solved))


def test_trunk_rate_and_decay_set_each_stages_rate(leaves: Path) -> None:
    _, events, _ = fitted(leaves, strategy="discriminative", lr=1e-2, trunk_lr=1e-3, schedule="constant")
    assert {round(rate, 9) for event in events if isinstance(event, Step) for rate in event.rates} == {1e-2, 1e-3}
    _, events, _ = fitted(leaves, strategy="layerwise", lr=1e-2, decay=0.5, schedule="constant")
    steps = [event for event in events if isinstance(event, Step)]
    found = sorted(set(steps[0].rates), reverse=True)
    np.testing.assert_allclose(found, [1e-2 * 0.5**i for i in range(len(found))])
    assert len(found) > 2


def test_the_rank_sets_how_much_an_adapter_learns(leaves: Path) -> None:
    runs = [fitted(leaves, strategy="lora", rank=rank, epochs=1)[2] for rank in (1, 2)]
    small, large = (run.result_.phases[0].trainable for run in runs)
    head = sum(p.numel() for p in runs[0].net_.get_classifier().parameters())
    assert large - head == 2 * (small - head)


def test_adapters_leave_the_stages_as_they_are(leaves: Path) -> None:
    # With an adapter beside it a single layer looks like a block, and would split the stage that it is in.
    some = {"model": "tf_efficientnet_lite0", "image_size": 64, "epochs": 1, "views": 1}
    _, _, classifier = fitted(leaves, strategy="lora", rank=1, **some)
    assert classifier.result_.phases[0].kept


def test_interpolate_goes_so_much_of_the_way(leaves: Path) -> None:
    quarter, half, whole = (fitted(leaves, interpolate=share)[0] for share in (0.25, 0.5, 1.0))
    assert not torch.allclose(half, whole, atol=1e-4)
    assert torch.allclose(whole - half, 2 * (half - quarter), atol=1e-6)


def test_interpolated_weights_are_those_that_are_judged(leaves: Path) -> None:
    _, _, classifier = fitted(leaves, interpolate=0.5)
    judged, written = classifier.result_.phases[0].val, classifier.score(leaves / "val")
    assert judged is not None
    assert judged.value == pytest.approx(written)


def test_drop_path_drops_paths(leaves: Path) -> None:
    some = {"model": "test_convnext", "image_size": 64, "epochs": 1}
    assert not torch.equal(fitted(leaves, **some)[0], fitted(leaves, **some, drop_path=0.9)[0])


def test_frozen_norm_update_lets_statistics_move(leaves: Path) -> None:
    assert not torch.equal(statistics(leaves, "freeze", "hold"), statistics(leaves, "freeze", "update"))


def test_frozen_norm_hold_all_holds_them_above_the_line_as_well(leaves: Path) -> None:
    pretrained = statistics(leaves, "freeze", "hold")
    assert torch.equal(statistics(leaves, "full", "hold-all"), pretrained)
    assert not torch.equal(statistics(leaves, "full", "hold"), pretrained)


def statistics(leaves: Path, strategy: str, frozen_norm: str) -> torch.Tensor:
    _, _, classifier = fitted(leaves, strategy=strategy, frozen_norm=frozen_norm)
    return torch.cat([b.flatten() for n, b in classifier.net_.named_buffers() if "running_mean" in n])


def test_compile_hands_the_network_to_the_compiler(leaves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: asked.append(self))
    fitted(leaves, epochs=1)
    assert not asked
    fitted(leaves, epochs=1, compile=True)
    assert len(asked) == 1


def test_val_sets_the_share_that_is_judged_by(leaves: Path) -> None:
    counts = [fitted(leaves / "train", epochs=1, val=share)[2].result_.counts["val"] for share in (0.25, 0.5)]
    assert counts == [12, 24]


def test_the_model_and_its_weights_are_those_that_were_asked_for(leaves: Path, tmp_path: Path) -> None:
    _, _, first = fitted(leaves, epochs=1, lr=1e-12, weight_decay=0.0)
    state = {name: t for name, t in first.net_.state_dict().items() if not name.startswith("fc.")}
    one = next(iter(state))
    marked = {name: t + 1 if name == one else t for name, t in state.items()}
    marked |= {"fc.weight": torch.zeros(5, first.net_.num_features), "fc.bias": torch.zeros(5)}
    torch.save(marked, tmp_path / "marked.pth")
    _, _, second = fitted(leaves, epochs=1, lr=1e-12, weight_decay=0.0, weights=tmp_path / "marked.pth")
    moved = second.net_.state_dict()[one] - state[one]
    torch.testing.assert_close(moved, torch.ones_like(moved), rtol=0, atol=1e-5)


def test_a_store_that_is_too_small_says_so(leaves: Path) -> None:
    with pytest.raises(StoreError, match="over its limit"):
        fitted(leaves, seed=77, store_limit="100kB")


def test_the_engine_is_the_one_that_was_asked_for(leaves: Path) -> None:
    probe = {"strategy": "probe", "epochs": None, "views": None, "batch_size": None, "keep": None, "warmup": None}
    used = {engine: fitted(leaves, **probe, engine=engine)[2].result_.engine for engine in ("torch", "openvino")}
    assert used == {"torch": "torch fp32", "openvino": "openvino fp32"}


def test_a_tracker_has_every_step_and_epoch(leaves: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, events, _ = fitted(leaves, out=tmp_path / "run", track="tensorboard", epochs=2)
    (place,) = tmp_path.rglob("events.out.tfevents*")
    written = EventAccumulator(str(place.parent))
    written.Reload()
    steps = [event for event in events if isinstance(event, Step)]
    judged = [event for event in events if isinstance(event, Judged)]
    (phase,) = [event.name for event in events if isinstance(event, PhaseStart)]
    losses = [(scalar.step, scalar.value) for scalar in written.Scalars(f"{phase}/train_loss")]
    assert losses == [(step.step, pytest.approx(float(step.loss))) for step in steps]
    rates = [scalar.value for scalar in written.Scalars(f"{phase}/lr")]
    assert rates == [pytest.approx(max(step.rates)) for step in steps]
    assert [s.value for s in written.Scalars(f"{phase}/val_loss")] == [pytest.approx(e.loss) for e in judged]
    assert [s.value for s in written.Scalars(f"{phase}/val_accuracy")] == [pytest.approx(e.accuracy) for e in judged]
    assert len(judged) == 2


def test_strategies_put_the_line_where_they_say(leaves: Path) -> None:
    lines = [event.line for event in fitted(leaves, strategy="gradual", epochs=6)[1] if isinstance(event, PhaseStart)]
    assert lines == ["head", "layer4", "layer3", "layer2", "layer1", "stem"]

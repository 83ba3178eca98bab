"""Every figure against scikit-learn or torchmetrics, on random and on degenerate pictures."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn import metrics as sk
from torchmetrics import functional as tm

from frostline.errors import JudgementError
from frostline.judge import bootstrap
from frostline.judge.figures import Report
from frostline.judge.intervals import Interval, wilson
from frostline.judge.metrics import accuracy, report, report_multilabel, top_k


def softmax(z):
    powers = np.exp(z - z.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def some(n=80, k=7, seed=0):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    return softmax(rng.normal(size=(n, k)) + 1.5 * np.eye(k)[y]), y


def names(k):
    return [f"class {i}" for i in range(k)]


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (147, 153), (1, 2)])
def test_wilson_is_scipys(correct, n):
    expected = binomtest(correct, n).proportion_ci(method="wilson")
    got = wilson(correct, n)
    assert (got.value, got.n) == (correct / n, n)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_is_refused():
    with pytest.raises(JudgementError, match="0 of 0"):
        wilson(0, 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [2, 7])
def test_figures_are_those_of_scikit_learn(seed, k):
    p, y = some(k=k, seed=seed)
    guess = p.argmax(1)
    found = {name: figure.value for name, figure in report(p, y, names(k), resamples=20).figures.items()}
    truth = np.eye(k)[y]
    expected = {
        "accuracy": sk.accuracy_score(y, guess),
        "balanced_accuracy": sk.balanced_accuracy_score(y, guess),
        "macro_f1": sk.f1_score(y, guess, average="macro"),
        "weighted_f1": sk.f1_score(y, guess, average="weighted"),
        "roc_auc": sk.roc_auc_score(y, p[:, 1] if k == 2 else p, multi_class="ovr"),
        "average_precision": sk.average_precision_score(truth, p),
        "log_loss": sk.log_loss(y, p),
        "brier": ((p - truth) ** 2).sum(1).mean(),
    }
    if k > 5:
        expected["top_5"] = sk.top_k_accuracy_score(y, p, k=5)
    assert found == pytest.approx(expected, abs=1e-12)
    assert next(iter(found)) == "accuracy"


def test_brier_of_two_classes_is_twice_scikit_learns():
    p, y = some(k=2)
    assert report(p, y, names(2), resamples=5).figures["brier"].value == pytest.approx(
        2 * sk.brier_score_loss(y, p[:, 1])
    )


def test_figures_are_those_of_torchmetrics():
    p, y = some(k=5, seed=4)
    tp, ty = torch.from_numpy(p), torch.from_numpy(y)
    found = report(p, y, names(5), resamples=5).figures
    for name, function in [
        ("macro_f1", tm.f1_score),
        ("roc_auc", tm.auroc),
        ("average_precision", tm.average_precision),
    ]:
        expected = function(tp, ty, task="multiclass", num_classes=5, average="macro")
        assert found[name].value == pytest.approx(float(expected), abs=1e-6), name


def test_rows_of_a_class_and_confusion():
    p, y = some(k=4, seed=2)
    guess = p.argmax(1)
    found = report(p, y, names(4), resamples=5)
    precision, recall, f1, support = sk.precision_recall_fscore_support(y, guess)
    assert [r.precision for r in found.per_class] == pytest.approx(list(precision))
    assert [r.recall for r in found.per_class] == pytest.approx(list(recall))
    assert [r.f1 for r in found.per_class] == pytest.approx(list(f1))
    assert [r.support for r in found.per_class] == list(support)
    assert (found.confusion == sk.confusion_matrix(y, guess)).all()
    assert [r.name for r in found.per_class] == names(4)


def test_one_class_present():
    """All pictures are of class 1 of 3; class 2 is wrongly guessed once, class 0 neither occurs nor is guessed."""
    p = np.array([[0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
    y = np.array([1, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = report(p, y, names(3))
    assert "roc_auc" not in found.figures
    assert found.figures["accuracy"].value == found.figures["balanced_accuracy"].value == pytest.approx(2 / 3)
    # scikit-learn's f1_score counts a class that is only guessed as 0, unless told which classes have pictures
    expected = sk.f1_score(y, p.argmax(1), average="macro", labels=np.unique(y))
    assert found.figures["macro_f1"].value == pytest.approx(expected)
    assert found.figures["macro_f1"].low <= expected <= found.figures["macro_f1"].high
    nobody, all_of_them, guessed = found.per_class
    assert (nobody.precision, nobody.recall, nobody.f1, nobody.support) == (None, None, None, 0)
    assert (all_of_them.precision, all_of_them.support) == (1.0, 3)
    assert (guessed.precision, guessed.recall) == (0.0, None)


def test_empty_class_takes_no_part_in_means():
    p, y = some(k=4)
    padded = np.hstack([p, np.zeros((len(p), 1))])
    few, many = report(p, y, names(4), resamples=50), report(padded, y, names(5), resamples=50)
    for name, figure in few.figures.items():
        assert many.figures[name].value == pytest.approx(figure.value), name
        assert many.figures[name].low == pytest.approx(figure.low), name


def test_ties_count_for_the_first_class_and_half_in_roc_auc():
    p = np.full((4, 2), 0.5)
    y = np.array([0, 0, 0, 1])
    found = report(p, y, names(2)).figures
    assert found["accuracy"].value == 0.75
    assert found["roc_auc"].value == 0.5
    assert found["average_precision"].value == pytest.approx((0.75 + 0.25) / 2)
    assert top_k(np.zeros((3, 4)), np.array([0, 1, 2]), 2).value == pytest.approx(2 / 3)


def test_certain_and_wrong_is_finite():
    p = np.array([[1.0, 0.0], [1.0, 0.0]])
    y = np.array([0, 1])
    loss = report(p, y, names(2), resamples=5).figures["log_loss"].value
    assert loss == pytest.approx(sk.log_loss(y, p))


@pytest.mark.parametrize(
    ("scores", "y"),
    [
        (np.zeros((0, 2)), np.zeros(0, int)),
        (np.zeros((2, 0)), np.zeros(2, int)),
        (np.zeros((2, 2)), np.zeros(3, int)),
        (np.zeros((2, 2)), np.array([0, 2])),
        (np.zeros((2, 2)), np.array([0, -1])),
        (np.zeros((2, 2)), np.array([0.0, 1.0])),
        (np.array([[np.nan, 0], [0, 1]]), np.array([0, 1])),
        (np.zeros(2), np.zeros(2, int)),
    ],
)
def test_what_cannot_be_judged_is_refused(scores, y):
    with pytest.raises(JudgementError) as caught:
        accuracy(scores, y)
    assert caught.value.hint
    with pytest.raises(JudgementError):
        report(scores, y, names(2))


def test_logits_are_not_probabilities():
    with pytest.raises(JudgementError, match="sum to 1"):
        report(np.array([[2.0, -1.0], [0.0, 3.0]]), np.array([0, 1]), names(2))


def test_names_must_fit():
    p, y = some(k=3)
    with pytest.raises(JudgementError, match="2 names for 3"):
        report(p, y, names(2))


def test_top_k_out_of_range():
    with pytest.raises(JudgementError, match="top 3 of 2"):
        top_k(np.zeros((1, 2)), np.array([0]), 3)


def test_statistics_with_weights_are_scikit_learns_with_sample_weights():
    """A bootstrap draw is a weighting: each statistic must give what scikit-learn gives with those weights."""
    p, y = some(n=40, k=4, seed=5)
    p = np.round(p, 1)  # ties
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 4, (6, 40)).astype(np.float32)
    truth, guess = np.eye(4, dtype=bool)[y], p.argmax(1)
    guessed = np.eye(4, dtype=bool)[guess]

    def f1(average):
        return lambda w: sk.f1_score(y, guess, average=average, sample_weight=w, labels=np.unique(y[w > 0]))

    def mean(score):
        return lambda w: np.mean([score(y == c, p[:, c], sample_weight=w) for c in range(4)])

    formulas = {
        "macro": bootstrap.macro_f1,
        "weighted": bootstrap.weighted_f1,
        "micro": bootstrap.micro_f1,
        "recall": bootstrap.mean_recall,
    }
    ladders = [bootstrap.Ladder.of(truth[:, c], p[:, c]) for c in range(4)]
    found = (
        bootstrap.from_counts(truth, guessed, formulas).of(weights)
        | dict(bootstrap.ranked(ladders, cost=4).of(weights))
        | dict(bootstrap.means(first=p[:, 0], second=p[:, 1]).of(weights))
    )
    expected = {
        "macro": f1("macro"),
        "weighted": f1("weighted"),
        "micro": f1("micro"),
        "recall": lambda w: sk.balanced_accuracy_score(y, guess, sample_weight=w),
        "roc_auc": mean(sk.roc_auc_score),
        "average_precision": mean(sk.average_precision_score),
        "first": lambda w: np.average(p[:, 0], weights=w),
        "second": lambda w: np.average(p[:, 1], weights=w),
    }
    assert found.keys() == expected.keys()
    for name, oracle in expected.items():
        assert found[name] == pytest.approx([oracle(w) for w in weights], abs=1e-9), name


def test_steps_of_a_ladder_are_as_few_as_its_pictures_allow():
    """Of 10,000 pictures, 3 of the class: what changes an area is seen at 7 thresholds, not at 10,000."""
    rng = np.random.default_rng(0)
    there, scores = np.zeros(10_000, bool), rng.random(10_000)
    there[:3] = True
    assert bootstrap.Ladder.of(there, scores).everyone.shape[0] <= 7
    assert bootstrap.Ladder.of(there, np.round(scores, 1)).areas(np.ones((10_000, 1), np.float32)) == pytest.approx(
        (sk.roc_auc_score(there, np.round(scores, 1)), sk.average_precision_score(there, np.round(scores, 1)))
    )


def test_bootstrap_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap.intervals([bootstrap.means(mean=values)], 400)["mean"]
    error = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.1 * error)


def test_few_costly_draws_still_give_an_interval():
    values = np.random.default_rng(0).normal(size=400)
    costly = replace(bootstrap.means(mean=values), cost=10**6)
    low, high = bootstrap.intervals([costly], 400)["mean"]
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.5)


def test_a_figure_is_the_same_beside_others_that_are_worth_fewer_draws():
    first, second = np.random.default_rng(0).normal(size=(2, 400))
    alone = bootstrap.intervals([bootstrap.means(first=first)], 400, seed=3)["first"]
    costly = replace(bootstrap.means(second=second), cost=10**4)
    together = bootstrap.intervals([costly, bootstrap.means(first=first)], 400, seed=3)
    assert together["first"] == pytest.approx(alone, abs=1e-12)
    assert together["second"] == pytest.approx(bootstrap.intervals([costly], 400, seed=3)["second"], abs=1e-12)


def test_the_same_seed_gives_the_same_report():
    p, y = some()
    first, second, other = (report(p, y, names(7), resamples=50, seed=s).to_dict() for s in (1, 1, 2))
    assert first == second != other


def test_intervals_hold_their_value():
    p, y = some(n=300)
    for name, figure in report(p, y, names(7)).figures.items():
        assert figure.low < figure.value < figure.high, name
        assert figure.n == 300


def multi(seed=0, n=60, k=4):
    rng = np.random.default_rng(seed)
    y = rng.random((n, k)) < 0.4
    return np.clip(0.3 * y + 0.7 * rng.random((n, k)), 0, 1), y


def test_multilabel_figures_are_those_of_scikit_learn():
    p, y = multi()
    guess = p >= 0.5
    found = report_multilabel(p, y, names(4), resamples=20)
    expected = {
        "accuracy": sk.accuracy_score(y, guess),
        "hamming": 1 - sk.hamming_loss(y, guess),
        "micro_f1": sk.f1_score(y, guess, average="micro"),
        "macro_f1": sk.f1_score(y, guess, average="macro"),
        "weighted_f1": sk.f1_score(y, guess, average="weighted"),
        "roc_auc": sk.roc_auc_score(y, p),
        "average_precision": sk.average_precision_score(y, p),
        "log_loss": np.mean([sk.log_loss(y[:, c], p[:, c]) for c in range(4)]),
        "brier": np.mean([sk.brier_score_loss(y[:, c], p[:, c]) for c in range(4)]),
    }
    assert {name: figure.value for name, figure in found.figures.items()} == pytest.approx(expected, abs=1e-9)
    assert (found.confusion == sk.multilabel_confusion_matrix(y, guess)).all()


@pytest.mark.parametrize("k", [1, 3])
def test_multilabel_with_classes_always_and_never_there(k):
    p, y = multi(k=k)
    y[:, 0] = False
    if k > 1:
        y[:, 1] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = report_multilabel(p, y, names(k), resamples=20)
    assert found.per_class[0].recall is None
    assert found.per_class[0].support == 0
    assert found.confusion.shape == (k, 2, 2)
    if k > 1:
        assert found.figures["roc_auc"].value == pytest.approx(sk.roc_auc_score(y[:, 2], p[:, 2]))
    else:
        assert "roc_auc" not in found.figures
        assert "average_precision" not in found.figures
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("p", "y"),
    [
        (np.zeros((0, 2)), np.zeros((0, 2))),
        (np.zeros((2, 2)), np.zeros(2)),
        (np.full((2, 2), 1.5), np.zeros((2, 2))),
        (np.zeros((2, 2)), np.full((2, 2), 2)),
    ],
)
def test_multilabel_refuses(p, y):
    with pytest.raises(JudgementError):
        report_multilabel(p, y, names(2))


@pytest.mark.parametrize(
    "made", [lambda: report(*some(), names(7), resamples=5), lambda: report_multilabel(*multi(), names(4), resamples=5)]
)
def test_report_survives_json(made):
    found = made()
    back = Report.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert back.to_dict() == found.to_dict()


def test_many_classes_make_a_small_file():
    """Of 150 classes the matrix alone took a quarter of a megabyte, nearly all of it zeros; of 1,000, 12 MB."""
    p, y = some(n=300, k=150)
    found = report(p, y, names(150), resamples=5)
    said = json.dumps(found.to_dict(), indent=2)
    assert len(said) < 110_000
    back = Report.from_dict(json.loads(said))
    assert (back.confusion == sk.confusion_matrix(y, p.argmax(1), labels=range(150))).all()
    assert back.to_dict() == found.to_dict()
    dense = found.to_dict() | {"confusion": found.confusion.tolist()}  # of an older version
    assert (Report.from_dict(dense).confusion == found.confusion).all()


def test_scores_of_any_scale():
    p, y = some()
    assert accuracy(1000 * np.log(p), y) == accuracy(p, y)
    assert Interval(0.5, 0.25, 0.75, 4).__str__() == "0.500 [0.250, 0.750], n = 4"

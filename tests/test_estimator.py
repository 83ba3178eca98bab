"""``ImageClassifier`` keeps scikit-learn's conventions, over lists of paths, pictures and arrays."""

import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import datasets as hf
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_array
from sklearn.base import ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import check_array
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data
from torch.utils.data import Dataset, TensorDataset

import frostline as fl
from frostline import ImageClassifier
from frostline.classifier import labelled
from frostline.errors import DataError, DecodeError, FrostlineWarning, LabelError, PlanError
from frostline.ship.predictor import Failure

# most tests score on what was fitted, which is said, and here is meant
pytestmark = pytest.mark.filterwarnings("ignore:.*model was fitted to")

SMALL: dict[str, Any] = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": 32,
    "engine": "torch",
    "precision": "fp32",
    "strategy": "probe",
    "head_crops": 0,
}
TRAINED: dict[str, Any] = {**SMALL, "strategy": "freeze", "head_crops": None}  # no head that is fitted


@pytest.fixture(scope="module")
def paths(leaves: Path) -> list[Path]:
    return sorted((leaves / "train").rglob("*.png"))


@pytest.fixture(scope="module")
def labels(paths: list[Path]) -> list[str]:
    return [path.parent.name for path in paths]


def test_arguments_are_kept_as_they_are_and_copied_by_clone() -> None:
    given = {**SMALL, "seed": 3, "budget": "5m", "store_limit": "1GB"}
    classifier = ImageClassifier(**given)
    assert given.items() <= classifier.get_params().items()
    again = clone(classifier)
    assert again.get_params() == classifier.get_params()
    assert again.set_params(seed=4).seed == 4
    with pytest.raises(ValueError, match="Invalid parameter"):
        again.set_params(sede=4)


def test_before_fit_it_says_so(paths: list[Path]) -> None:
    for call in ("predict", "predict_proba", "score"):
        with pytest.raises(NotFittedError):
            getattr(ImageClassifier(), call)(paths)
    with pytest.raises(NotFittedError):
        ImageClassifier().save("nowhere")


def test_after_fit_it_has_classes_and_no_feature_count(paths: list[Path], labels: list[str]) -> None:
    classifier = ImageClassifier(**SMALL).fit(paths, labels)
    assert list(classifier.classes_) == ["green leaf", "red leaf"]
    assert not hasattr(classifier, "n_features_in_")
    assert not any(name.endswith("_") for name in classifier.get_params())
    probabilities = classifier.predict_proba(paths[:5])
    assert probabilities.shape == (5, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(classifier.predict(paths[:5]), classifier.classes_[probabilities.argmax(1)])
    with pytest.warns(FrostlineWarning, match="no test of it|were left out"):
        score = classifier.score(paths, labels)
    assert score == np.mean(classifier.predict(paths) == np.array(labels))


def test_paths_pictures_and_arrays_are_the_same_pictures(paths: list[Path], labels: list[str]) -> None:
    opened = [Image.open(path).convert("RGB") for path in paths]
    arrays = [np.asarray(picture) for picture in opened]
    wanted = ImageClassifier(**SMALL).fit(paths, labels).predict_proba(paths[:4])
    for form in ([str(path) for path in paths], opened, arrays):
        found = ImageClassifier(**SMALL).fit(form, labels)
        np.testing.assert_allclose(found.predict_proba(form[:4]), wanted, atol=0.02)
        np.testing.assert_allclose(found.predict_proba(paths[:4]), found.predict_proba(form[:4]), atol=1e-5)


def test_cross_validation_a_grid_and_a_pipeline_take_it(paths: list[Path], labels: list[str]) -> None:
    scores = cross_val_score(ImageClassifier(**SMALL), paths, labels, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.8
    grid = GridSearchCV(ImageClassifier(**SMALL), {"image_size": [32, 48]}, cv=2).fit(paths, labels)
    assert grid.best_params_["image_size"] in (32, 48)
    assert set(grid.predict(paths[:3])) <= set(labels)
    same = Pipeline([("nothing", FunctionTransformer()), ("classify", ImageClassifier(**SMALL))])
    with pytest.warns(FrostlineWarning, match="no test of it|were left out"):
        assert same.fit(paths, labels).score(paths, labels) > 0.8


def test_numbers_of_numpy_are_numbers(paths: list[Path], labels: list[str], tmp_path: Path) -> None:
    """A grid made of NumPy's ranges gives its own kinds of numbers."""
    given = {**TRAINED, "out": tmp_path / "run"}
    theirs = {"epochs": np.int64(2), "lr": np.float32(0.5), "seed": np.int64(3), "momentum": np.float64(0.5)}
    classifier = ImageClassifier(**given, **theirs, optimizer="sgd").fit(paths, labels)
    assert classifier.epochs == 2
    plain = {name: value.item() for name, value in theirs.items()}
    wanted = ImageClassifier(**{**given, "out": None}, **plain, optimizer="sgd").fit(paths, labels)
    np.testing.assert_array_equal(classifier.predict_proba(paths[:4]), wanted.predict_proba(paths[:4]))


def test_it_can_be_pickled_for_other_processes(paths: list[Path], labels: list[str]) -> None:
    classifier = ImageClassifier(**SMALL).fit(paths, labels)
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(paths[:4]), classifier.predict_proba(paths[:4]))


def test_what_is_saved_answers_as_before(paths: list[Path], labels: list[str], tmp_path: Path) -> None:
    classifier = ImageClassifier(**SMALL).fit(paths, labels)
    loaded = ImageClassifier.load(classifier.save(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict_proba(paths[:4]), classifier.predict_proba(paths[:4]))
    assert list(loaded.classes_) == list(classifier.classes_)


def test_bad_input_is_told(paths: list[Path], labels: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without labels"):
        ImageClassifier(**SMALL).fit(paths)
    with pytest.raises(DataError):
        ImageClassifier(**SMALL).fit(paths, labels[:-1])
    with pytest.raises(DataError, match="set is no list"):  # and has no order
        ImageClassifier(**SMALL).fit(set(paths), labels)
    with pytest.raises(DecodeError, match="NoneType is no picture\n  at #2\n"):
        ImageClassifier(**SMALL).fit([*paths[:2], None, *paths[3:]], labels)
    classifier = ImageClassifier(**SMALL).fit(paths, labels)
    with pytest.raises(DecodeError, match="no such file"):
        classifier.predict([tmp_path / "nowhere.png"])
    with pytest.raises(DataError, match="blue leaf"):
        classifier.score(paths[:2], ["blue leaf", "red leaf"])
    known = classifier.predict(paths[:4]).tolist()
    assert get_scorer("accuracy")(classifier, paths[:4], ["blue leaf", *known[1:]]) == 0.75


CASES: dict[str, Any] = {
    "text": ["2", "10"],
    "int": [2, 10],
    "int8": np.array([2, 10], np.int8),
    "bool": [False, True],
    "numpy bool": np.array([False, True]),
    "float": np.array([0.0, 1.0]),
    "object": np.array(["b", "a"], dtype=object),
    "categorical": pd.Categorical(["b", "a"], categories=["b", "c", "a"]),
    "series": pd.Series([7, 5]),
    "string dtype": pd.Series(["b", "a"], dtype="string"),
    "negative": [-1, 1],
    "odd bytes": ["b", "\udc80"],  # of a folder's name that is no UTF-8, as Python has it
    "large": np.array([5, 2**63 + 5], np.uint64),
    "long double": np.array([0, 1], np.longdouble),
}


def spread(values: Any, labels: list[str]) -> Any:
    """y of the same form as two values, one of which stands for each class."""
    numbers = [int(label == "red leaf") for label in labels]
    if isinstance(values, pd.Series):
        return pd.Series(values.iloc[numbers].to_numpy(), index=np.arange(len(numbers))[::-1] * 3, dtype=values.dtype)
    if isinstance(values, list):
        return [values[number] for number in numbers]
    return values[numbers]


@pytest.mark.parametrize("form", CASES)
def test_labels_keep_their_type(paths: list[Path], labels: list[str], tmp_path: Path, form: str) -> None:
    """Against LogisticRegression of scikit-learn, whatever the labels are."""
    y = spread(CASES[form], labels)
    oracle = LogisticRegression().fit(np.array([[label == "red leaf"] for label in labels]), y)
    classifier = ImageClassifier(**SMALL).fit(paths, y)
    assert list(classifier.classes_) == list(oracle.classes_)
    text = {"O": "U"}  # text is text, in an array of objects or of its own
    kind, wanted = classifier.classes_.dtype.kind, oracle.classes_.dtype.kind
    assert text.get(kind, kind) == text.get(wanted, wanted)
    assert classifier.predict(paths[:3]).dtype == classifier.classes_.dtype
    truth = np.asarray(y)
    assert np.mean(classifier.predict(paths) == truth) == classifier.score(paths, y) > 0.8
    columns = [list(classifier.classes_).index(value) for value in truth]
    assert classifier.predict_proba(paths)[np.arange(len(paths)), columns].mean() > 0.7
    loaded = ImageClassifier.load(classifier.save(tmp_path / "model"))
    assert loaded.classes_.dtype == classifier.classes_.dtype
    np.testing.assert_array_equal(loaded.predict_proba(paths[:4]), classifier.predict_proba(paths[:4]))
    np.testing.assert_array_equal(loaded.predict(paths[:4]), classifier.predict(paths[:4]))


def test_tensors_and_columns_are_labels(paths: list[Path], labels: list[str]) -> None:
    y = np.array([int(label == "red leaf") for label in labels])
    wanted = ImageClassifier(**SMALL).fit(paths, y).predict_proba(paths[:4])
    np.testing.assert_array_equal(ImageClassifier(**SMALL).fit(paths, torch.tensor(y)).predict_proba(paths[:4]), wanted)
    np.testing.assert_array_equal(
        ImageClassifier(**SMALL).fit(paths, list(torch.tensor(y))).predict_proba(paths[:4]), wanted
    )
    for column in (y[:, None], pd.DataFrame({"label": y})):
        with pytest.warns(DataConversionWarning, match="column-vector"):
            found = ImageClassifier(**SMALL).fit(paths, column)
        np.testing.assert_array_equal(found.predict_proba(paths[:4]), wanted)


@pytest.mark.parametrize(
    ("y", "told"),
    [
        (np.eye(2, dtype=int), "one-hot"),
        ([None, "a"], "1 of 2 pictures have no label"),
        ([float("nan"), 1.0], "1 of 2 pictures have no label"),
        (pd.Series([pd.NA, "a"]), "1 of 2 pictures have no label"),
        (pd.Categorical(["a", None]), "1 of 2 pictures have no label"),
        (pd.DataFrame({"label": ["a", None]}), "1 of 2 pictures have no label"),
        (np.array([["a"], [None]], dtype=object), "1 of 2 pictures have no label"),
        (np.ma.array([1, 2], mask=[0, 1]), "1 of 2 pictures have no label"),
        (["a", " "], "1 of 2 pictures have no label"),
        (pd.DataFrame({"label": ["a", 1]}), "1 of 2 labels are text"),
        ([date(2026, 1, 1), date(2026, 1, 2)], "labels are of type date"),
        ({"a": 1, "b": 2}, "labels are {'a': 1"),
        ({"a", "b"}, "labels are {"),
        (["a", 1], "1 of 2 labels are text"),
        (np.array([0.5, 1.0]), "continuous"),
        (np.array([b"a", b"b"]), "bytes"),
        (np.array([[0, 2], [1, 1]]), "other values than 0 and 1"),
        ([[0, 1], [1, 0]], "one-hot"),
        (["a", "a"], "only one class"),
        ("ab", "labels are 'ab'"),
        (3, "labels are 3"),
    ],
)
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_labels_that_may_mean_anything_are_refused(paths: list[Path], y: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        ImageClassifier(**SMALL).fit(paths[:2], y)
    assert isinstance(caught.value, LabelError)
    assert caught.value.hint


def test_what_has_no_group_is_by_itself(paths: list[Path], labels: list[str], leaves: Path) -> None:
    """None and NaN are no group that all of them are in."""
    given = [0, 0, 1, 1, *[None, np.nan, pd.NA] * 2]
    groups = [row.group for row in labelled(paths[:10], ["a", "b"] * 5, given).rows]
    assert groups == ["0", "0", "1", "1", *[None] * 6]
    with pytest.raises(PlanError, match="beside a place"):
        ImageClassifier(**SMALL).fit(leaves, groups=given)


def test_an_indicator_matrix_is_several_labels(paths: list[Path], labels: list[str], tmp_path: Path) -> None:
    red = np.array([label == "red leaf" for label in labels])
    y = np.stack([~red, red, np.ones(len(red), bool), np.arange(len(red)) % 2 == 0], axis=1)[:, [0, 1, 3]].astype(int)
    classifier = ImageClassifier(**SMALL).fit(paths, y)
    assert list(classifier.classes_) == [0, 1, 2]
    assert classifier.about_.multilabel
    assert classifier.predict(paths).shape == y.shape
    assert classifier.about_.multilabel
    (split, figures), phase = classifier.result_.headline, classifier.result_.phases[-1]
    assert (split, phase.val) == ("cross-validation", figures.figures["accuracy"])
    assert classifier.predict(paths).shape == y.shape
    assert (classifier.predict(paths)[:, :2] == y[:, :2]).mean() > 0.8
    frame = pd.DataFrame(y, columns=["green", "red", "even"])
    named = ImageClassifier(**SMALL).fit(paths, frame)
    assert list(named.classes_) == ["green", "red", "even"]
    np.testing.assert_array_equal(named.predict_proba(paths[:5]), classifier.predict_proba(paths[:5]))
    assert get_scorer("f1_macro")(named, paths, frame) == f1_score(y, classifier.predict(paths), average="macro")
    sparse = ImageClassifier(**SMALL).fit(paths, csr_array(y))
    np.testing.assert_array_equal(sparse.predict_proba(paths[:5]), classifier.predict_proba(paths[:5]))
    lists = [[name for name, on in zip("gre", row, strict=True) if on] for row in y]
    assert list(ImageClassifier(**SMALL).fit(paths, lists).classes_) == ["e", "g", "r"]


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro", "balanced_accuracy"])
@pytest.mark.parametrize("names", [["2", "10"], [2, 10], [True, False]])
def test_scikit_learns_scorers_are_right(paths: list[Path], labels: list[str], scoring: str, names: list[Any]) -> None:
    y = spread(names, labels)
    classifier = ImageClassifier(**SMALL).fit(paths, y)
    found = get_scorer(scoring)(classifier, paths, y)
    assert found > (-0.5 if scoring == "neg_log_loss" else 0.85)
    scores = cross_val_score(ImageClassifier(**SMALL), paths, y, cv=2, scoring=scoring, error_score="raise")
    assert scores.mean() > (-0.7 if scoring == "neg_log_loss" else 0.7)


def test_ensembles_and_calibration_take_it(paths: list[Path], labels: list[str]) -> None:
    several = VotingClassifier([("a", ImageClassifier(**SMALL)), ("b", ImageClassifier(**SMALL, seed=1))])
    assert several.fit(paths, labels).score(paths, labels) > 0.8
    calibrated = CalibratedClassifierCV(ImageClassifier(**SMALL), cv=2).fit(paths, spread([3, 1], labels))
    assert list(calibrated.classes_) == [1, 3]
    assert calibrated.score(paths, spread([3, 1], labels)) > 0.8


def test_one_broken_picture_is_not_the_loss_of_all(paths: list[Path], labels: list[str], tmp_path: Path) -> None:
    classifier = ImageClassifier(**SMALL).fit(paths, labels)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    given = [paths[0], tmp_path / "broken.png", paths[1], None, paths[-1]]
    good = [0, 2, 4]
    with pytest.raises(DecodeError, match="2 of 5 pictures") as caught:
        classifier.predict(given)
    assert "broken.png" in str(caught.value)
    answers = classifier.predict(given, errors="skip")
    np.testing.assert_array_equal(answers[good], classifier.predict([given[i] for i in good]))
    assert all(isinstance(answers[i], Failure) for i in (1, 3))
    assert answers[3].name == "#3"
    rows = classifier.predict_proba(given, errors="skip")
    assert np.isnan(rows[[1, 3]]).all()
    np.testing.assert_allclose(rows[good], classifier.predict_proba([given[i] for i in good]), atol=1e-6)
    with pytest.raises(PlanError, match="errors"):
        classifier.predict(given, errors="ignore")  # type: ignore[arg-type]


class Items(Dataset):  # type: ignore[type-arg]
    classes = ("green leaf", "red leaf")

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def test_a_data_set_has_an_answer_for_each_item_in_its_order(
    paths: list[Path], labels: list[str], tmp_path: Path
) -> None:
    """Labels, which a set to be answered may lack, are not looked at; what cannot be read is not passed over."""
    classifier = ImageClassifier(**SMALL).fit(paths, labels)
    chosen = [paths[0], paths[-1], paths[1]]
    arrays = [np.array(Image.open(path)) for path in chosen]
    wanted = classifier.predict_proba(chosen)
    same = torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in arrays])
    forms = [
        Items([(pixels, -1) for pixels in arrays]),
        Items([(pixels, 0) for pixels in arrays]),  # of one class alone
        Items(arrays),
        TensorDataset(same),
        TensorDataset(same, torch.zeros(3)),
        hf.Dataset.from_dict({"image": list(map(str, chosen))}).cast_column("image", hf.Image()),
        hf.Dataset.from_dict({"image": list(map(str, chosen)), "label": [-1, -1, -1]}).cast_column("image", hf.Image()),
    ]
    for form in forms:
        np.testing.assert_allclose(classifier.predict_proba(form), wanted, atol=1e-6)
    gap = Items([(arrays[0], 0), (tmp_path / "nowhere.png", 0), (arrays[1], 1), ("broken", 1)])
    with pytest.raises(DecodeError, match="2 of 4 pictures"):
        classifier.predict(gap)
    rows = classifier.predict_proba(gap, errors="skip")
    np.testing.assert_allclose(rows[[0, 2]], wanted[:2], atol=1e-6)
    assert np.isnan(rows[[1, 3]]).all()


def test_later_pictures_are_cropped_as_those_of_the_fit(paths: list[Path], labels: list[str], tmp_path: Path) -> None:
    """The oracle is NumPy's slice of the same pixels."""
    margin, (left, top, right, bottom) = 0.5, (20, 10, 40, 30)
    crops = [np.asarray(Image.open(path))[0:40, 10:50] for path in paths]
    table = pd.DataFrame({"path": [str(path.absolute()) for path in paths], "label": labels})
    boxed = table.assign(xmin=left, ymin=top, xmax=right, ymax=bottom)
    boxed.to_csv(tmp_path / "boxes.csv", index=False)
    boxed.to_parquet(tmp_path / "boxes.parquet")
    wanted = ImageClassifier(**SMALL).fit(crops, labels)
    for place in (tmp_path / "boxes.csv", boxed):
        found = ImageClassifier(**SMALL, box_margin=margin).fit(place)
        loaded = ImageClassifier.load(found.save(tmp_path / "model"))
        for later in (boxed, boxed.drop(columns="label"), tmp_path / "boxes.parquet"):
            answers = loaded.predict_proba(later)
            np.testing.assert_allclose(answers, found.predict_proba(later), atol=1e-6)
            np.testing.assert_allclose(answers, found.predict_proba(crops), atol=1e-6)
        for later in (boxed, tmp_path / "boxes.csv"):
            assert found.evaluate(later, all=True).figures["log_loss"].value == pytest.approx(
                wanted.evaluate(crops, labels, all=True).figures["log_loss"].value, abs=0.05
            )
    whole = ImageClassifier(**SMALL, box_format="none").fit(boxed)
    np.testing.assert_allclose(whole.predict_proba(boxed), whole.predict_proba(paths), atol=1e-6)
    lost = boxed.copy()
    lost.loc[0, ["xmin", "ymin", "xmax", "ymax"]] = np.nan
    rows = found.predict_proba(lost, errors="skip")
    assert len(rows) == len(lost)
    assert np.isnan(rows[0]).all()


def test_labels_are_scored_by_the_column_of_the_fit(paths: list[Path], labels: list[str]) -> None:
    said = {"path": [str(path) for path in paths], "label": [*labels[24:], *labels[:24]], "truth": labels}
    classifier = ImageClassifier(**SMALL, label_column="truth").fit(pd.DataFrame(said))
    assert classifier.score(pd.DataFrame(said)) > 0.8
    only = pd.DataFrame({"path": said["path"], "label": labels})  # a table without that column has one of its own
    assert classifier.score(only) > 0.8


def test_what_the_fit_left_out_is_left_out_of_a_folder_later(leaves: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        shutil.copytree(leaves / split, tmp_path / split)
        for path in sorted((tmp_path / split).rglob("*.png")):
            shutil.copy(leaves / "val" / "red leaf" / "0.png", path.with_name(f"{path.stem}_mask.png"))
    classifier = ImageClassifier(**SMALL, ignore="*_mask.png").fit(tmp_path / "train")
    assert classifier.evaluate(tmp_path / "test").n == 24
    classifier = ImageClassifier(**SMALL, label_column="none of a folder")
    with pytest.raises(DataError, match="--label-column says nothing here"):
        classifier.fit(tmp_path / "train")


def test_options_of_a_place_say_nothing_of_a_sequence(paths: list[Path], labels: list[str]) -> None:
    with pytest.raises(PlanError, match="ignore says nothing of a sequence"):
        ImageClassifier(**SMALL, ignore="*_mask.png").fit(paths, labels)


@pytest.mark.parametrize("strategy", ["probe", "freeze", "full"])
def test_a_fit_neither_uses_nor_changes_what_the_program_set_in_torch(
    paths: list[Path], labels: list[str], tmp_path: Path, strategy: str
) -> None:
    options = SMALL if strategy == "probe" else {**TRAINED, "strategy": strategy, "epochs": 1, "mixup": 0.2}
    wanted = ImageClassifier(**options).fit(paths, labels).predict_proba(paths[:4])
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.rand(3)
        with torch.inference_mode() if seed == 1 else torch.no_grad():
            classifier = ImageClassifier(**options).fit(paths, labels)
            np.testing.assert_array_equal(classifier.predict_proba(paths[:4]), wanted)
            classifier.explain(paths[0])
            ImageClassifier.load(classifier.save(tmp_path / "model")).predict(paths[:2])
        drawn.append(torch.rand(3))
        torch.manual_seed(seed)
        assert torch.equal(torch.rand(3), before)
        assert torch.equal(torch.rand(3), drawn[-1])
    assert not torch.equal(*drawn)


@contextmanager
def defaults_of_torch(dtype: torch.dtype, device: str) -> Iterator[None]:
    """A program that computes in double precision, or whose tensors are made elsewhere (on a card, say)."""
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("defaults", [(torch.float64, "cpu"), (torch.float32, "meta")])
@pytest.mark.parametrize("strategy", ["probe", "freeze", "full"])
def test_defaults_of_torch_are_not_those_of_a_fit(
    paths: list[Path], labels: list[str], tmp_path: Path, strategy: str, defaults: tuple[torch.dtype, str]
) -> None:
    options = SMALL if strategy == "probe" else {**TRAINED, "strategy": strategy, "epochs": 1}
    wanted = ImageClassifier(**options).fit(paths, labels).predict_proba(paths[:4])
    with defaults_of_torch(*defaults):
        classifier = ImageClassifier(**options).fit(paths, labels)
        loaded = ImageClassifier.load(classifier.save(tmp_path / "model"))
        for answers in (classifier, loaded):
            np.testing.assert_array_equal(answers.predict_proba(paths[:4]), wanted)
        loaded.explain(paths[0])
        assert torch.get_default_dtype() == defaults[0]
        made = next(fl.create("test_resnet", 2, "none").parameters())
        assert (made.dtype, made.device.type) == defaults


def test_a_loaded_one_has_the_arguments_of_its_fit(paths: list[Path], labels: list[str], tmp_path: Path) -> None:
    classifier = ImageClassifier(**SMALL, seed=3, val=0.3, out=tmp_path / "run").fit(paths, labels)
    for place in (tmp_path / "run", classifier.save(tmp_path / "model")):
        loaded = ImageClassifier.load(place)
        own = {**classifier.get_params(), "out": None}
        assert loaded.get_params() == own
        assert clone(loaded).fit(paths, labels).score(paths, labels) > 0.8


def test_a_wrong_keyword_says_what_was_meant() -> None:
    with pytest.raises(TypeError, match="did you mean strategy"):
        ImageClassifier(strategie="probe")  # type: ignore[call-arg]


class OfRows(ImageClassifier):
    """scikit-learn's checks give tables of numbers: here each row is drawn as a small grey picture."""

    @staticmethod
    def _drawn(X: Any) -> list[Any]:
        grey = ((check_array(X) + 10) % 20 / 20 * 255).astype(np.uint8)
        return [np.repeat(np.repeat(row[None, :, None], 8, 0), 3, 2).repeat(8, 1) for row in grey]

    def fit(self, X: Any, y: Any = None, **more: Any) -> "OfRows":
        if y is None:
            raise ValueError("y: None; this classifier requires y to be passed, but the target y is None")
        return super().fit(self._drawn(validate_data(self, X)), y, **more)

    def predict_proba(self, X: Any, **more: Any) -> Any:
        check_is_fitted(self)
        return super().predict_proba(self._drawn(validate_data(self, X, reset=False)), **more)

    def predict(self, X: Any, **more: Any) -> Any:
        check_is_fitted(self)
        return super().predict(self._drawn(validate_data(self, X, reset=False)), **more)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        return ClassifierMixin.score(self, X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string, tags.no_validation = True, False, False
        return tags


NOT_OURS = {
    name: why
    for why, names in {
        "a random tiny network over drawn numbers separates no blobs": ("check_classifiers_train",),
        "each class needs two pictures": ("check_fit2d_1sample", "check_methods_subset_invariance"),
    }.items()
    for name in names
}


@parametrize_with_checks([OfRows(**SMALL)], expected_failed_checks=lambda estimator: NOT_OURS)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)

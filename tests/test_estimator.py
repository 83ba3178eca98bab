"""``ImageClassifier`` keeps scikit-learn's conventions, over lists of paths, pictures and arrays."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from frostline import ImageClassifier
from frostline.errors import DataError, DecodeError

SMALL: dict[str, Any] = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": 32,
    "engine": "torch",
    "precision": "fp32",
    "strategy": "probe",
}


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
    assert classifier.score(paths, labels) == np.mean(classifier.predict(paths) == np.array(labels))


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
    assert same.fit(paths, labels).score(paths, labels) > 0.8


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
    classifier = ImageClassifier(**SMALL).fit(paths, labels)
    with pytest.raises(DecodeError, match="no such file"):
        classifier.predict([tmp_path / "nowhere.png"])
    with pytest.raises(DataError, match="blue leaf"):
        classifier.score(paths[:2], ["blue leaf", "red leaf"])

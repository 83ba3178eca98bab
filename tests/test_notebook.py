"""What a notebook shows of a fitted classifier: plots against scikit-learn, tables against predictions; progress."""

import pickle
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from frostline import ImageClassifier
from frostline.errors import DataError, FrostlineWarning, MissingExtra
from frostline.events import PhaseStart, Step, Warn, Work
from frostline.workflows.progress import Progress

mpl.use("agg")
SMALL: dict[str, Any] = {"model": "test_resnet", "weights": "none", "image_size": 64, "engine": "torch"}


@pytest.fixture(scope="module")
def fitted(leaves: Path) -> ImageClassifier:
    options = {**SMALL, "strategy": "lp-ft", "epochs": 3, "views": 1, "batch_size": 16, "precision": "fp32"}
    return ImageClassifier(**options).fit(leaves)


def test_the_result_is_one_line_and_a_table(fitted: ImageClassifier) -> None:
    figure = fitted.result_.headline[1].figures["accuracy"]  # type: ignore[index]
    assert f"accuracy {figure.value:.1%} on test" in repr(fitted.result_)
    assert "\n" not in repr(fitted.result_)
    html = fitted.result_._repr_html_()
    assert html.count("<tr>") == 1 + 2 + 1 + 2
    assert "<th>green leaf</th>" in html


def test_the_confusion_matrix_is_scikit_learns(fitted: ImageClassifier, leaves: Path) -> None:
    display = fitted.plot_confusion()
    assert isinstance(display, ConfusionMatrixDisplay)
    folder = leaves / "test"
    paths = sorted(folder.glob("*/*.png"))
    truth = [path.parent.name for path in paths]
    expected = confusion_matrix(truth, fitted.predict(paths))
    assert (display.confusion_matrix == expected).all()
    assert (fitted.plot_confusion(paths, truth).confusion_matrix == expected).all()


def test_curves_are_drawn_of_every_epoch(fitted: ImageClassifier) -> None:
    from matplotlib import pyplot

    ax = fitted.plot_curves(pyplot.figure().gca())
    assert [len(line.get_xdata()) for line in ax.get_lines()] == [3, 3]
    probe = ImageClassifier(**SMALL, strategy="probe")
    with pytest.raises(NotFittedError):
        probe.plot_curves()


def test_top_losses_are_those_of_the_probabilities(fitted: ImageClassifier, leaves: Path) -> None:
    worst = fitted.top_losses(n=24)
    assert worst["loss"].is_monotonic_decreasing
    names = list(fitted.classes_)
    again = fitted.predict_proba(list(worst["path"]))
    own = again[np.arange(24), [names.index(label) for label in worst["label"]]]
    assert worst["loss"].to_numpy() == pytest.approx(-np.log(own), abs=1e-4)
    figure = fitted.plot_top_losses(n=4)
    assert len([ax for ax in figure.axes if ax.get_title()]) == 4
    assert len([ax for ax in fitted.show_batch(n=5).axes if ax.get_title()]) == 5


def test_what_was_held_out_is_shown_as_it_was_judged(tmp_path: Path) -> None:
    """A head is judged out of fold and fitted to all pictures: of labels by chance it has learned its own."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (32, 32, 3)).astype(np.uint8) for _ in range(60)]
    probe = ImageClassifier(**{**SMALL, "image_size": 32}, strategy="probe", head_crops=0, seed=1)
    with pytest.warns(FrostlineWarning, match="temperature"):
        probe.fit(pictures, list("ab" * 30))
    judged = probe.result_.headline[1].figures  # type: ignore[index]
    shown = probe.top_losses(n=60)
    assert shown["right"].mean() == judged["accuracy"].value != (probe.predict(pictures) == list("ab" * 30)).mean()
    assert shown["loss"].mean() == pytest.approx(judged["log_loss"].value)
    page = probe.report().html
    assert f"{judged['accuracy'].value:.1%}".removesuffix("%") in page
    assert "cross-validated on the training pictures" in page
    with pytest.warns(FrostlineWarning, match="no test of it"):
        probe.report(pictures, list("ab" * 30))


def test_with_several_labels_the_worst_is_the_picture_whose_labels_are_least_probable(leaves: Path) -> None:
    """They stood by how sure the least sure of their labels was, so that wrong ones of little loss came first."""
    paths = sorted((leaves / "train").glob("*/*.png"))
    red = np.array([path.parent.name == "red leaf" for path in paths])
    y = np.stack([red, np.arange(len(red)) % 2 == 0], axis=1).astype(int)
    several = ImageClassifier(**SMALL, strategy="lp-ft", epochs=2, views=1, val=0.5).fit([str(p) for p in paths], y)
    worst = several.top_losses(n=48)
    assert worst["loss"].is_monotonic_decreasing
    figures = several.result_.headline[1].figures  # type: ignore[index]
    assert worst["loss"].mean() == pytest.approx(figures["log_loss"].value, abs=1e-5)
    assert several.epochs_[-1].accuracy == figures["accuracy"].value


def test_pictures_that_made_the_sets_do_not_measure_them(leaves: Path, tmp_path: Path) -> None:
    """As `frostline evaluate` has it: counted, they are covered as promised whatever the model."""
    fitted = ImageClassifier(**SMALL, strategy="probe", val=0.5, out=tmp_path / "run").fit(leaves / "train")
    for one in (fitted, ImageClassifier.load(tmp_path / "run")):
        with pytest.warns(FrostlineWarning, match="left out"):
            found = one._evaluation(leaves / "train", None)[1]
        assert {row.how for row in found.coverage} == {"promised"}
        assert {row.how for row in one._evaluation(leaves / "test", None)[1].coverage} == {"test"}


def test_predictions_as_a_frame_name_what_cannot_be_read(fitted: ImageClassifier, leaves: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    good = leaves / "test" / "red leaf" / "0.png"
    table = fitted.to_frame([good, broken, None])
    assert table["label"][0] == fitted.predict([good])[0]
    assert table[list(fitted.classes_)].iloc[0].sum() == pytest.approx(1, abs=1e-5)
    assert "not a picture" in table["error"][1]
    assert "NoneType is no picture" in table["error"][2]


def test_a_class_called_as_a_column_has_one_of_its_own(leaves: Path) -> None:
    paths = sorted((leaves / "train").rglob("*.png"))
    labels = ["error" if path.parent.name == "red leaf" else "name" for path in paths]
    probe = ImageClassifier(**SMALL, strategy="probe").fit(paths, labels)
    table = probe.to_frame(paths[:3])
    assert list(table) == ["name", "label", "probability", "class error", "class name", "error"]
    np.testing.assert_allclose(table[["class error", "class name"]], probe.predict_proba(paths[:3]), rtol=1e-6)


def test_a_picture_is_explained_for_its_class_or_another(fitted: ImageClassifier, leaves: Path) -> None:
    picture = leaves / "test" / "red leaf" / "0.png"
    shown = fitted.explain(picture)
    assert isinstance(shown, Image.Image)
    assert shown.size == (64, 64)
    with pytest.raises(DataError, match="no class 'blue'"):
        fitted.explain(picture, "blue")
    with pytest.raises(DataError, match="one picture is explained at a time"):
        fitted.explain(leaves / "val")


def test_the_report_is_shown_in_a_frame_and_saved(fitted: ImageClassifier, tmp_path: Path) -> None:
    report = fitted.report(lang="zh")
    assert 'lang="zh-CN"' in report.html
    assert report._repr_html_().startswith("<iframe srcdoc=")
    assert report.save(tmp_path / "report.html").read_text() == report.html


def test_a_report_of_what_the_model_was_fitted_to_says_so() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(30)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrostlineWarning)
        fitted = ImageClassifier(**SMALL, strategy="probe").fit(pictures, list("ab" * 15))
        whole = fitted.report(pictures, list("ab" * 15)).html
    right = round(30 * fitted.result_.headline[1].figures["accuracy"].value)  # type: ignore[index]
    assert f"Of 30 pictures it was not trained on, it classified {right} correctly." in fitted.report().html
    assert "not trained on" not in whole
    assert "the model was trained on 30 of these pictures, so the figures are too good" in whole


def test_what_is_pickled_is_the_model_and_not_its_pictures(fitted: ImageClassifier) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    assert not hasattr(again, "data_")
    with pytest.raises(DataError, match="nothing was held out"):
        again.report()
    with pytest.raises(DataError, match="trained on are not here"):
        again.show_batch()


def test_plots_say_what_to_install(fitted: ImageClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match="frostline\\[plot\\]"):
        fitted.plot_confusion()


def test_tables_say_what_to_install(fitted: ImageClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for table in (fitted.top_losses, lambda: fitted.to_frame([])):
        with pytest.raises(MissingExtra, match="frostline\\[plot\\]"):
            table()


def test_what_a_cell_shows_of_figures_and_pictures_is_a_sentence(fitted: ImageClassifier, leaves: Path) -> None:
    shown = repr(fitted.evaluate(leaves, all=True))
    assert re.match(r"<Report of \d+ pictures, with 95 % intervals: accuracy [01]\.\d{3} \(", shown)
    assert len(shown) < 1000
    shown = repr(fitted.data_)
    assert shown.startswith("<Manifest: ")
    assert f"{len(fitted.data_)} pictures" in shown
    assert "Row(" not in shown


def test_warnings_are_pythons(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for name in ("a", "b"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 99, (20, 20, 3), dtype=np.uint8) + 100 * (name == "b")
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "val" / "a" / "leak.png").write_bytes((tmp_path / "train" / "a" / "0.png").read_bytes())
    (tmp_path / "train" / "b" / "empty.png").touch()
    with pytest.warns(FrostlineWarning) as caught:
        ImageClassifier(**SMALL, strategy="probe").fit(tmp_path)
    said = " ".join(str(warning.message) for warning in caught)
    assert "also in train" in said
    assert "left out; result_.skipped names them" in said  # without a folder there is no skipped.csv
    assert {warning.filename for warning in caught if warning.category is FrostlineWarning} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageClassifier(**SMALL, strategy="probe").fit(tmp_path, listen=lambda event: None)


def test_progress_is_shown_with_totals_where_somebody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    with Progress(shows=True) as progress:
        progress(Work("pictures", 1, 4))
        progress(Work("pictures", 4, 4))
        progress(PhaseStart("all", "head", 2))
        for step in range(6):
            progress(Step(step // 3, step + 1, torch.tensor(0.0), (0.1,), 8))
        assert (progress._bar.n, progress._bar.total) == (6, 6)
    err = capsys.readouterr().err
    assert "pictures" in err
    with Progress(shows=False) as progress:
        progress(Work("pictures", 1, 4))
    assert capsys.readouterr().err == ""
    with pytest.warns(FrostlineWarning, match="twice"):
        Progress(shows=False)(Warn("a picture is there twice"))


def test_a_wrong_keyword_is_answered_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="weight_decay"):
        ImageClassifier(weight_decy=0.1)  # type: ignore[call-arg]

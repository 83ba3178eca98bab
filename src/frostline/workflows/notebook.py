"""What somebody in a notebook asks of a fitted classifier: plots, the pictures it errs on, tables, the report.

Plots need the extra ``plot``. Where scikit-learn has a Display, that is what is returned.
"""

import warnings
from collections.abc import Iterable, Iterator
from datetime import datetime
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.exceptions import NotFittedError

from frostline.data.label_text import labels_in
from frostline.data.manifest import Manifest, Row
from frostline.data.views import EvaluationView, visible
from frostline.errors import DataError, FrostlineWarning, JudgementError, MissingExtra
from frostline.events import Event, Judged
from frostline.judge.explain import heatmaps, overlay
from frostline.judge.report.render import render
from frostline.judge.result import RunResult
from frostline.judge.write_html import write_html
from frostline.ship.model_info import ModelInfo, unseen
from frostline.ship.predictor import Failure, Prediction, Predictor, label_of
from frostline.workflows import report_data
from frostline.workflows.evaluate import Evaluation, evaluate, of_held_out

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay


class ShownReport:
    """A report that a notebook shows in a frame of its own. html: the page. ``save`` writes it."""

    def __init__(self, html: str) -> None:
        self.html = html

    def save(self, place: str | Path) -> Path:
        """Write the page.

        Raises: DataError: it cannot be written.
        """
        write_html(self.html, Path(place))
        return Path(place)

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self.html)}" style="width: 100%; height: 720px; border: 0"></iframe>'


class NotebookMethods:
    """Mixed into `ImageClassifier`."""

    net_: Any
    about_: ModelInfo
    result_: RunResult
    data_: Manifest
    judged_: tuple[tuple[Manifest, NDArray[np.float64]], ...]
    epochs_: tuple[Judged, ...]

    def report(self, X: Any = None, y: Iterable[object] | None = None, *, lang: str = "en") -> ShownReport:
        """The report of the fit's held-out pictures, or of other labelled ones, without those that it was fitted to.

        Raises: NotFittedError: before ``fit``. DataError: nothing was held out, and no pictures were given.
        """
        part, found = self._evaluated(X, y)
        split = self.result_.headline[0] if X is None and self.result_.headline else ""
        title, net = _title(part), lambda: self.net_
        page = report_data.of_evaluation(found, self.about_, part, title=title, split=split, net=net)
        return ShownReport(render(page, lang=lang))

    def plot_confusion(self, X: Any = None, y: Iterable[object] | None = None, **how: Any) -> "ConfusionMatrixDisplay":
        """scikit-learn's ``ConfusionMatrixDisplay`` of the fit's held-out pictures, or of other labelled ones.

        how: what its ``plot`` takes, such as ax, cmap, colorbar, xticks_rotation.

        Raises: NotFittedError: before ``fit``. JudgementError: a picture may have several labels. MissingExtra.
        """
        _plotting()
        from sklearn.metrics import ConfusionMatrixDisplay

        self._needs_fit()
        if X is None and getattr(self, "result_", None) is not None and self.result_.headline:
            confusion = self.result_.headline[1].confusion
        else:
            confusion = self._evaluated(X, y)[1].report.confusion
        if confusion.ndim != 2:
            raise JudgementError(
                "several labels a picture have no confusion matrix", hint="evaluate(...).per_class has their figures"
            )
        display = ConfusionMatrixDisplay(confusion, display_labels=list(self.about_.classes))
        return display.plot(**{"cmap": "Blues", "colorbar": False, **how})

    def plot_curves(self, ax: "Axes | None" = None) -> "Axes":
        """Training and val loss by epoch, val accuracy beside them.

        Raises: NotFittedError: before ``fit``. DataError: no phase had epochs (a head was fitted, nothing was trained).
        MissingExtra.
        """
        pyplot = _plotting()
        self._needs_fit()
        if not getattr(self, "epochs_", ()):
            raise DataError("there are no epochs to draw", hint="the strategy fits a head without gradient steps")
        ax = pyplot.gca() if ax is None else ax
        x = range(1, len(self.epochs_) + 1)
        ax.plot(x, [epoch.train_loss for epoch in self.epochs_], "--", label="training loss")
        ax.plot(x, [epoch.loss for epoch in self.epochs_], label="val loss")
        ax.set(xlabel="epoch", ylabel="loss")
        other = ax.twinx()
        other.plot(x, [epoch.accuracy for epoch in self.epochs_], color="tab:green", label="val accuracy")
        other.set_ylabel("val accuracy")
        lines = [*ax.get_lines(), *other.get_lines()]
        ax.legend(lines, [str(line.get_label()) for line in lines])
        return ax

    def show_batch(self, X: Any = None, y: Iterable[object] | None = None, *, n: int = 9, seed: int = 0) -> "Figure":
        """Some labelled pictures as the network sees them; by default of those it was trained on.

        Raises: NotFittedError: before ``fit``. DataError: it was loaded, and no pictures were given. MissingExtra.
        """
        self._needs_fit()
        if X is None and not hasattr(self, "data_"):
            raise DataError("the pictures that it was trained on are not here", hint="pass labelled pictures")
        part = self._labelled(X, y) if X is not None else self.data_
        chosen = np.random.default_rng(seed).permutation(len(part))[:n]
        return self._drawn([(part.rows[i], ", ".join(part.rows[i].labels)) for i in chosen])

    def top_losses(self, X: Any = None, y: Iterable[object] | None = None, *, n: int = 9) -> "pd.DataFrame":
        """The pictures whose true label (or labels) was given the least probability, the worst first.

        They are those that the fit held out, as the model judged them that had not seen them, or other labelled ones.

        Columns: name, path, label, predicted, probability (of the prediction), right, loss (in nats, of the true label;
        with several labels a picture the mean over its K decisions).

        Raises: NotFittedError: before ``fit``. DataError: nothing was held out, and no pictures were given.
        MissingExtra.
        """
        return self._worst(self._evaluated(X, y)[1], n)

    def _worst(self, found: Evaluation, n: int) -> "pd.DataFrame":
        pandas = _pandas()
        table: pd.DataFrame = pandas.DataFrame(
            [
                {name: getattr(row, name) for name in ("name", "path", "label", "predicted", "probability", "right")}
                for row in found.outcomes
            ]
        )
        assert found.probabilities is not None  # of pictures that were judged here
        several, place = self.about_.multilabel, {name: k for k, name in enumerate(self.about_.classes)}
        truth = np.zeros(found.probabilities.shape, np.bool_)
        for line, label in zip(truth, table["label"], strict=True):
            line[[place[name] for name in labels_in(label, several=several)]] = True
        p = np.maximum(np.where(truth, found.probabilities, 1 - found.probabilities), 1e-12)
        losses = -np.log(p).mean(1) if several else -np.log(p[truth])
        return table.assign(loss=losses).sort_values("loss", ascending=False).head(n)

    def plot_top_losses(self, X: Any = None, y: Iterable[object] | None = None, *, n: int = 9) -> "Figure":
        """Those pictures, each with its prediction and its true label.

        Raises: as ``top_losses``; MissingExtra.
        """
        part, found = self._evaluated(X, y)
        rows, worst = {row.name: row for row in part.rows}, self._worst(found, n)
        titles = [f"{r.predicted} {r.probability:.0%}\nlabelled {r.label}" for r in worst.itertuples()]
        return self._drawn(list(zip((rows[name] for name in worst["name"]), titles, strict=True)))

    def explain(self, x: Any, label: str | None = None) -> Image.Image:
        """A picture with the evidence for a class laid over it, bright where it lies; by default of its prediction.

        Raises: NotFittedError: before ``fit``. DataError: a class that the model does not know, or not one picture.
        StageError: the network has no layer whose output lies over the picture.
        """
        self._needs_fit()
        row, *others = islice(self._rows([x] if not isinstance(x, str | Path) else x), 2)
        if others:
            raise DataError("one picture is explained at a time", where=x, hint="explain each of them")
        if label is not None and label not in self.about_.classes:
            raise DataError(f"the model has no class {label!r}", hint=f"it has: {', '.join(self.about_.classes)}")
        pixels = EvaluationView(self.about_.preprocessing)(row.picture)
        index = None if label is None else self.about_.classes.index(label)
        (heat,) = heatmaps(self.net_, self.about_.preprocessing, [(pixels, index)])
        return Image.fromarray(overlay(pixels, heat))

    def to_frame(self, X: Any) -> "pd.DataFrame":
        """Predictions of pictures as a pandas DataFrame: name, label, probability, a column for each class, error.

        The column of a class that is called as one of the others is "class NAME". A picture that cannot be read has its
        reason in "error" and nothing else.

        Raises: NotFittedError: before ``fit``. MissingExtra.
        """
        pandas = _pandas()
        self._needs_fit()
        own = {"name", "label", "probability", "error"}
        called = [f"class {name}" if name in own else name for name in self.about_.classes]
        lines: list[dict[str, Any]] = []
        for answer in self._each(X):
            if isinstance(answer, Failure):
                lines.append({"name": answer.name, "error": answer.reason})
                continue
            p = answer.probabilities
            label, sure = label_of(answer, self.about_)
            columns = dict(zip(called, map(float, p), strict=True))
            lines.append({"name": answer.name, "label": label, "probability": sure, **columns, "error": ""})
        table: pd.DataFrame = pandas.DataFrame(lines)
        return table

    def _each(self, X: Any) -> list[Prediction | Failure]:
        raise NotImplementedError

    def _labelled(self, X: Any, y: Iterable[object] | None) -> Manifest:
        raise NotImplementedError

    def _rows(self, X: Any) -> Iterator[Row]:
        raise NotImplementedError

    def _predictor(self) -> Predictor:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the model, not the pictures that it was fitted to."""
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("data_", "judged_")}

    def _needs_fit(self) -> None:
        if not hasattr(self, "net_"):
            raise NotFittedError("this ImageClassifier is not fitted yet: call fit, or ImageClassifier.load(folder)")

    def _evaluated(self, X: Any, y: Iterable[object] | None) -> tuple[Manifest, Evaluation]:
        self._needs_fit()
        if X is not None:
            return self._evaluation(X, y)
        if not getattr(self, "judged_", ()) or self.result_.headline is None:
            raise DataError("nothing was held out by this fit", hint="pass labelled pictures")
        part, probabilities = self.judged_[-1]
        split, report = self.result_.headline
        chose, before = split == self.result_.chosen_on, split == "val" and not unseen(self.about_, split)
        return part, of_held_out(report, part, probabilities, split, chose=chose, before=before)

    def _evaluation(self, X: Any, y: Iterable[object] | None, *, all: bool = False) -> tuple[Manifest, Evaluation]:
        """Labelled pictures, judged; those that it was fitted to are left out, unless there are no others."""
        predictor = self._predictor()
        part = self._labelled(X, y)
        learnt: frozenset[str] = getattr(self, "_learnt", frozenset())
        no_others = bool(learnt) and {row.digest for row in part.rows} <= learnt
        if no_others and not all:
            said = "the model was fitted to all of these pictures: this is no test of it"
            warnings.warn(said, FrostlineWarning, stacklevel=3)
        held_out: frozenset[str] = getattr(self, "_held_out", frozenset())
        found = evaluate(predictor, part, learnt=learnt, every=all or no_others, held_out=held_out)
        if found.learnt:
            said = f"{found.learnt} pictures were left out: the model was fitted to them"
            warnings.warn(f"{said} (evaluate(..., all=True) counts them)", FrostlineWarning, stacklevel=3)
        if found.chosen:
            warnings.warn(found.chosen, FrostlineWarning, stacklevel=3)
        return part, found

    def _drawn(self, asked: list[tuple[Row, str]]) -> "Figure":
        pyplot = _plotting()
        view = EvaluationView(self.about_.preprocessing)
        wide = min(3, len(asked)) or 1
        tall = -(-len(asked) // wide) or 1
        figure: Figure
        figure, axes = pyplot.subplots(tall, wide, figsize=(3 * wide, 3.3 * tall), squeeze=False)
        for ax in axes.flat:
            ax.axis("off")
        for ax, (row, title) in zip(axes.flat, asked, strict=False):
            ax.imshow(visible(view(row.picture)))
            ax.set_title(title, fontsize=10)
        figure.tight_layout()
        return figure


class EpochsKept:
    """A listener that keeps the figures of epochs, and passes everything on."""

    def __init__(self, listen: Any) -> None:
        self.listen = listen
        self.epochs: list[Judged] = []

    def __call__(self, event: Event) -> None:
        """Keep and pass on."""
        if isinstance(event, Judged):
            self.epochs.append(event)
        self.listen(event)


def _plotting() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError:
        hint = 'pip install "frostline[plot]"'
        raise MissingExtra("plots need matplotlib, which is not installed", hint=hint) from None
    return pyplot


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        hint = 'pip install "frostline[plot]"'
        raise MissingExtra("tables need pandas, which is not installed", hint=hint) from None
    return pandas


def _title(part: Manifest) -> str:
    return Path(part.source).name if part.source else f"{len(part)} pictures, {datetime.now():%Y-%m-%d}"

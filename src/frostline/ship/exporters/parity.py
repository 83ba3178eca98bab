"""What is exported is asked about real pictures, through the runtime its users have, before it is called done."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from frostline.data.manifest import Row
from frostline.data.pictures.picture import content_digest
from frostline.data.split import joined
from frostline.data.views import EvaluationView
from frostline.errors import DataError, DecodeError, EngineError, first_line
from frostline.inference import convert
from frostline.judge import metrics
from frostline.judge.intervals import Interval
from frostline.ship.exporters.export_spec import Answer, Exportable, Pictured
from frostline.ship.model_info import ModelInfo

TOLERANCE = {"pixels": convert.TOLERANCE, "pictures": 1e-3}
"""How far logits may lie from torch's, as a share of the largest. Where a graph resizes, ties fall both ways."""

_BATCH = 16


@dataclass(frozen=True)
class Agreement:
    """An exported graph beside torch, on the same pictures.

    n: how many pictures. source: whose they are.
    largest: max |logit - logit|. relative: the same as a share of the largest logit (or of 1, if that is more).
    same_top: share of pictures with the same first class.
    placing: how far the picture that the graph prepares lies from what frostline shows the network; None if it is
        prepared beside the graph.
    """

    n: int
    source: str
    largest: float
    relative: float
    same_top: float
    placing: "Placing | None" = None


@dataclass(frozen=True)
class Placing:
    """Pixels and their consequences, where resizing and cropping happen in the graph.

    mean, largest: of |pixel - pixel|, in levels of 255. differing: share of pixels that differ at all.
    logits: max |logit - logit|, and same_top the share of the same first class, beside `frostline predict`.
    """

    mean: float
    largest: int
    differing: float
    logits: float
    same_top: float


@dataclass(frozen=True)
class Cost:
    """Accuracy on val: of the model, and of its export. learnt: how many of these pictures the model learned from, and
    is surer of than of new ones."""

    before: Interval
    after: Interval
    learnt: int = 0

    @property
    def drop(self) -> float:
        """How much accuracy is lost, a share; negative if it is more."""
        return self.before.value - self.after.value


_Logits: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], Placing | None]
"""Of the exported graph, of torch, and what placing in the graph changes."""


def agreement(answer: Answer, leaving: Exportable, rows: Sequence[Row], source: str) -> Agreement:
    """Compare on pictures; those that cannot be read are left out.

    Raises: DataError: none can be read. EngineError: the runtime refuses them.
    """
    found = _whole(answer, leaving, rows) if isinstance(leaving.module, Pictured) else _prepared(answer, leaving, rows)
    theirs, ours, placing = found
    if not len(theirs):
        raise DataError("no picture can be read", where=source, hint="name others with --data")
    return Agreement(
        len(theirs),
        source,
        float(np.abs(theirs - ours).max()),
        convert.difference(theirs, ours),
        _same_top(theirs, ours),
        placing,
    )


def cost(
    answer: Answer, leaving: Exportable, rows: Sequence[Row], classes: Sequence[str], learnt: Set[str] = frozenset()
) -> Cost:
    """Accuracy of torch and of an exported graph on labelled pictures. learnt: digests of the training pictures.

    Raises: DataError: none can be read.
    """
    place = {name: number for number, name in enumerate(classes)}
    y, theirs, ours, known, bonds = [], [], [], 0, list[tuple[str | None, str]]()
    seen_by = EvaluationView(leaving.about.preprocessing)
    for some in _batches(_readable(rows, seen_by)):
        y += [place[row.labels[0]] for row, _ in some]
        own = [(row.group, row.digest or content_digest(row.picture)) for row, _ in some]
        bonds += own
        known += sum(digest in learnt for _, digest in own)
        pixels = normalised([view for _, view in some], leaving.about)
        ours.append(_torch(leaving.net)(pixels))
        if isinstance(leaving.module, Pictured):
            theirs += [_asked(answer, seen_by.whole(row.picture)[None]) for row, _ in some]
        else:
            theirs.append(_asked(answer, pixels))
    if not y:
        raise DataError("no picture of val can be read", hint="see the errors of `frostline check`")
    truth, together = np.array(y), joined(bonds)
    before, after = (metrics.accuracy(np.concatenate(logits), truth, together) for logits in (ours, theirs))
    return Cost(before, after, known)


def normalised(views: Sequence[NDArray[np.uint8]], about: ModelInfo) -> NDArray[np.float32]:
    """(N, 3, H, W) as the network takes them, of (H, W, 3) each."""
    mean, std = (np.array(part, np.float32) for part in (about.preprocessing.mean, about.preprocessing.std))
    return np.ascontiguousarray(((np.stack(views).astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2))


def calibration(rows: Iterable[Row], about: ModelInfo, most: int) -> list[NDArray[np.float32]]:
    """Up to `most` readable pictures as the network takes them, (3, H, W) each."""
    view = EvaluationView(about.preprocessing)
    return [normalised([seen], about)[0] for _, seen in islice(_readable(rows, view), most)]


def _prepared(answer: Answer, leaving: Exportable, rows: Sequence[Row]) -> _Logits:
    theirs, ours = [], []
    for some in _batches(_readable(rows, EvaluationView(leaving.about.preprocessing))):
        pixels = normalised([view for _, view in some], leaving.about)
        theirs.append(_asked(answer, pixels))
        ours.append(_torch(leaving.net)(pixels))
    if theirs:
        _same_in_any_batch(answer, pixels)
    return _joined(theirs), _joined(ours), None


def _whole(answer: Answer, leaving: Exportable, rows: Sequence[Row]) -> _Logits:
    assert isinstance(leaving.module, Pictured)
    theirs, ours, shown, means, largest, differing = [], [], [], [], 0, []
    seen_by = EvaluationView(leaving.about.preprocessing)
    for row, view in _readable(rows, seen_by):
        picture = seen_by.whole(row.picture)[None].copy()
        theirs.append(_asked(answer, picture))
        ours.append(_torch(leaving.module)(picture))
        shown.append(_torch(leaving.net)(normalised([view], leaving.about)))
        placed = _torch(leaving.module.placed)(picture)[0].transpose(1, 2, 0)
        apart = np.abs(placed - view)
        means.append(apart.mean())
        differing.append((apart > 0).mean())
        largest = max(largest, int(apart.max()))
    if not theirs:
        return _joined([]), _joined([]), None
    _same_in_any_batch(answer, np.repeat(picture, 2, 0))
    found, beside = _joined(theirs), _joined(shown)
    same = _same_top(found, beside)
    apart_logits = float(np.abs(found - beside).max())
    return found, _joined(ours), Placing(float(np.mean(means)), largest, float(np.mean(differing)), apart_logits, same)


def _same_in_any_batch(answer: Answer, pictures: NDArray[np.generic]) -> None:
    apart = convert.difference(_asked(answer, pictures[:1]), _asked(answer, pictures)[:1])
    if apart > TOLERANCE["pictures"]:
        raise EngineError(
            f"a picture alone and among others gets logits {apart:.1e} apart",
            hint="the network mixes the pictures of a batch, and cannot be exported",
        )


def _asked(answer: Answer, pictures: NDArray[np.generic]) -> NDArray[np.float32]:
    try:
        return answer(pictures)
    except Exception as error:  # a runtime's own errors: a shape that was fixed after all, an operator it lacks
        said = first_line(error, 300)
        raise EngineError(
            f"the exported graph cannot take {pictures.shape}: {said}", hint="try another --to: onnx, openvino, torch"
        ) from None


def _torch(module: torch.nn.Module) -> Callable[[NDArray[np.generic]], NDArray[np.float32]]:
    def run(pictures: NDArray[np.generic]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = module(torch.from_numpy(pictures)).numpy()
        return found

    return run


def _readable(rows: Iterable[Row], view: EvaluationView) -> Iterator[tuple[Row, NDArray[np.uint8]]]:
    for row in rows:
        try:
            yield row, view(row.picture, row.digest)
        except DecodeError:
            continue


def _batches(pairs: Iterator[tuple[Row, NDArray[np.uint8]]]) -> Iterator[list[tuple[Row, NDArray[np.uint8]]]]:
    while some := list(islice(pairs, _BATCH)):
        yield some


def _joined(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def _same_top(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float((one.argmax(1) == other.argmax(1)).mean())

"""Pictures to click on: a few of those that a run judged, where its folder and they are still there."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from PIL import Image

from frostline.data.pictures import decode
from frostline.errors import FrostlineError
from frostline.judge.predictions import PICTURES, Outcome, read_outcomes
from frostline.ship.model_info import ModelInfo, unseen

MOST = 6
_SIDE = 640  # pixels: enough for any network's view of it
_TRIED = 4 * MOST


@dataclass(frozen=True, slots=True)
class Sample:
    """name: of its file. jpeg: what is sent, encoded again, so that nothing but a picture ever is.

    unseen: whether the model has not learned from it.
    """

    name: str
    jpeg: bytes
    unseen: bool = True


def samples(model: Path, about: ModelInfo) -> tuple[Sample, ...]:
    """A few judged pictures of the run that a model folder lies in, the classes in turn; none where there is no run.

    What is listed but cannot be decoded as a picture is passed over.
    """
    try:
        rows = read_outcomes(model.parent / PICTURES)
    except (OSError, FrostlineError):
        return ()
    found: list[Sample] = []
    for row in _in_turn(row for row in rows if row.path)[:_TRIED]:
        if len(found) == MOST:
            break
        if (jpeg := _encoded(Path(row.path))) is not None:
            found.append(Sample(Path(row.name).name, jpeg, unseen(about, row.split)))
    return tuple(found)


def _in_turn(rows: Iterable[Outcome]) -> list[Outcome]:
    """Of the test split if there is one; a picture of each class before a second one of any."""
    held_out = list(rows)
    held_out = [row for row in held_out if row.split == "test"] or held_out
    by_class: dict[str, list[Outcome]] = {}
    for row in held_out:
        by_class.setdefault(row.label, []).append(row)
    return [row for row in chain.from_iterable(zip_longest(*by_class.values())) if row is not None]


def _encoded(path: Path) -> bytes | None:
    try:
        image = decode.image(path, at_least=lambda _: _SIDE).image.convert("RGB")
    except FrostlineError:
        return None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    image.save(made, "JPEG", quality=92)
    return made.getvalue()

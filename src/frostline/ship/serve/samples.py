"""Pictures to click on: a few of those that a run judged, where its folder and they are still there."""

import io
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image

from frostline.data import decode
from frostline.errors import FrostlineError
from frostline.judge.predictions import PICTURES, in_turn, of_test, picture_at, read_outcomes
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

    What is listed but is not the picture that was judged, or cannot be decoded, is passed over.
    """
    try:
        rows = read_outcomes(model.parent / PICTURES)
    except (OSError, FrostlineError):
        return ()
    found: list[Sample] = []
    for row in islice(in_turn(of_test([row for row in rows if row.path])), _TRIED):
        if len(found) == MOST:
            break
        if (path := picture_at(row)) is not None and (jpeg := _encoded(path)) is not None:
            found.append(Sample(Path(row.name).name, jpeg, unseen(about, row.split)))
    return tuple(found)


def _encoded(path: Path) -> bytes | None:
    try:
        image = decode.image(path, at_least=lambda _: _SIDE).image.convert("RGB")
    except FrostlineError:
        return None
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    image.save(made, "JPEG", quality=92)
    return made.getvalue()

"""Which pictures a report shows, and small copies of them that fit into it."""

import base64
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data.label_text import labels_in
from frostline.data.pictures.picture import Picture
from frostline.data.views import EvaluationView, Preprocessing, visible
from frostline.errors import DecodeError
from frostline.judge.predictions import Outcome

SIDE = 112
"""Of a thumbnail, in pixels; large ones are of `LARGE`."""
LARGE = 200

MOST_LISTED = 2_500
MOST_THUMBS = 400
MOST_LARGE = 8  # mistakes, and as many that are right but unsure
SURE = 0.9  # a right answer below it is "unsure"
_SAMPLES = ((12, 8), (40, 4), (120, 2), (400, 1))  # so many classes at most: so many pictures of each
BUDGET = 1_700_000  # bytes of base64 that all thumbnails together may take
_QUALITY = 60
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Shot:
    """A large picture and its heat map, as data URIs; either may be ""."""

    picture: str
    heat: str = ""


@dataclass(frozen=True)
class Shown:
    """What can be seen of a run's pictures, by their index in its outcomes.

    listed: those that are named. thumbs: data URIs of small copies.
    mistakes: wrong ones, the surest first. unsure: right ones, the least sure first. large: those two, larger.
    samples: a few of each class, the surest right ones, by class name.
    lacking: pictures that should be seen here and could not be read.
    """

    listed: tuple[int, ...] = ()
    thumbs: Mapping[int, str] = field(default_factory=dict)
    mistakes: tuple[int, ...] = ()
    unsure: tuple[int, ...] = ()
    large: Mapping[int, Shot] = field(default_factory=dict)
    lacking: int = 0
    samples: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def choose(outcomes: Sequence[Outcome], *, several: bool = False) -> Shown:
    """Mistakes before all others, of every class some, the unsure ones first.

    several: whether a picture may have several labels: those of one alone then show what the class is.
    """
    wrong = sorted((i for i, row in enumerate(outcomes) if not row.right), key=lambda i: -outcomes[i].probability)
    right = sorted((i for i, row in enumerate(outcomes) if row.right), key=lambda i: outcomes[i].probability)
    cells: dict[str, list[int]] = defaultdict(list)
    for index in right:
        cells[outcomes[index].label].append(index)
    in_turn = [i for i in chain.from_iterable(zip_longest(*cells.values())) if i is not None]
    listed = (*wrong[: MOST_LISTED // 2], *in_turn)[:MOST_LISTED]
    most = next((each for classes, each in _SAMPLES if len(cells) <= classes), 0)
    alone = {label: labels_in(label, several=several) for label in cells}
    samples = {alone[label][0]: tuple(rows[::-1][:most]) for label, rows in cells.items() if len(alone[label]) == 1}
    unsure = [index for index in right if outcomes[index].probability < SURE]
    return Shown(listed, {}, tuple(wrong[:MOST_LARGE]), tuple(unsure[:MOST_LARGE]), samples=samples)


def seen(
    chosen: Shown,
    outcomes: Sequence[Outcome],
    preprocessing: Preprocessing,
    picture_of: Callable[[Outcome], Picture | None],
) -> Shown:
    """The choice with small copies of its pictures, cut out as the network sees them, until the budget is spent.

    picture_of: the picture of a row, or None if there is none any more.
    """
    samples = [index for rows in chosen.samples.values() for index in rows]
    wanted = list(dict.fromkeys((*chosen.mistakes, *chosen.unsure, *samples, *chosen.listed[:MOST_THUMBS])))
    large = set(chosen.mistakes + chosen.unsure)
    sizes = [(i, side) for i in wanted for side in ((LARGE, SIDE) if i in large else (SIDE,))]
    thumbs: dict[int, str] = {}
    shots: dict[int, Shot] = {}
    lacking, spent = 0, 0

    def copy(asked: tuple[int, int]) -> str:
        pixels = viewed(picture_of(outcomes[asked[0]]), preprocessing, asked[1])
        return "" if pixels is None else data_uri(pixels)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbs") as pool:
        for (index, side), uri in zip(sizes, pool.map(copy, sizes), strict=True):
            if not uri:
                lacking += side == SIDE
            elif side == LARGE:
                shots[index] = Shot(uri)
            elif spent + len(uri) <= BUDGET:
                thumbs[index] = uri
                spent += len(uri)
    return replace(chosen, thumbs=thumbs, large=shots, lacking=lacking)


def viewed(picture: Picture | None, preprocessing: Preprocessing, side: int) -> NDArray[np.uint8] | None:
    """(side, W, 3) uint8 of the part that the network sees, or None if the picture is gone or cannot be decoded."""
    height, width = preprocessing.size
    size = (side, max(1, round(side * width / height)))
    try:
        return None if picture is None else visible(EvaluationView(replace(preprocessing, size=size))(picture))
    except DecodeError:
        return None


def with_heat(chosen: Shown, heat: Iterator[tuple[int, NDArray[np.uint8]]]) -> Shown:
    """The choice with heat maps laid over its large pictures. heat: (index, pixels), as many as there is time for."""
    large = dict(chosen.large)
    for index, pixels in heat:
        large[index] = replace(large[index], heat=data_uri(pixels))
    return replace(chosen, large=large)


def data_uri(pixels: NDArray[np.uint8], quality: int = _QUALITY) -> str:
    """A picture (H, W, 3) as a WebP within the page."""
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "WEBP", quality=quality, method=2)
    return f"data:image/webp;base64,{base64.b64encode(made.getvalue()).decode()}"

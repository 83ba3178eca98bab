"""Copies of one photograph that were made before: by Roboflow (img0_jpg.rf.<32 digits>.jpg), by Augmentor, or by hand
(0_flip.jpg and 0_rot90.jpg of 0.jpg)."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from frostline.data.folders.frames import with_names_said, with_splits_said
from frostline.data.manifest import Found, Row
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import ends_as_picture
from frostline.data.understood import Understood

_COPY = re.compile(r"(?P<of>.+)\.rf\.[0-9a-f]{32}\.\w+")
_AUGMENTOR = re.compile(r".+?_original_(?P<of>.+)_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DONE = frozenset(
    (
        *("aug", "augment", "augmented", "augmentation", "flip", "flipped", "hflip", "vflip", "fliplr", "flipud"),
        *("mirror", "mirrored", "horizontal", "horizontally", "vertical", "vertically", "rot", "rotate", "rotated"),
        *("rotation", "noise", "noisy", "blur", "blurred", "bright", "brighter", "brightness", "dark", "darker"),
        *("darkened", "contrast", "crop", "cropped", "zoom", "zoomed", "shear", "sheared", "shift", "shifted"),
        *("translate", "translated", "translation", "scaled", "jitter", "gray", "grey", "grayscale", "greyscale"),
        *("sharpen", "sharpened", "clahe", "hsv", "hue", "saturation", "gamma", "equalized", "equalised", "inverted"),
        *("elastic", "distorted", "cutout", "erased", "edited", "copy", "镜像", "翻转", "旋转", "副本"),
    )
)
_BETWEEN, _DIGITS = " ._-", "0123456789"
_OF_COPIES = re.compile(r"output|aug(?:mented|mentation)?(?:[ _-]?(?:images?|data))?", re.IGNORECASE)


def with_copies_together(rows: Iterable[Found]) -> Iterator[Found]:
    """Rows, with a group for the copies of each photograph where nothing else says what belongs together.

    The boxes of one picture are such a group, but a narrower one.
    """
    held = list(rows)
    own = [item for item in held if isinstance(item, Row)]
    originals = [_original(row) for row in own]
    files: dict[str, set[PurePath]] = {}
    for row, original in zip(own, originals, strict=True):
        if original and row.file is not None:
            files.setdefault(original, set()).add(row.file)
    recurring = {original for original, copies in files.items() if len(copies) > 1}
    made = [] if recurring else _made_of(own)
    groups = iter(made or [original if original in recurring else "" for original in originals])
    for item in held:
        group = next(groups) if isinstance(item, Row) else ""
        yield replace(item, group=group) if isinstance(item, Row) and group else item
    if recurring:
        yield Understood(group="what stands before .rf. in file names: copies of one photograph")
    elif any(made):
        yield Understood(group="file names: a photograph and the copies made of it")


def together(rows: Callable[..., Iterator[Found]]) -> Callable[..., Iterator[Found]]:
    """A source of tables, with the copies of each photograph as groups, and what names say of others and of splits,
    unless ``--group none`` or ``--split-column none`` says otherwise."""

    def read(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
        found = rows(place, how=how)
        found = found if how.group == "none" else with_names_said(with_copies_together(found))
        return with_splits_said(found) if how.split_column is None else found

    return read


def _original(row: Row) -> str:
    """The folder of a copy of Roboflow's and the name of the photograph it was made of, "" of any other picture."""
    if row.file is None or not (found := _COPY.fullmatch(row.file.name)):
        return ""
    if row.group is not None and not _COPY.fullmatch(PurePath(row.group).name):
        return ""
    return (PurePath(row.name).parent / found["of"]).as_posix()


def _made_of(rows: Sequence[Row]) -> list[str]:
    """Of each picture the photograph that it was made of, and of that its own, by their paths; "" of all others.

    A copy says by its name what was done, or by that of its folder, and the photograph is there: in the same folder, in
    the one around, or alone of its name and label in another, as where a data set was split after it was augmented.
    """
    places = [_place(row) for row in rows]
    if not any(map(_of_copies, {home for home, _ in places})) and not any(any(_less_done(stem)) for _, stem in places):
        return []
    there, homes = set(places), defaultdict[tuple[tuple[str, ...], str], set[str]](set)
    for row, (home, stem) in zip(rows, places, strict=True):
        homes[row.labels, stem].add(home)

    def made_of(row: Row, home: str, stem: str) -> str:
        around = home.rpartition("/")[0] if _of_copies(home) else None
        found = ""
        for of in _less_done(stem) if around is None else (stem, *_less_done(stem)):
            alone = homes[row.labels, of] if of != stem else set[str]()
            where = next((one for one in (around, home) if (one, of) in there and (one, of) != (home, stem)), None)
            where = next(iter(alone)) if where is None and len(alone) == 1 else where
            found = found if where is None else f"{where}/{of}".lstrip("/")
        return found

    free = [row.group is None and row.file is not None for row in rows]
    made = [made_of(row, *place) if own else "" for row, place, own in zip(rows, places, free, strict=True)]
    used = Counter(made)
    names = [f"{home}/{stem}".lstrip("/") for home, stem in places]
    return [of or (name if own and used[name] else "") for of, name, own in zip(made, names, free, strict=True)]


def _place(row: Row) -> tuple[str, str]:
    """The folder of a picture and its name without the ending."""
    home, _, name = row.name.replace("\\", "/").rpartition("/")
    return home, _stem(name)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] if ends_as_picture(name) else name


def _of_copies(home: str) -> bool:
    return _OF_COPIES.fullmatch(home.rpartition("/")[2]) is not None


def _less_done(stem: str) -> Iterator[str]:
    """What a name leaves when what was done is taken off, one word after the other."""
    if "_original_" in stem and (found := _AUGMENTOR.fullmatch(stem)):
        yield _stem(found["of"])
    while True:
        text = stem.rstrip(_DIGITS).rstrip(_BETWEEN).rstrip(_DIGITS)  # 0_rot90_2
        at = max(map(text.rfind, _BETWEEN))
        stem = text[: max(at, 0)].rstrip(_BETWEEN)
        if not stem or text[at + 1 :].lower() not in _DONE:
            return
        yield stem

"""Pictures, labels and groups side by side, as a program holds them."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from frostline.data.manifest import Row
from frostline.data.missing import is_nothing
from frostline.data.pictures.picture import Picture
from frostline.data.places.tree import readable
from frostline.errors import DataError, DecodeError


def pairs(
    pictures: Iterable[Picture | str], labels: Iterable[object] | None = None, groups: Iterable[object] | None = None
) -> Iterator[Row]:
    """Rows from pictures, their labels and their groups, side by side, as an estimator gets them.

    labels: one for each picture, or a list, tuple or set of several. groups: None and NaN are of no group.

    Raises: DataError: not as many labels or groups as pictures. DecodeError: one is no picture.
    """
    beside = [column for column in (labels, groups) if column is not None]
    try:
        for number, (picture, *said) in enumerate(zip(_placed(pictures), *beside, strict=True)):
            row = _row(number, picture)
            if labels is not None:
                several = said[0] if isinstance(said[0], list | tuple | set | frozenset) else (said[0],)
                row = replace(row, labels=tuple(str(label) for label in several))
            yield row if groups is None or is_nothing(said[-1]) else replace(row, group=str(said[-1]))
    except ValueError:
        raise DataError(
            "there are not as many labels or groups as pictures", hint="give one for each picture"
        ) from None


def _placed(pictures: Iterable[Picture | str]) -> Iterator[Picture | str]:
    given = iter(pictures)
    for number in itertools.count():
        try:
            picture = next(given)
        except StopIteration:
            return
        except DecodeError as error:
            raise DecodeError(error.what, where=error.where or f"#{number}", hint=error.hint) from None
        yield picture


def _row(number: int, picture: Picture | str) -> Row:
    if isinstance(picture, str | Path):
        return Row(Path(picture), name=readable(str(picture)))
    return Row(picture, name=f"#{number}")

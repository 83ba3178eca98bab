"""Which column of a table is what, by its name or as a person says; two candidates are refused, none is passed over."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from frostline.data.place_options import PlaceOptions, option
from frostline.errors import DataError, one_line

COLUMNS = {
    "path": (
        *("path", "image", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image_name"),
        *("img_path", "img", "photo", "picture", "url", "image_url", "image_id", "id_code", "img_id", "id"),
    ),
    "label": (
        *("label", "class", "target", "labels", "class_name", "category", "species", "breed", "diagnosis", "dx"),
        *("finding labels", "tags"),
    ),
    "split": ("split", "set", "subset", "usage", "partition", "dataset", "data set", "phase", "data_split"),
    "group": (
        *("group", "group_id", "patient_id", "patient", "patientid", "subject", "subject_id", "lesion_id", "case_id"),
        *("study_id", "fold", "kfold", "participant_id", "animal_id"),
    ),
}
_OPTIONS = {"path": "image_column", "label": "label_column", "split": "split_column", "group": "group"}
_IDS = frozenset(("image_id", "id_code", "img_id", "id"))


def known(column: str) -> str | None:
    """Which of ``COLUMNS`` a column is, by its name."""
    plain = re.sub(r"\s+", " ", column.strip().lower())
    return next((kind for kind, names in COLUMNS.items() if plain in names), None)


def chosen(header: Sequence[str], place: Path | str, how: PlaceOptions, needed: Sequence[str]) -> Mapping[str, int]:
    """The place of each kind of column, by kind.

    Raises: DataError: one that is needed or was named is not there; two may be it.
    """
    there = f"there are: {one_line(', '.join(header)) or 'none'}"
    where: dict[str, int] = {}
    for kind, field in _OPTIONS.items():
        said = getattr(how, field)
        if said == "none" and kind in ("split", "group") and said not in header:
            continue
        if said is not None:
            if said not in header:
                what = "there is no column " + one_line(repr(said)) + (" to group by" if kind == "group" else "")
                raise DataError(what, where=place, hint=there)
            where[kind] = header.index(said)
            continue
        taken = [getattr(how, other) for other in _OPTIONS.values()]
        found = [n for n, name in enumerate(header) if known(name) == kind and name not in taken]
        if kind == "path":
            found = [n for n in found if header[n].strip().lower() not in _IDS] or found
        if len(found) > 1:
            rivals = ", ".join(header[n] for n in found)
            raise DataError(
                f"several columns may be the {kind}: {one_line(rivals)}",
                where=place,
                hint=f"{option(field)} {one_line(header[found[0]])!r} says which; {there}",
            )
        if found:
            where[kind] = found[0]
        elif kind in needed:
            raise DataError(
                f"there is no column {kind!r}",
                where=place,
                hint=f"name it with {option(field)}, or call it {' or '.join(COLUMNS[kind][:4])}; {there}",
            )
    return where

"""What all tables of pictures have in common: rows from records, and one error for all that is wrong with them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from frostline.data.manifest import Found
from frostline.data.missing import MISSING, are_signs
from frostline.data.places.place_options import PlaceOptions
from frostline.data.split_names import split_in
from frostline.data.tables.boxes import boxes
from frostline.data.tables.columns import NO, YES, Columns, Record, chosen, says_whether
from frostline.data.tables.locate import Finder, NotThere, finder
from frostline.data.tables.one_hot import one_hot
from frostline.data.tables.several import parted
from frostline.data.tables.split_flags import one_split
from frostline.data.tables.table_rows import Reader
from frostline.data.understood import Understood
from frostline.errors import DataError, DecodeError, first_few, one_line

_NUMBER = re.compile(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?")
_WHOLE = re.compile(r"-?(?:0|[1-9]\d*)(?:\.0+)?")
_AT_MOST = 5  # faults that one message lists


def rows_of(
    header: Sequence[str],
    records: Iterable[Record],
    place: Path | str,
    *,
    how: PlaceOptions = PlaceOptions(),
    labelled: bool = True,
) -> Iterator[Found]:
    """Rows from numbered records; faults are gathered, and what is wrong with the table comes as one error at its end.

    A record without a label is one that shows none of the classes where others have several, else a fault.
    place: the table's file, or what to call it. how: what is said of it. labelled: whether there must be labels.

    Raises: DataError: a column is missing; rows that lack a value or name no split.
    """
    how = how.among(header)
    header, records, flags = one_split(written := header, list(records), how)
    header, records, binary = one_hot(header, records, place, how) if labelled else (header, records, ())
    columns = chosen(header, records, place, _less_labels(how, binary), ("path", "label") if labelled else ("path",))
    where, warnings = _worth(columns, header, records, how)
    records, denied, sure = _less_denied(header, records, where)
    part, part_said = parted(header, records, where.get("label"), MISSING, place, how)
    find, added, absent = _finder(records, where["path"], place, how)
    boxed = boxes(header, records, where, place, how, _files(records, where["path"], find))
    splits = split_in if where.get("split") == where["path"] else columns.split
    numbers = _numbers(records, where.get("label"), place)
    read, faults = Reader(len(header), where, part, splits, find, numbers), list[str]()
    for line, values in records:
        try:
            row = read.row(values, line, place)
            found = read.once(row if boxed is None else boxed.crop(row, values, line), row.labels, line)
            if found is not None:
                yield found
        except IndexError:
            faults.append(f"row {line} has {len(values)} of {len(written)} columns")
        except DecodeError as error:
            faults.append(f"row {line}: {error.what}")
        except ValueError as error:
            faults.append(f"row {line}: {error}")
    if labelled and not (how.several or read.several):
        faults += read.bare
    if faults:
        raise _wrong(faults, place, header[binary[0]] if binary and read.bare else "")
    if absent is not None:
        raise absent
    read.check_all_seen(place)
    names = [*written, *header[len(written) :]]
    said_of = _said_of(names, where, binary, part_said, flags)
    if columns.split_said and "split" in said_of:
        said_of["split"] += f" ({columns.split_said})"
    used = (*where.values(), *binary, *flags, *sure, *(() if boxed is None else boxed.columns))
    yield Understood(
        place.name if isinstance(place, Path) else str(place),
        said_of["path"] + added + ("" if boxed is None else boxed.said(header)),
        said_of.get("label", ""),
        said_of.get("split", ""),
        said_of.get("group", "the pictures of the boxes" if boxed is not None and boxed.grouped else ""),
        unused=(*denied, *read.repeated(), *(f"column `{name}`" for n, name in enumerate(names) if n not in used)),
        warnings=(*columns.warnings, *warnings),
    )


def rows_of_objects(
    objects: Iterable[tuple[int, Mapping[str, object]]], place: Path, *, how: PlaceOptions
) -> Iterator[Found]:
    """As ``rows_of``, of numbered objects of JSON: their keys are the columns.

    Raises: DataError: as ``rows_of``.
    """
    held = list(objects)
    names = list(dict.fromkeys(name for _, one in held for name in one))
    yield from rows_of(names, ((n, [one.get(name) for name in names]) for n, one in held), place, how=how)


def _say_splits(records: Sequence[Record], where: Mapping[str, int], how: PlaceOptions) -> bool:
    """Whether no column is the split, but every path leads through a folder called as one is: train/0.png."""
    if "split" in where or how.split_column is not None:
        return False
    index, found = where["path"], set[str | None]()
    for _, values in records:
        found.add(split_in(values[index]) if len(values) > index and isinstance(values[index], str) else None)
        if None in found:
            return False
    return "train" in found and len(found) > 1


def _less_labels(how: PlaceOptions, binary: Sequence[int]) -> PlaceOptions:
    """``--label-column a,b`` has become one column."""
    return replace(how, label_column=None) if binary else how


def _files(records: Sequence[Record], index: int, find: Finder) -> Iterator[Path]:
    cells = (values[index] if len(values) > index else "" for _, values in records)
    found = (find(cell.strip()) if isinstance(cell, str) and "\0" not in cell else Path() for cell in cells)
    return (file if isinstance(file, Path) else Path() for file in found)


def _finder(
    records: Sequence[Record], index: int, place: Path | str, how: PlaceOptions
) -> tuple[Finder, str, NotThere | None]:
    """What turns a cell into a path, and how to say it; only a file's table of nothing but names is looked after."""
    cells = [values[index] for _, values in records if len(values) > index]
    if not isinstance(place, Path) or not all(isinstance(cell, str) for cell in cells):
        return (place.parent if isinstance(place, Path) else Path()).joinpath, "", None
    return finder((text for cell in cells if (text := cell.strip()) and "\0" not in text), place, how)


def _wrong(faults: Sequence[str], place: Path | str, binary: str) -> DataError:
    """binary: one of the columns of yes and no where some rows say no in all of them."""
    shown = "; ".join(faults[:_AT_MOST])
    more = f"; and {len(faults) - _AT_MOST} more" if len(faults) > _AT_MOST else ""
    hint = "correct the table"
    if binary:
        hint += f": a column for what none of the others is; or one of them alone: --label-column {one_line(binary)!r}"
    if not binary and any(": no label (" in fault for fault in faults):
        hint += ", or leave those rows out; a class that is called so needs another name"
    if any(" is no split " in fault for fault in faults):
        hint += "; --split-column none if that column says no split"
    if any(" is in two groups, " in fault for fault in faults):
        hint += "; --group none if that column says no group"
    what = "1 row is wrong" if len(faults) == 1 else f"{len(faults)} rows are wrong"
    return DataError(f"{what}: {one_line(shown)}{more}", where=place, hint=hint)


def _said_of(
    header: Sequence[str], where: Mapping[str, int], binary: Sequence[int], part_said: str, flags: Sequence[int]
) -> dict[str, str]:
    """How to say which column is what, by kind."""
    columns = {kind: f"`{header[index]}`" for kind, index in where.items()}
    if where.get("split") == where["path"]:
        columns["split"] = f"the folders in {columns['path']}"
    for kind, several in (("label", binary), ("split", flags)):
        if several and kind in columns:
            columns[kind] = f"the columns {first_few([f'`{header[n]}`' for n in several], _AT_MOST)}"
    if part_said and not binary:
        columns["label"] += f" ({part_said})"
    return columns


def _worth(
    columns: Columns, header: Sequence[str], records: Sequence[Record], how: PlaceOptions
) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """The columns less a split or group that only its name speaks for, and what to say of those.

    The column of pictures is that of the split, too, where the folders in it say that.
    """
    kept, warnings = dict(columns.where), list[str]()
    for kind, field in (("split", "split_column"), ("group", "group")):
        index = kept.get(kind)
        if index is None or getattr(how, field) is not None:
            continue
        values = {str(v[index]).strip() for _, v in records if len(v) > index and v[index] not in (None, "")}
        values -= MISSING if kind == "group" else set()
        if header[index].strip().lower() == kind and values:
            continue
        name = one_line(header[index])
        if kind == "split" and values and not all(map(columns.split, values)):
            warnings.append(f"the column {name!r} may be a split or a group: --split-column or --group says so")
            del kept[kind]
        elif len(values) < (2 if kind == "group" else 1):
            del kept[kind]
    if "label" in kept and _say_splits(records, kept, how):
        kept["split"] = kept["path"]
    return kept, tuple(warnings)


def _less_denied(
    header: Sequence[str], records: Sequence[Record], where: Mapping[str, int]
) -> tuple[Sequence[Record], tuple[str, ...], tuple[int, ...]]:
    """The rows whose label is there, where a column says how sure that is (0: it is not); what to say of the others,
    and the place of that column.

    Open Images lists what somebody looked for and did not find, too: Confidence 0.
    """
    column = next((n for n, name in enumerate(header) if says_whether(name) and n not in where.values()), None)
    if column is None or "label" not in where:
        return records, (), ()
    said = {line: _sure(values[column]) if len(values) > column else None for line, values in records}
    if None in said.values() or not any(said.values()) or all(said.values()):
        return records, (), ()
    kept = [(line, values) for line, values in records if said[line]]
    left_out = f"{len(records) - len(kept):,} rows in which `{header[column]}` is 0 (the label is not there)"
    return kept, (left_out,), (column,)


def _sure(cell: object) -> bool | None:
    """Whether a cell says more than 0 or no; None if it says neither a number nor yes or no."""
    text = str(cell).strip().lower()
    if text in YES | NO:
        return text in YES
    return float(text) != 0 if _NUMBER.fullmatch(text) and not text.startswith("-") else None


def _numbers(records: Sequence[Record], index: int | None, place: Path | str) -> str:
    """ "whole" if all labels are whole numbers, however they are written, so that 0 and 0.0 are one; "signs" if they
    are 1 and -1, which then means no label nowhere; else "".

    Raises: DataError: they are numbers with a fraction, and hardly any comes again.
    """
    if index is None:
        return ""
    labels = {str(values[index]).strip() for _, values in records if len(values) > index} - MISSING
    if bool(labels) and all(_WHOLE.fullmatch(label) for label in labels):
        return "signs" if are_signs(labels) else "whole"
    if len(labels) > max(10, 0.2 * len(records)) and all(map(_NUMBER.fullmatch, labels)) and "." in "".join(labels):
        raise DataError(
            f"labels are {len(labels):,} numbers with a fraction, such as {sorted(labels)[0]}: a quantity is no class",
            where=place,
            hint="--label-column names the column of classes; or put the numbers into a few classes",
        )
    return ""

"""Columns of yes and no that say the split together: train, val and test, of which each row has one."""

from collections.abc import Sequence

from frostline.data.places.place_options import PlaceOptions
from frostline.data.tables.columns import NO, YES, Record, flag_of, known


def one_split(
    header: Sequence[str], records: Sequence[Record], how: PlaceOptions
) -> tuple[Sequence[str], Sequence[Record], tuple[int, ...]]:
    """The table with one more column `split`, where each row says yes in one of several columns of splits.

    Those columns have no name any more, so that nothing else is made of them.

    Returns: header, records and the places of these columns, none if there are no such.
    """
    flags = _flags(header, how)
    if len(flags) < 2 or len(set(flags.values())) < len(flags):
        return header, records, ()
    made: list[Record] = []
    for line, values in records:
        if len(values) < len(header):
            made.append((line, values))  # named later, with what it lacks
            continue
        texts = {n: str(values[n]).strip().lower() for n in flags}
        said = [flags[n] for n, text in texts.items() if text in YES]
        if len(said) != 1 or not all(text in YES | NO for text in texts.values()):
            return header, records, ()
        made.append((line, [*values[: len(header)], said[0], *values[len(header) :]]))
    return [*("" if n in flags else name for n, name in enumerate(header)), "split"], made, tuple(flags)


def _flags(header: Sequence[str], how: PlaceOptions) -> dict[int, str]:
    """The split of each column that is called as one is; none where a person or another column says the split."""
    if how.split_column is not None or any(known(name) == "split" for name in header):
        return {}
    said = (how.image_column, how.group, how.label_column, *(how.label_column or "").split(","))
    free = ((n, name) for n, name in enumerate(header) if known(name) is None and name not in said)
    return {n: split for n, name in free if (split := flag_of(name)) is not None}

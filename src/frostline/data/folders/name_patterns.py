"""Labels from names: ``--label-pattern``, a regular expression of file names or of paths."""

import re
from collections.abc import Callable, Iterator

from frostline.data.folders.class_folders import A_MASK, BESIDE_THEM, listed, masks_in, named_splits, unwrapped
from frostline.data.manifest import Found, Row, Skipped
from frostline.data.places.folder_names import BESIDE, PICTURES
from frostline.data.places.tree import Folder, readable
from frostline.data.split_names import SPLIT_NAMES, split_of, words_of
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line


def by_pattern(top: Folder, pattern: str) -> Iterator[Found]:
    """Labels from names: of files, or, if the pattern has a ``/`` in it, of paths below the folder.

    Groups called ``split`` and ``group`` say those too; else train, val and test folders are splits. Masks are left out
    as they are among folders of classes, unless a pattern of paths gives them another label than their pictures.

    Raises: DataError: the pattern is none, or has no group, or matches nothing.
    """
    expression = compiled(pattern)
    whole_path = "/" in pattern
    yield from top.left_out()
    splits = {} if whole_path or "split" in expression.groupindex else named_splits(unwrapped(top))
    count = 0

    def label_of(folder: Folder, name: str) -> str:
        return labelled_by(expression.search(folder.named(name) if whole_path else readable(name)))

    for folder in _without_masks(top, label_of if whole_path else None):
        if isinstance(folder, Skipped):
            yield folder
            continue
        masks = masks_in(folder)
        inside = next((split for name, split in splits.items() if f"{folder.name}/".startswith(f"{name}/")), None)
        yield from (Skipped(folder.named(name), "not a picture") for name in folder.others)
        for name in folder.pictures:
            called = folder.named(name)
            if name in masks and not (whole_path and label_of(folder, name) != label_of(folder, masks[name])):
                yield Skipped(called, A_MASK)
                continue
            found = expression.search(called if whole_path else readable(name))
            label = labelled_by(found)
            if found is None or not label:
                yield Skipped(called, "its name does not match --label-pattern")
                continue
            count += 1
            more = found.groupdict()
            split = inside if more.get("split") is None else _split_said(more["split"], called)
            yield Row(folder.path / name, (label,), split, more.get("group"), called)
    if not count:
        raise DataError(
            f"no picture's name matches the pattern {one_line(pattern)!r}",
            where=top.path,
            hint=f"a pattern with a / is matched against the path, any other against the name; {_example(top)}",
        )
    of = "paths" if whole_path else "file names"
    also = {group: "the same pattern" for group in ("split", "group") if group in expression.groupindex}
    yield Understood(
        "", "folders", f"{of} by {pattern}", also.get("split", listed(sorted(splits))), also.get("group", "")
    )


def compiled(pattern: str) -> re.Pattern[str]:
    """A ``--label-pattern``.

    Raises: DataError: it is no regular expression, or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DataError(
            f"{one_line(pattern)!r} is no regular expression: {error}", where="--label-pattern", hint=_PATTERN
        ) from None
    if not expression.groups:
        raise DataError(f"the pattern {one_line(pattern)!r} has no group", where="--label-pattern", hint=_PATTERN)
    return expression


def labelled_by(found: re.Match[str] | None) -> str:
    """The label that a match gives: its group called ``label``, else its first one; "" if there is none."""
    if found is None:
        return ""
    return ((found["label"] if "label" in found.re.groupindex else found[1]) or "").strip()


_PATTERN = r"put a group around what is the label: --label-pattern '^(.+)_\d+' reads great_pyrenees_173.jpg"


def _without_masks(folder: Folder, label_of: Callable[[Folder, str], str] | None) -> Iterator[Folder | Skipped]:
    """A folder and those below it, but none that lies beside pictures and is called as masks are.

    label_of: what a pattern of paths says of a picture; a folder whose name is the label is taken, whatever it is.
    """
    yield folder
    main = any(inner.base.lower() in PICTURES or split_of(inner.base) for inner in folder.filled())
    for inner in folder.folders:
        beside = inner.count and inner.base.lower() in BESIDE and (main or len(folder.pictures) >= inner.count)
        if beside and not (label_of is not None and _first(inner, label_of) == inner.base):
            yield inner.skipped(BESIDE_THEM)
        else:
            yield from _without_masks(inner, label_of)


def _first(folder: Folder, label_of: Callable[[Folder, str], str]) -> str:
    """The label of the first picture in a folder, or below it."""
    return next(label_of(inner, inner.pictures[0]) for inner in folder.walk() if inner.pictures)


def _split_said(text: str, name: str) -> str:
    words = {SPLIT_NAMES[word] for word in words_of(text) if word in SPLIT_NAMES}  # seg_train, where a group says split
    split = split_of(text) or (words.pop() if len(words) == 1 else None)
    if split is None:
        raise DataError(f"{one_line(text)!r} is no split (train, val or test)", where=name, hint="see --label-pattern")
    return split


def _example(top: Folder) -> str:
    first = next((folder.named(name) for folder in top.walk() for name in folder.pictures), "")
    return f"the first is {one_line(first)}"

"""Folders of pictures: which is a split, which a class, and which neither; what cannot be told apart is refused."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from frostline.data.class_names import UNLABELLED
from frostline.data.folders.frames import said_of_frames
from frostline.data.folders.nesting import (
    Level,
    are_parts,
    check_copies,
    check_groups,
    check_links,
    check_same_within,
    innermost,
    label_of,
    main_of,
    splits_within,
)
from frostline.data.folders.twins import check_twins
from frostline.data.manifest import Found, Row, Skipped, natural
from frostline.data.places.folder_names import BESIDE, PICTURES
from frostline.data.places.tree import Folder, readable
from frostline.data.places.unread import no_classes
from frostline.data.split_names import SPLIT_NAMES, split_of, splits_of, words_of
from frostline.data.understood import Understood
from frostline.errors import DataError, first_few, one_line

_FEW_BESIDE = 5  # files beside the folder of all classes that may be pictures, by their names, and are none of it

A_MASK, BESIDE_THEM = "a mask of the picture beside it", "beside the pictures"
"""Why pictures of masks are left out."""

_MASK = re.compile(
    r"(?P<stem>.+?)[ _-](?:masks?|seg|segmentation|gt|groundtruth|labels?|annotation|superpixels)(?:[ _-]?\d+)?",
    re.IGNORECASE,
)


def in_split(split: str, rows: Iterable[Found]) -> Iterator[Found]:
    """Rows of a source that says nothing of splits, as those of one split."""
    for item in rows:
        if isinstance(item, Understood):
            yield item
        else:
            name = f"{split}/{item.name}"
            if isinstance(item, Row):
                of_boxes = item.group is not None and item.name.startswith(f"{item.group} box ")
                group = f"{split}/{item.group}" if of_boxes else item.group  # val/1.jpg is another than train/1.jpg
                yield replace(item, name=name, split=split, group=group)
            else:
                yield replace(item, name=name)


def by_folders(top: Folder) -> Iterator[Found]:
    """``DIR/train/<class>/…`` with val and test, or ``DIR/<class>/…``. A picture may lie anywhere below its class.

    Raises: DataError: no class folders; two folders for one split; one under two names; folders of which it cannot be
        told what they are.
    """
    here = unwrapped(top)
    check_links(here, top.path)
    yield from _passed(top, here)
    yield from _loose(here)
    splits = _splits(here, top)
    if splits:
        yield from _by_split(here, splits, top)
    elif parts := _parts(here):
        yield from _by_part(here, parts)
    elif within := splits_within(here):
        yield from _by_class(here, within)
    elif here.filled() and not _is_loose(here):
        warnings = _check_classes(here, top)
        said = f"the folders in {here.base}/" if here.name else "folder names"
        yield Understood("" if here is top else f"{here.name}/", "folders", said, warnings=warnings)
        yield from _classes(here, None)
    else:
        raise no_classes(here, top)


def unwrapped(top: Folder) -> Folder:
    """The folder that holds the data set: folders around it, which hold nothing else, are taken off."""
    while True:
        inner = main_of(top)
        if inner is None or split_of(inner.base) or not inner.filled() or not _is_all(inner, top):
            break
        top = inner
    return top


def around(top: Folder) -> tuple[Folder, ...]:
    """The folder that holds the data set, and those around it from the top on: a file in any of them is about it."""
    here = unwrapped(top)
    return tuple(folder for folder in top.walk() if folder is top or f"{here.name}/".startswith(f"{folder.name}/"))


def _is_all(inner: Folder, top: Folder) -> bool:
    """Whether a folder is all that is meant: beside it are no pictures, or a cover or a LICENSE beside its classes."""
    few = len(top.pictures) <= _FEW_BESIDE
    classes = len(innermost(inner).filled())
    return not top.pictures or (few and classes > 1 and len(top.pictures) <= inner.count / classes)


def _passed(top: Folder, here: Folder) -> Iterator[Skipped]:
    """What lies beside the way from the top to the folder that holds the data set, and what is left out anyway."""
    yield from here.left_out()
    while top is not here:
        yield from top.aside
        inner = main_of(top)
        yield from _loose(top)
        for folder in top.folders:
            if folder is not inner:
                yield folder.skipped(BESIDE_THEM if folder.count else "no pictures in it")
        if inner is None:
            return
        top = inner


def _loose(here: Folder) -> Iterator[Skipped]:
    yield from (Skipped(here.named(name), "not a picture") for name in here.others)
    yield from (Skipped(here.named(name), "in no class folder") for name in here.pictures)


def _splits(here: Folder, top: Folder) -> dict[Folder, str]:
    """Which folders are splits. "train" may be a class (of vehicles), too; what cannot be told is refused."""
    named = named_splits(here)
    splits = {folder: named[folder.name] for folder in here.folders if folder.name in named}
    splits = {folder: split for folder, split in splits.items() if folder.count}
    others = [folder for folder in here.filled() if folder not in splits and folder.base.lower() not in BESIDE]
    if not splits:
        return {}
    nested = [folder for folder in splits if _root(folder).filled()]
    if others and len(set(splits.values())) == 1:
        alike = [folder for folder in others if bool(folder.filled()) == bool(nested)]
        if set(splits.values()) == {"train"} and not nested and alike == others:
            return {}
        if set(splits.values()) == {"train"} and nested and len(alike) > 1:
            return {}
        if not nested or alike or len(others) > 1:
            raise _doubtful(here, next(iter(splits)), others)
    if not nested:
        raise no_classes(here, top)
    for split in set(splits.values()):
        rivals = [folder.base for folder in splits if splits[folder] == split]
        if len(rivals) > 1:
            raise DataError(
                f"two folders for the split {split!r}: {one_line(', '.join(rivals))}",
                where=here.path,
                hint=f"merge them, rename one, or leave one out: --ignore {one_line(rivals[-1])!r}",
            )
    return splits


def named_splits(here: Folder) -> dict[str, str]:
    """Paths of folders that are called as splits are."""
    said = splits_of(folder.base for folder in here.folders)
    return {folder.name: said[folder.base] for folder in here.folders if folder.base in said}


def _doubtful(here: Folder, folder: Folder, others: Sequence[Folder]) -> DataError:
    beside = one_line(", ".join(other.base for other in others[:5]))
    return DataError(
        f"{one_line(folder.base)!r} may be a split or a class beside {beside}",
        where=here.path,
        hint=f"a split: --ignore {one_line(others[0].base)!r} (and the others); "
        f"a class: {Level(here.name).outer}; no part of it: --ignore {one_line(folder.base)!r}",
    )


def _doubtful_beside(here: Folder, folder: Folder) -> DataError:
    name = one_line(folder.base)
    return DataError(
        f"{name!r} holds the same classes as the splits beside it, and its name says nothing of which split it is",
        where=here.path,
        hint=f"rename it train, val or test, or leave it out: --ignore {name!r}",
    )


def _by_split(here: Folder, splits: dict[Folder, str], top: Folder) -> Iterator[Found]:
    labels = {folder: {label_of(inner) for inner in _root(folder).filled()} for folder in splits}
    learnt = {label for folder, split in splits.items() if split == "train" for label in labels[folder]}
    classes = learnt or set().union(*labels.values())
    used, warnings = list[Folder](), tuple[str, ...]()
    for folder in here.folders:
        if folder not in splits:
            if len({label_of(inner) for inner in folder.filled()} & classes) > 1 and folder.base.lower() not in BESIDE:
                raise _doubtful_beside(here, folder)
            beside = "beside the split folders, but none itself" if folder.count else "no pictures in it"
            yield folder.skipped(beside)
        elif _unlabelled(labels[folder], learnt, splits[folder]):
            yield folder.skipped("without labels")
        else:
            root = _root(folder)
            used.append(folder)
            if splits[folder] == "train":
                warnings = _check_learnt(root, folder, Level(here.name, tuple(sorted(one.base for one in splits))))
            yield from (item for part in _between(folder, root) for item in _loose(part))
            yield from _classes(root, splits[folder])
    if not used or ("train" in splits.values() and not learnt):
        raise no_classes(here, top)
    read = f"{here.name}/" if here.name else ""
    splits_said = listed(folder.base for folder in used)
    yield Understood(read, "folders", "folder names", splits_said, warnings=warnings)


def _check_learnt(root: Folder, folder: Folder, level: Level) -> tuple[str, ...]:
    """Refuse folders within train's that are no classes, and what to say of those that may be none."""
    level = replace(level, between=root.name.count("/") - folder.name.count("/"))
    check_copies(root.filled(), root)
    check_same_within(root.filled(), root, level)
    check_twins((inner for one in root.filled() for inner in one.walk()), root.path, level.outer)
    return (*check_groups(root.filled(), root, level), *said_of_frames(root.filled(), level))


def _unlabelled(labels: set[str], learnt: set[str], split: str) -> bool:
    """Whether a split holds loose pictures, or one folder that is no class of train's: Keras wants a dummy folder."""
    return split != "train" and bool(learnt) and (not labels or (len(labels) == 1 and not labels & learnt))


def _root(folder: Folder) -> Folder:
    """The folder of a split in which its classes lie: seg_train/seg_train/<class>, train/images/<class>."""
    while (inner := main_of(folder)) is not None and _is_all(inner, folder):
        again = inner.base == folder.base or split_of(inner.base) or inner.base.lower() in PICTURES
        if not again:
            break
        folder = inner
    return folder


def _between(folder: Folder, root: Folder) -> Iterator[Folder]:
    """A split's folder and those on the way to its root."""
    yield folder
    while folder is not root and (inner := main_of(folder)) is not None:
        folder = inner
        yield folder


def _parts(here: Folder) -> tuple[Folder, ...]:
    """Folders called fold1, fold2, ... that hold the same classes each; they are no classes themselves."""
    filled = here.filled()
    if not are_parts(filled):
        return ()
    said = [splits_of(one.base for one in folder.filled()) for folder in filled]
    if all(len(set(own.values())) > 1 for own in said):
        raise DataError(
            f"each of the folders holds a split of its own: {one_line(', '.join(f.base for f in filled[:5]))}",
            where=here.path,
            hint=f"leave all but one out: --ignore {one_line(filled[-1].base)!r} (and the others)",
        )
    if not all(folder.filled() for folder in filled):
        raise DataError(
            f"the folders are parts of the data, not classes: {one_line(', '.join(f.base for f in filled[:5]))}",
            where=here.path,
            hint=f"if they are classes: {Level(here.name).outer}; if labels are in a table, name that",
        )
    return filled


def _is_loose(here: Folder) -> bool:
    """Whether the only folder is called as no class is, and holds pictures of all classes."""
    filled = here.filled()
    if len(filled) != 1 or filled[0].filled():
        return False
    words = words_of(filled[0].base)
    return filled[0].base.lower() in PICTURES or (len(words) > 1 and any(word in SPLIT_NAMES for word in words))


def _by_class(here: Folder, within: Mapping[Folder, Mapping[Folder, str]]) -> Iterator[Found]:
    """ants/train, ants/test, bees/train, ...: classes first, and their splits in them."""
    yield from (folder.skipped("no pictures in it") for folder in here.folders if folder not in within)
    for folder, splits in within.items():
        for inner in folder.folders:
            if inner in splits:
                yield from _others(inner)
                yield from _pictures(inner, label_of(folder), splits[inner])
            else:
                yield inner.skipped("no pictures in it")
    said = listed({inner.base for splits in within.values() for inner in splits})
    yield Understood(f"{here.name}/" if here.name else "", "folders", "folder names", f"{said} within each class")


def _by_part(here: Folder, parts: Sequence[Folder]) -> Iterator[Found]:
    for folder in here.folders:
        if folder not in parts:
            yield folder.skipped("no pictures in it")
    for folder in parts:
        yield from _loose(folder)
        for item in _classes(folder, None):
            yield replace(item, group=folder.base) if isinstance(item, Row) else item
    read = f"{here.name}/" if here.name else ""
    yield Understood(read, "folders", "folder names", "", f"{listed(f.base for f in parts)}: no split parts one")


def _check_classes(here: Folder, top: Folder) -> tuple[str, ...]:
    """Refuse folders that are called as no class is: images/ beside masks/, train_images/ without a table.

    What to say of folders within them that may be meant.
    """
    check_copies(here.filled(), here)
    check_same_within(here.filled(), here, Level(here.name))
    check_twins((inner for folder in here.filled() for inner in folder.walk()), here.path, Level(here.name).outer)
    names = [folder.base for folder in here.filled()]
    labelled = [folder for folder in here.filled() if folder.base.lower() not in UNLABELLED]
    if len(labelled) == 1 < len(names) and len(labelled[0].filled()) > 1:
        other = next(folder.base for folder in here.filled() if folder is not labelled[0])
        raise DataError(
            f"{one_line(other)!r} may be a class, or hold pictures without labels",
            where=here.path,
            hint=f"without labels: --ignore {one_line(other)!r}; a class: {Level(here.name).outer}",
        )
    if len(names) > 1 and all(name.lower() in PICTURES | BESIDE for name in names):
        raise DataError(
            f"the folders {one_line(', '.join(names))} name no classes",
            where=here.path,
            hint=f"{no_classes(main_of(here) or here, top).hint}; if they are classes: {Level(here.name).outer}",
        )
    tests = [name for name in names if split_of(name) and name.lower() not in SPLIT_NAMES]
    if tests and len(names) > len(tests):
        raise DataError(
            f"{one_line(tests[0])!r} may be a split or a class",
            where=here.path,
            hint=f"a class: {Level(here.name).outer}; no part of it: --ignore {one_line(tests[0])!r}",
        )
    level = Level(here.name)
    return (*check_groups(here.filled(), here, level), *said_of_frames(here.filled(), level))


def _classes(top: Folder, split: str | None) -> Iterator[Row | Skipped]:
    for folder in top.folders:
        if folder.count and not label_of(folder):
            raise DataError(
                "a folder's name is blank, and so would be its class",
                where=folder.path,
                hint="rename it, or leave it out with --ignore and its name in quotes",
            )
        if not folder.count:
            yield folder.skipped(
                "no pictures in it" if any(inner.others for inner in folder.walk()) else "an empty folder"
            )
        yield from _others(folder)
        yield from _pictures(folder, label_of(folder), split)


def masks_in(folder: Folder) -> dict[str, str]:
    """Names of pictures that are masks of others beside them, and those others: x_mask.png and x.png."""
    stems = {name.rpartition(".")[0]: name for name in folder.pictures}
    masks = {name: _MASK.fullmatch(name.rpartition(".")[0]) for name in folder.pictures}
    return {name: stems[mask["stem"]] for name, mask in masks.items() if mask is not None and mask["stem"] in stems}


def _others(folder: Folder) -> Iterator[Skipped]:
    return (Skipped(inner.named(name), "not a picture") for inner in folder.walk() for name in inner.others)


def _pictures(folder: Folder, label: str, split: str | None) -> Iterator[Row | Skipped]:
    """The pictures of a class, at any depth; masks beside them are named and left out."""
    masks = masks_in(folder)
    for name in folder.pictures:
        if name in masks:
            yield Skipped(folder.named(name), A_MASK)
        else:
            yield Row(folder.path / name, (label,), split, name=folder.named(name))
    main = bool(folder.pictures) or any(inner.base.lower() in PICTURES for inner in folder.filled())
    for inner in folder.folders:
        if main and inner.count and inner.base.lower() in BESIDE:
            yield inner.skipped(BESIDE_THEM)
        else:
            yield from _pictures(inner, label, split)


def listed(names: Iterable[str]) -> str:
    """Folders as they are said: train/, val/."""
    return first_few([f"{readable(name)}/" for name in sorted(names, key=natural)], 5)

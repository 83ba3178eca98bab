"""Folders within folders: which of two levels are the classes, and which only keep pictures in order."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frostline.data.places.folder_names import (
    BESIDE,
    NEVER_A_CLASS,
    ONE_OF_MANY,
    PICTURES,
    are_a_row,
    is_a_word,
    keeps_order,
    name_parts,
    only_order,
    says_no_class,
)
from frostline.data.places.tree import Folder, readable
from frostline.data.split_names import splits_of
from frostline.errors import DataError, first_few, one_line


@dataclass(frozen=True, slots=True)
class Level:
    """Where folders lie that may be classes, for the patterns that take them, or those in them, as such.

    above: the folder around all, "" for the place itself. splits: the folders of splits in it, if they are within such.
    between: how many folders lie between a split's folder and those that may be classes.
    """

    above: str = ""
    splits: tuple[str, ...] = ()
    between: int = 0

    @property
    def outer(self) -> str:
        """The option by which these folders are the classes."""
        return self._pattern(0)

    @property
    def _depth(self) -> int:
        """How many folders a path leads through before it comes to these."""
        return f"{self.above}/".lstrip("/").count("/") + bool(self.splits) + self.between

    def inner(self, classes: Sequence[Folder]) -> str:
        """The option by which folders below these are: the last ones of each path, or those at their depth."""
        if any(folder.filled() for folder in classes):
            return self._pattern(classes[0].name.count("/") - self._depth)
        return self.last

    @property
    def last(self) -> str:
        """The option by which the folder that each picture lies in is its class."""
        if self.splits:
            return f"--label-pattern '{self._start()}(?:.*/)?(?P<label>[^/]+)/[^/]+$'"
        return "--label-pattern '([^/]+)/[^/]+$'"

    def both(self, classes: Sequence[Folder]) -> str:
        """The option by which folders below these are, each called by its path: character01 of each alphabet."""
        return self._pattern(0, "/".join(["[^/]+"] * (classes[0].name.count("/") - self._depth + 1)))

    def groups(self, inner: Folder) -> str:
        """The option by which these folders are the classes, and a folder below and all like it are groups."""
        between = "[^/]+/" * (inner.name.count("/") - self._depth - 1)
        return self._pattern(0, named=True)[:-1] + f"{between}(?P<group>[^/]+)/'"

    def named_groups(self, form: str) -> str:
        """The option by which these folders are the classes, and names of the form, with groups in it, are in them."""
        return f"{self._pattern(0, named=True)[:-1]}{form}'"

    @property
    def rest(self) -> str:
        """The option by which all that is left of a path is its class: apartment/outdoor in a/apartment/outdoor."""
        return self._pattern(1, ".+")

    def _pattern(self, deeper: int, form: str = "[^/]+", *, named: bool = False) -> str:
        label = f"(?P<label>{form})" if self.splits or named else f"({form})"
        return f"--label-pattern '{self._start()}{'[^/]+/' * (self.between + deeper)}{label}/'"

    def _start(self) -> str:
        above = re.escape(f"{self.above}/") if self.above else ""
        splits = f"(?P<split>{'|'.join(map(re.escape, self.splits))})/" if self.splits else ""
        return one_line(f"^{above}{splits}")


def label_of(folder: Folder) -> str:
    """The class that a folder's name says: one text, however its accents are kept and whatever blanks stand around."""
    return unicodedata.normalize("NFC", readable(folder.base)).strip()


def are_parts(folders: Sequence[Folder]) -> bool:
    """Whether folders are parts of one set of pictures, by their names: fold1 and fold2, images_001 and images_002."""
    return name_parts([folder.base for folder in folders])


def splits_within(here: Folder) -> dict[Folder, dict[Folder, str]]:
    """ants/train, ants/test, bees/train, ...: the splits within each class; {} if it is not so.

    Raises: DataError: some folders hold splits, and others do not.
    """
    found: dict[Folder, dict[Folder, str]] = {}
    for folder in here.filled():
        inner = [one for one in folder.filled() if one.base.lower() not in BESIDE]
        said = splits_of(one.base for one in inner)
        splits = {one: said[one.base] for one in inner if one.base in said}
        if len(set(splits.values())) > 1 and len(splits) == len(inner) and not folder.pictures:
            found[folder] = splits
    if not found or len(found) == len(here.filled()):
        _check_splits_of_copies(here, found)
        return found
    own = next(iter(found))
    other = next(folder for folder in here.filled() if folder not in found)
    raise DataError(
        f"{one_line(own.base)!r} holds splits ({_listed(found[own])}), and {one_line(other.base)!r} does not",
        where=here.path,
        hint=f"give each class the same splits, or leave one out: --ignore {one_line(other.base)!r}",
    )


def _check_splits_of_copies(here: Folder, found: Mapping[Folder, Mapping[Folder, str]]) -> None:
    """Notice that the same classes stand in the splits of each folder: jpeg-224x224/train/<class> and another size.

    Raises: DataError: they do.
    """
    within = [[{label_of(one) for one in split.filled()} for split in splits] for splits in found.values()]
    common = set.intersection(*(set.union(*sets) for sets in within)) if len(within) > 1 else set[str]()
    if all(map(keeps_order, common)):
        return
    splits = "|".join(sorted({re.escape(split.base) for splits in found.values() for split in splits}))
    raise DataError(
        f"{_listed(found)} hold splits of the same folders ({', '.join(map(one_line, sorted(common)[:5]))}): "
        "which are the classes?",
        where=here.path,
        hint=f"leave all but one out: --ignore {one_line(list(found)[-1].base)!r}; or all of them together: "
        f"--label-pattern '/(?P<split>{one_line(splits)})/(?P<label>[^/]+)/'; "
        f"the outer ones are classes: --label-pattern '(?P<label>[^/]+)/(?P<split>{one_line(splits)})/'",
    )


def innermost(folder: Folder) -> Folder:
    """The folder within those that hold nothing but one other, or pictures beside masks: amazon/images/<class>."""
    while not folder.pictures and (inner := main_of(folder)) is not None:
        folder = inner
    return folder


def main_of(top: Folder) -> Folder | None:
    """The one folder that holds what is meant: the only one with pictures, or images/ beside masks/ and the like."""
    filled = top.filled()
    if len(filled) > 1:
        main = [folder for folder in filled if folder.base.lower() in PICTURES]
        beside = [folder for folder in filled if folder.base.lower() in BESIDE]
        if len(main) == 1 and len(main) + len(beside) == len(filled):
            return main[0]
    return filled[0] if len(filled) == 1 else None


def check_same_within(folders: Sequence[Folder], here: Folder, level: Level) -> None:
    """Notice folders that hold the same folders each: the inner ones are the classes, or the outer ones are.

    Days, numbers and sides within a class keep its pictures in order, and are no classes; if the folders around numbers
    are called as no class is either (8863/0 and 9000/0, p002/c0 and p012/c0, siteA/0 and siteB/0), it cannot be told.

    Raises: DataError: it cannot be told.
    """
    common = _same_within(folders)
    if not common:
        return
    numbered = are_a_row([folder.base for folder in folders]) and not any(map(keeps_order, common))
    if all(only_order(name) for name in common) and not numbered:
        return
    within = innermost(folders[0]).filled()
    further = f"those within them: {level.last}; " if any(map(_classes_in, within)) else ""
    raise DataError(
        f"{_listed(folders)} hold the same folders ({', '.join(map(one_line, sorted(common)[:5]))}): "
        "which are the classes?",
        where=here.path,
        hint=f"the inner ones: {level.inner(within)}; {further}the outer ones: {level.outer}; "
        f"or leave all but one out: --ignore {one_line(folders[-1].base)!r}",
    )


def _same_within(folders: Sequence[Folder]) -> set[str]:
    """The names of folders that each of these holds, if those are most of what they hold."""
    inner = [{label_of(one) for one in innermost(folder).filled()} for folder in folders]
    if len(folders) < 2 or any(folder.pictures for folder in folders) or not all(inner):
        return set()
    common = set.intersection(*inner)
    return set() if len(common) < 2 or len(common) < max(map(len, inner)) / 2 else common


def check_groups(folders: Sequence[Folder], here: Folder, level: Level) -> tuple[str, ...]:
    """Notice folders that only hold the folders of classes: a/abbey and b/bar, colon_image_sets/colon_aca.

    What to say where the outer ones are classes by all that is known, and the inner ones might be meant: of genus and
    species.

    Raises: DataError: the outer ones are called as no class is; or there is one, beside folders of loose pictures.
    """
    if len(folders) < 2:
        return ()
    said = tuple(filter(None, (_said_of_inner(folders, level), _said_of_beside(folders))))
    by_letter = _by_letter(folders)
    groups = {folder: within for folder in folders if (within := folder.filled() if by_letter else _classes_in(folder))}
    others = [folder for folder in folders if folder not in groups]
    inner = [one for within in groups.values() for one in within]
    if not inner:
        return said
    alone = len(groups) == 1 and len(inner) > len(others) and not any(folder.filled() for folder in others)
    if not (by_letter or alone or any(says_no_class(folder.base) for folder in groups)):
        taken = "is taken as a class" if len(groups) == 1 else "are taken as classes"
        instead = f"{_listed(groups)} {taken}, and not the folders within ({_listed(inner)}): {level.inner(inner)}"
        return (*said, instead)
    deep = level.rest if by_letter and any(one.filled() for one in inner) else ""
    leave_out = f"; or leave out what is no part of it: --ignore {one_line(others[0].base)!r}" if others else ""
    raise DataError(
        f"{_listed(groups)} {'holds' if len(groups) == 1 else 'hold'} folders of other names ({_listed(inner)}): "
        "which are the classes?",
        where=here.path,
        hint=f"the inner ones: {deep or level.inner(inner)}; the outer ones: {level.outer}{leave_out}",
    )


def _said_of_inner(folders: Sequence[Folder], level: Level) -> str:
    """What to say of folders of one patient each, or one video, within classes or taken as such; and of folders of the
    same counted names in all of them (character01), which may be classes, too; "" of none."""
    if all(ONE_OF_MANY.fullmatch(folder.base) for folder in folders):
        return (
            f"{_listed(folders)} are taken as classes, and are called as single patients, videos or places are: "
            "--label-pattern or a table says what the pictures show"
        )
    inner_of = {folder: innermost(folder).filled() for folder in folders}
    inner = [one for within in inner_of.values() for one in within]
    same = _same_within(folders)
    if same and not any(keeps_order(name) or not re.search(r"[^\W\d_]", name) for name in same):
        within = innermost(folders[0]).filled()
        instead = f"not the folders within ({_listed(within)}): {level.inner(within)}"
        apart = f"{level.both(within)} if those of one name are a class each"
        return f"{_listed(folders)} are taken as classes, and {instead}; {apart}"
    if not inner or not all(_are_single(folder, within) for folder, within in inner_of.items()):
        return ""
    return (
        f"the folders within classes ({_listed(inner)}) may say which pictures belong together: "
        f"{level.groups(inner[0])} keeps them on one side of a split"
    )


def _said_of_beside(folders: Sequence[Folder]) -> str:
    """What to say of a folder among classes that is called as no class is: masks, thumbnails; "" of none."""
    found = next((folder for folder in folders if folder.base.lower() in NEVER_A_CLASS), None)
    if found is None:
        return ""
    name = one_line(repr(found.base))
    return f"{name} is taken as a class, and is called as masks and the like are: --ignore {name} leaves it out"


def _by_letter(folders: Sequence[Folder]) -> bool:
    """Whether folders sort others by the letter that they begin with, as those of SUN397 and Places365."""
    inner = [(folder.base.lower(), one.base.lower()) for folder in folders for one in folder.filled()]
    return (
        len(inner) > len(folders)
        and all(len(folder.base) == 1 and folder.filled() and not folder.pictures for folder in folders)
        and all(name.startswith(letter) and not only_order(name) for letter, name in inner)
    )


def _classes_in(folder: Folder) -> tuple[Folder, ...]:
    """The folders in one that may be classes, as far as their names tell: words, and no dates, sides or numbers."""
    within = innermost(folder)
    named = [one for one in within.filled() if not only_order(one.base) and is_a_word(one.base)]
    if within.pictures or len(named) < 2 or _are_single(folder, within.filled()):
        return ()
    return within.filled()


def _are_single(folder: Folder, inner: Sequence[Folder]) -> bool:
    """Whether folders within a class are called as single patients or videos are, each of them."""
    return all(ONE_OF_MANY.fullmatch(one.base) or _counts_up(folder, one) for one in inner)


def _counts_up(folder: Folder, inner: Folder) -> bool:
    """Whether a folder within a class is called as one of its videos or sessions is: Basketball/v_Basketball_g01."""
    before, found, after = inner.base.casefold().partition(folder.base.casefold())
    rest = before + after
    return bool(found) and re.search(r"\d", rest) is not None and re.search(r"[^\W\d_]{3}", rest) is None


def check_links(here: Folder, where: Path) -> None:
    """Notice a folder of pictures that is reached in two ways. where: the place that was looked through.

    Raises: DataError: one is, with the option that leaves the link out.
    """
    seen = dict[tuple[int, int], Folder]()
    for folder in here.walk():
        if not folder.count:
            continue
        status = folder.path.stat()
        other = seen.setdefault((status.st_dev, status.st_ino), folder)
        if status.st_ino and other is not folder:
            link, real = (other, folder) if other.path.is_symlink() else (folder, other)
            raise DataError(
                f"{one_line(link.name)!r} and {one_line(real.name)!r} are one folder under two names",
                where=where,
                hint=f"leave one out: --ignore {one_line(link.name)!r}",
            )


def check_copies(folders: Sequence[Folder], here: Folder) -> None:
    """Notice a folder beside classes that holds folders of their names: the data set packed into itself, or a copy.

    Raises: DataError: there is one.
    """
    names = {label_of(folder) for folder in folders}
    for folder in folders:
        others = names - {label_of(folder)}
        shared = {label_of(inner) for inner in folder.filled()} & others
        if len(shared) > 1 or (shared and shared == others):
            raise DataError(
                f"{one_line(folder.base)!r} holds folders of the same names as those beside it "
                f"({', '.join(map(one_line, sorted(shared)[:5]))}): is it a class, or a copy?",
                where=here.path,
                hint=f"a copy: --ignore {one_line(folder.name)!r}; a class: --label-pattern with a / in it",
            )


def _listed(folders: Iterable[Folder]) -> str:
    return first_few([folder.base for folder in folders], 5)

"""Folders within folders: which of two levels are the classes, and which only keep pictures in order."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from frostline.data.split_names import splits_of, words_of
from frostline.data.tree import Folder, readable
from frostline.errors import DataError, one_line

PICTURES = frozenset(
    (
        *("images", "image", "imgs", "img", "pictures", "pics", "photos", "jpg", "jpeg", "jpegimages", "png", "rgb"),
        *("bmp", "tif", "tiff"),
        *("data", "raw", "input", "inputs", "original", "originals"),
    )
)
"""What a folder is called that holds the pictures themselves."""

BESIDE = frozenset(
    (
        *(
            "masks",
            "mask",
            "msk",
            "labels",
            "label",
            "annotations",
            "annotation",
            "segmentation",
            "segmentations",
            "seg",
        ),
        *("ground_truth", "groundtruth", "gt", "trimaps", "depth", "xmls", "bboxes", "thumbnails", "thumbs"),
        *("heatmaps", "figures", "docs", "extra", "explained", "crops", "overlays"),
        *("segmentationclass", "segmentationobject"),
    )
)
"""What a folder is called that lies beside pictures and holds none of them."""

_NEVER_A_CLASS = BESIDE - {"mask", "seg", "depth", "extra", "crops"}

_PART = re.compile(r"(?:fold|part|batch|chunk|cv|split)[ _-]?\d+", re.IGNORECASE)
_IN_PARTS = frozenset(
    ("images", "image", "imgs", "img", "pictures", "pics", "photos", "jpg", "part", "parts", "data", "batch")
)
_WORD_OF_ORDER = (
    r"(?:mon|tue|tues|wed|wednes|thu|thurs|fri|sat|satur|sun)(?:day)?"
    r"|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?|left|right|front|back|top|side|rear|day|night|morning|evening|indoors?|outdoors?"
)
_ALWAYS_ORDER = re.compile(
    rf"(?:{_WORD_OF_ORDER}|week|month|year|fold|part|batch|chunk|cam|camera|view|frame|shot|take|seq|sequence|session|run"
    r"|trial|scan|slice|slide|video|clip|img|image|photo|pic|patch|tile|patient|subject|person|driver|user|case|site"
    r"|hospital)(?:[ _-]?\d+)?",
    re.IGNORECASE,
)
_ONE_OF_MANY = re.compile(
    r"(?:patient|subject|participant|person|animal|driver|user|case|video|clip|slide|session|sequence|seq|site|hospital"
    r"|camera|cam)[ _-]?\d+(?:[ _-].*)?",
    re.IGNORECASE,
)
"""What a folder is called that holds the pictures of one patient, of one video, ..."""

_NUMBERED_CLASS = re.compile(r"(?:class|category|cat|label|grade|type|stage|level|score|kl|c)[ _-]?\d+", re.IGNORECASE)
_NUMBER = re.compile(r"[\d\W_]+")
_ORDER = re.compile(rf"[\d\W_]+|{_WORD_OF_ORDER}|[a-z]{{1,9}}[ _-]?\d+", re.IGNORECASE)
_VERSIONS = frozenset(
    (
        *("color", "colour", "colored", "gray", "grey", "grayscale", "greyscale", "segmented", "augmented", "cropped"),
        *("resized", "normalized", "normalised", "processed", "preprocessed", "enhanced", "denoised"),
    )
)
_NO_CLASS = frozenset(
    (
        *("image", "images", "imgs", "img", "picture", "pictures", "pics", "photo", "photos"),
        *("set", "sets", "dataset", "datasets", "data", "folder", "folders", "classes", "categories"),
    )
)
"""Words in the name of a folder that holds the folders of classes: colon_image_sets."""

_COUNTED = re.compile(r"\d+|(?<=[a-z])[A-Z]$|(?<=[a-z][ _-])[A-Za-z]$")


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

    def inner(self, classes: Sequence[Folder]) -> str:
        """The option by which folders below these are: the last ones of each path, or those at their depth."""
        if any(folder.filled() for folder in classes):
            above = f"{self.above}/".lstrip("/").count("/") + bool(self.splits) + self.between
            return self._pattern(classes[0].name.count("/") - above)
        return self.last

    @property
    def last(self) -> str:
        """The option by which the folder that each picture lies in is its class."""
        if self.splits:
            return f"--label-pattern '{self._start()}(?:.*/)?(?P<label>[^/]+)/[^/]+$'"
        return "--label-pattern '([^/]+)/[^/]+$'"

    def groups(self, inner: Folder) -> str:
        """The option by which these folders are the classes, and a folder below and all like it are groups."""
        above = f"{self.above}/".lstrip("/").count("/") + bool(self.splits) + self.between
        return self._pattern(0, named=True)[:-1] + f"{'[^/]+/' * (inner.name.count('/') - above - 1)}(?P<group>[^/]+)/'"

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
    names = [folder.base for folder in folders]
    if len(names) < 2:
        return False
    if all(map(_PART.fullmatch, names)):
        return True
    alike = {re.sub(r"\d+", "#", name.lower()) for name in names}
    words = set(re.findall("[a-z]+", next(iter(alike))))
    return len(alike) == 1 and "#" in next(iter(alike)) and bool(words & _IN_PARTS)


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
    if all(map(_keeps_order, common)):
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
    numbered = _are_a_row([folder.base for folder in folders]) and not any(map(_keeps_order, common))
    if all(_only_order(name) for name in common) and not numbered:
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
    if not (by_letter or alone or any(map(_says_no_class, groups))):
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
    if all(_ONE_OF_MANY.fullmatch(folder.base) for folder in folders):
        return (
            f"{_listed(folders)} are taken as classes, and are called as single patients, videos or places are: "
            "--label-pattern or a table says what the pictures show"
        )
    inner = [one for folder in folders for one in innermost(folder).filled()]
    same = _same_within(folders)
    if same and not any(_keeps_order(name) or not re.search(r"[^\W\d_]", name) for name in same):
        within = innermost(folders[0]).filled()
        instead = f"not the folders within ({_listed(within)}): {level.inner(within)}"
        return f"{_listed(folders)} are taken as classes, and {instead}"
    if not inner or not all(_ONE_OF_MANY.fullmatch(one.base) for one in inner):
        return ""
    return (
        f"the folders within classes ({_listed(inner)}) may say which pictures belong together: "
        f"{level.groups(inner[0])} keeps them on one side of a split"
    )


def _said_of_beside(folders: Sequence[Folder]) -> str:
    """What to say of a folder among classes that is called as no class is: masks, thumbnails; "" of none."""
    found = next((folder for folder in folders if folder.base.lower() in _NEVER_A_CLASS), None)
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
        and all(name.startswith(letter) and not _only_order(name) for letter, name in inner)
    )


def _classes_in(folder: Folder) -> tuple[Folder, ...]:
    """The folders in one that may be classes, as far as their names tell: words, and no dates, sides or numbers."""
    within = innermost(folder)
    named = [one for one in within.filled() if not _only_order(one.base) and _is_a_word(one.base)]
    return within.filled() if not within.pictures and len(named) > 1 else ()


def _is_a_word(name: str) -> bool:
    """Whether more of it is letters than digits: "n02085620-Chihuahua", and not "22549AB"."""
    return sum(map(str.isalpha, name)) > sum(map(str.isdecimal, name))


def _says_no_class(folder: Folder) -> bool:
    return folder.base.lower() in PICTURES or bool(_NO_CLASS.intersection(words_of(folder.base)))


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


def _only_order(name: str) -> bool:
    if name.lower() in PICTURES | BESIDE:
        return True
    return _ORDER.fullmatch(name) is not None and _NUMBERED_CLASS.fullmatch(name) is None


def _keeps_order(name: str) -> bool:
    """Whether a name says that it is of no class; a number, or a letter with one, may be a class's, too."""
    return name.lower() in PICTURES | BESIDE or _ALWAYS_ORDER.fullmatch(name) is not None


def _are_a_row(names: Sequence[str]) -> bool:
    """Whether names count up patients, sites or sizes, or say what was done to the pictures: each alone is no class."""
    if all(_only_order(name) or name.lower() in _VERSIONS for name in names):
        return True
    alike = {_COUNTED.sub("#", name) for name in names}
    return len(alike) == 1 and "#" in next(iter(alike)) and not any(map(_NUMBERED_CLASS.fullmatch, names))


def _listed(folders: Iterable[Folder]) -> str:
    names = [one_line(folder.base) for folder in folders]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

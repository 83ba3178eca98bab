"""Which column of a table is what: as a person says, by its name, or by what stands in it; two rivals are refused."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline.data.missing import MISSING
from frostline.data.places.place_options import PlaceOptions, option
from frostline.data.places.tree import ends_as_picture
from frostline.data.split_names import split_of, words_of
from frostline.errors import DataError, first_few, one_line

Record = tuple[int, Sequence[Any]]

COLUMNS = {
    "path": (
        *("path", "image", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image_name"),
        *("img_path", "img", "photo", "picture", "url", "image_url", "image_index", "image_file", "img_name"),
        *("image_id", "id_code", "img_id", "id"),
        *("图片", "图像", "图片名", "图片路径", "图像路径", "文件", "文件名", "文件路径", "路径"),
        *("图片名称", "图像名", "图像名称", "文件名称"),
    ),
    "label": (
        *("label", "class", "target", "labels", "class_name", "category", "species", "breed", "diagnosis", "dx"),
        *("finding labels", "tags", "category_name", "label_name", "ground_truth", "choice"),
        *("class_id", "label_id", "category_id", "class_index", "class_idx"),
        *("标签", "类别", "分类", "类名", "种类", "标签名称", "类别名称", "标注"),
    ),
    "split": (
        *("split", "set", "subset", "usage", "partition", "dataset", "data set", "phase", "data_split"),
        *("数据集", "划分"),
    ),
    "group": (
        *("group", "group_id", "patient_id", "patient", "subject", "subject_id", "lesion_id", "case_id"),
        *("study_id", "fold", "kfold", "participant_id", "animal_id", "individual_id", "individual", "person_id"),
        *("specimen_id", "slide_id", "video_id", "sequence_id", "seq_id"),
        *("患者", "患者编号", "患者id", "患者号", "病人", "病人编号", "病人id", "病例", "病例号", "病例编号", "分组"),
        *("住院号", "受试者", "受试者编号"),
    ),
}
_OPTIONS = {"path": "image_column", "label": "label_column", "split": "split_column", "group": "group"}
_IDS = frozenset(("imageid", "idcode", "imgid", "id"))
_SECOND = frozenset(  # of labels only if none of the others is there
    ("labelname", "categoryname", "groundtruth", "classid", "labelid", "categoryid", "classindex", "classidx", "choice")
)
_MAYBE_GROUPS = frozenset(
    (
        *("camera", "cameraid", "location", "locationid", "site", "siteid", "device", "deviceid", "scanner"),
        *("institution", "center", "centre", "session", "sessionid", "date", "day", "plot", "plotid", "farm", "video"),
        *("hospital", "slide", "person", "specimen", "scene", "sceneid", "user", "userid", "photographer", "observer"),
        *("相机", "摄像头", "设备", "设备编号", "医院", "地点", "日期", "拍摄日期", "场景", "视频", "姓名", "用户"),
    )
)
_WHETHER = frozenset(("confidence", "labelconfidence", "置信度", "present", "presence", "ispresent"))
_USERS = frozenset(("user", "userid", "用户"))
_PARTS = frozenset(("fold", "kfold", "group", "groupid", "分组"))
_FLAG = re.compile(r"(?:(?:is|in)[_ ]?|是否(?:为|在|属于)?)?(?P<split>.+)", re.IGNORECASE)
_NUMBERED = frozenset(("split", "partition", "subset", "set", "datasplit", "划分"))
YES, NO = frozenset(("1", "1.0", "true", "yes", "是")), frozenset(("0", "0.0", "false", "no", "否"))
_NO_LABEL = re.compile(
    r"unnamed\d*|index|idx|width|height|depth|size|age|score|confidence|time|timestamp|year|weight|b?box|boundingbox"
    r"|序号|编号|索引|宽度?|高度?|大小|尺寸|年龄|时间|得分|置信度"
)
_PIXELS = re.compile(r"pixels|pixel\d+|\d+x\d+")
_BESIDE = frozenset(  # in the names of files that are another picture than the one that is labelled, or are renamed
    (
        *("mask", "masks", "seg", "segmentation", "annotation", "heatmap", "contour", "gt", "thumb", "thumbnail"),
        *("original", "orig", "old", "source", "preview", "icon", "overlay"),
    )
)
_MANY = 28  # columns of pixels that are a table of them
_MOST_SHOWN = 40  # columns that a message lists
_SAMPLED = 200  # rows by which columns are known by what stands in them


@dataclass(frozen=True)
class Columns:
    """where: the place of each kind of column. split: what a cell of the split's column says, None if that is nothing.

    split_said: what its cells mean, where they are no words. warnings: what a person may want to say of the others.
    """

    where: Mapping[str, int]
    split: Callable[[str], str | None] = split_of
    split_said: str = ""
    warnings: tuple[str, ...] = ()


def plain(column: str) -> str:
    """A name as it is compared: "Patient ID", "patient_id" and "PatientId" are one."""
    return re.sub(r"[\W_]+", "", column).casefold()


_BY_NAME = {plain(name): kind for kind, names in COLUMNS.items() for name in names}


def known(column: str) -> str | None:
    """Which of ``COLUMNS`` a column is, by its name."""
    return _BY_NAME.get(plain(column))


def is_no_label(column: str) -> bool:
    """Whether a column is called as what is no label: an index, a size, an age."""
    return _NO_LABEL.fullmatch(plain(column)) is not None


def says_whether(column: str) -> bool:
    """Whether a column is called as what says how sure it is that the label is there."""
    return plain(column) in _WHETHER


def is_of_one(column: str) -> bool:
    """Whether a column is called as a patient, a user or another one of many is, and not as a part of the data."""
    name = plain(column)
    return name in _USERS or (known(column) == "group" and name not in _PARTS)


def may_be_group(column: str) -> bool:
    """Whether a column is called as what pictures have in common is: a camera, a day."""
    return plain(column) in _MAYBE_GROUPS


def chosen(
    header: Sequence[str], records: Sequence[Record], place: Path | str, how: PlaceOptions, needed: Sequence[str]
) -> Columns:
    """Which column is what.

    Raises: DataError: one that is needed or was named is not there; two may be it.
    """
    where: dict[str, int] = {}
    for kind, field in _OPTIONS.items():
        if kind == "label" and kind not in needed:
            continue
        if (index := _named(header, place, kind, field, how)) is not None:
            where[kind] = index
    cells = _Cells(header, records, how)
    if how.image_column is None:
        _take_pictures(where, cells, header, place)
    reads: Callable[[str], str | None] = split_of
    numbered = False
    if "split" not in where and how.split_column is None:
        _take_split(where, cells, header, place, "label" in needed)
    if "split" in where and (split := flag_of(header[where["split"]])) and cells.yes_or_no(where["split"]):
        reads = _flagged(split)
    elif numbered := "split" in where and cells.numbered_splits(where["split"]):
        reads = _numbered
    if "label" in needed and "label" not in where:
        left = [n for n in cells.free(where) if known(header[n]) is None and not is_no_label(header[n])]
        left = [n for n in left if not cells.all_pictures(n) and not (flag_of(header[n]) and cells.yes_or_no(n))]
        if len(left) == 1 and cells.may_be_labels(left[0]):
            where["label"] = left[0]
    if missing := next((kind for kind in needed if kind not in where), None):
        if missing == "path":
            _refuse_pixels(header, records, place)
        raise DataError(
            f"there is no column {missing!r}",
            where=place,
            hint=f"name it with {option(_OPTIONS[missing])}, or call it {' or '.join(COLUMNS[missing][:4])}; "
            f"{_there(header)}",
        )
    groups = [] if "group" in where or how.group else [n for n in cells.free(where) if cells.may_be_groups(n)]
    warnings = [
        f"the column {one_line(header[n])!r} may say which pictures belong together: "
        f"--group {one_line(header[n])!r} keeps them on one side of a split, --group none says they do not"
        for n in groups
    ]
    return Columns(where, reads, "0 train, 1 val, 2 test" if numbered else "", tuple(warnings))


def _refuse_pixels(header: Sequence[str], records: Sequence[Record], place: Path | str) -> None:
    """Raises: DataError: the table is of pixels, a number each in many columns, or all in one."""
    named = [n for n, name in enumerate(header) if _PIXELS.fullmatch(plain(name))]
    bare = len(header) > _MANY and all(name.strip().isdecimal() for name in header)  # a label and pixels, no header
    if len(named) == 1:
        count = max((len(str(values[named[0]]).split()) for _, values in records if len(values) > named[0]), default=0)
        pixels = f"numpy.array([row.split() for row in t[{header[named[0]]!r}]], 'u1')"
    elif len(named) >= _MANY or bare:
        count = len(named) or len(header) - 1
        pixels = f"t.iloc[:, {named[0] if named else 1}:{named[-1] + 1 if named else len(header)}].to_numpy('u1')"
    else:
        return
    split = next((name for name in header if known(name) == "split"), "")
    parted = f"; {one_line(split)!r} says the splits: train_images=…, train_labels=…, test_images=…" * bool(split)
    labels = [name for n, name in enumerate(header) if n not in named]
    label = next((name for name in labels if known(name) == "label"), labels[0] if labels else "…")
    sides = ((math.isqrt(count // bands), bands) for bands in (1, 3))
    form = next(
        (f"{side}, {side}{', 3' * (bands > 1)}" for side, bands in sides if side * side * bands == count),
        "height, width",
    )
    raise DataError(
        "the pixels themselves stand in the table, and nothing says how they lie",
        where=place,
        hint=f"t = pandas.read_csv(FILE{', header=None' * bare}), and numpy.savez(file, images={pixels}"
        f".reshape(-1, {form}), labels=list(t[{0 if bare else one_line(label)!r}])) is read{parted}",
    )


def _named(header: Sequence[str], place: Path | str, kind: str, field: str, how: PlaceOptions) -> int | None:
    """The place of a column that a person names, or that is called as such columns are; None if there is none."""
    said = getattr(how, field)
    if said == "none" and kind in ("split", "group") and said not in header:
        return None
    if said is not None:
        if said not in header:
            what = "there is no column " + one_line(repr(said)) + (" to group by" if kind == "group" else "")
            raise DataError(what, where=place, hint=_there(header))
        if header.count(said) > 1:
            raise DataError(f"several columns are called {one_line(repr(said))}", where=place, hint="rename them")
        return header.index(said)
    taken = [getattr(how, other) for other in _OPTIONS.values()]
    found = [n for n, name in enumerate(header) if known(name) == kind and name not in taken]
    weak = {"path": _IDS, "label": _SECOND}.get(kind, frozenset())
    found = [n for n in found if plain(header[n]) not in weak] or found
    where: dict[str, int] = {}
    _take(where, kind, found, header, place)
    return where.get(kind)


def _take(where: dict[str, int], kind: str, found: Sequence[int], header: Sequence[str], place: Path | str) -> None:
    """The one column of a kind; several are refused."""
    if len(found) > 1:
        rivals = ", ".join(header[n] for n in found)
        raise DataError(
            f"several columns may be the {kind}: {one_line(rivals)}",
            where=place,
            hint=f"{option(_OPTIONS[kind])} {one_line(header[found[0]])!r} says which; {_there(header)}",
        )
    if found:
        where[kind] = found[0]


def _take_pictures(where: dict[str, int], cells: "_Cells", header: Sequence[str], place: Path | str) -> None:
    """The column of names of picture files, where none is called as such are, or only as a number of the row may be.

    Raises: DataError: two may be it: one of addresses is, and one of files.
    """
    found = [n for n in cells.free(where) if cells.all_pictures(n)]
    if (weak := where.get("path")) is not None:
        far = cells.any_url(weak)
        if not far and (plain(header[weak]) not in _IDS or cells.all_pictures(weak)):
            return
        found = [n for n in found if not _BESIDE & set(words_of(header[n])) and not cells.any_url(n)]
        if far:
            _take({}, "path", [*found, weak], header, place)
            return
        if not found or (len(found) > 1 and not cells.whole_numbers(weak)):
            return
        del where["path"]
    _take(where, "path", found, header, place)


def _take_split(
    where: dict[str, int], cells: "_Cells", header: Sequence[str], place: Path | str, labelled: bool
) -> None:
    """The column of names of splits, or the one of yes and no that is called is_valid.

    Raises: DataError: one of yes and no may be the split or not: most rows say yes, or it is called train alone.
    """
    free = [n for n in cells.free(where) if known(header[n]) is None]
    splits = [n for n in free if cells.all_splits(n)]
    flags = [n for n in free if flag_of(header[n]) and cells.yes_or_no(n)]
    bare = [n for n in flags if split_of(header[n]) is not None]
    doubtful = bare if labelled and "label" in where and not splits else []
    if not labelled and [n for n in free if cells.yes_or_no(n)] == bare:
        bare = []  # beside folders of classes, and no other column says yes or no: it is no class
    _take(where, "split", splits or doubtful[:1] or [n for n in flags if n not in bare], header, place)
    if splits or "split" not in where:
        return
    name, share = header[where["split"]], cells.share_of_yes(where["split"])
    if doubtful or (share > 0.5 and flag_of(name) != "train"):
        raise DataError(
            f"{one_line(name)!r} says yes of {share:.0%} of the rows: is it a split?",
            where=place,
            hint=f"--split-column {one_line(name)!r} if it is, --split-column none if not",
        )


class _Cells:
    """What stands in the columns of a table."""

    def __init__(self, header: Sequence[str], records: Sequence[Record], how: PlaceOptions) -> None:
        self._header, self._records = header, records
        self._sampled = records[:: max(1, len(records) // _SAMPLED)]
        self._said = {getattr(how, field) for field in _OPTIONS.values()}

    def free(self, where: Mapping[str, int]) -> list[int]:
        """Columns that have a name and are nothing yet."""
        names = enumerate(self._header)
        return [n for n, name in names if name.strip() and n not in where.values() and name not in self._said]

    def _texts(self, index: int, records: Sequence[Record]) -> set[str]:
        cells = (values[index] for _, values in records if len(values) > index)
        return {str(cell).strip() for cell in cells if isinstance(cell, str | int | float)} - {""}

    def all_pictures(self, index: int) -> bool:
        """Whether its cells end as names of picture files do."""
        texts = self._texts(index, self._sampled)
        return bool(texts) and all(map(ends_as_picture, texts))

    def any_url(self, index: int) -> bool:
        """Whether a cell is an address rather than the name of a file."""
        return any("://" in text for text in self._texts(index, self._sampled))

    def whole_numbers(self, index: int) -> bool:
        """Whether its cells are whole numbers, as those of rows are."""
        return all(text.removesuffix(".0").isdecimal() for text in self._texts(index, self._sampled))

    def all_splits(self, index: int) -> bool:
        """Whether its cells name splits, more than one."""
        sampled = self._texts(index, self._sampled)
        if not sampled or not all(map(split_of, sampled)):
            return False
        texts = self._texts(index, self._records)
        return all(map(split_of, texts)) and len(set(map(split_of, texts))) > 1

    def yes_or_no(self, index: int) -> bool:
        """Whether its cells say yes or no, and both."""
        if not {text.lower() for text in self._texts(index, self._sampled)} <= YES | NO:
            return False
        texts = {text.lower() for text in self._texts(index, self._records)}
        return texts <= YES | NO and bool(texts & YES) and bool(texts & NO)

    def share_of_yes(self, index: int) -> float:
        """The share of rows in which it says yes."""
        cells = [str(values[index]).strip().lower() in YES for _, values in self._records if len(values) > index]
        return sum(cells) / max(1, len(cells))

    def numbered_splits(self, index: int) -> bool:
        """Whether its cells are 0, 1 and 2, most of them 0, as CelebA numbers its splits; folds are alike in size."""
        named = plain(self._header[index]) in _NUMBERED
        if not named or self._texts(index, self._records) != {"0", "1", "2"}:
            return False
        zeros = sum(str(values[index]).strip() == "0" for _, values in self._records if len(values) > index)
        return zeros >= len(self._records) / 2

    def may_be_labels(self, index: int) -> bool:
        """Whether values come again, and stand in (nearly) every row."""
        texts = self._texts(index, self._sampled)
        return 1 < len(texts) <= 0.5 * len(self._sampled)

    def may_be_groups(self, index: int) -> bool:
        """Whether it is called as what pictures have in common is, and values come again."""
        if not may_be_group(self._header[index]):
            return False
        texts = self._texts(index, self._records) - MISSING
        return 1 < len(texts) < len(self._records)


def flag_of(column: str) -> str | None:
    """The split of which a column says yes or no by its name: is_valid, in_test, train."""
    found = _FLAG.fullmatch(column.strip())
    return None if found is None else split_of(found["split"])


def _flagged(split: str) -> Callable[[str], str | None]:
    other = "test" if split == "train" else "train"
    return lambda text: split if text.lower() in YES else other


def _numbered(text: str) -> str | None:
    return {"0": "train", "1": "val", "2": "test"}.get(text)


def _there(header: Sequence[str]) -> str:
    return f"there are: {first_few(list(filter(None, header)), _MOST_SHOWN) or 'none'}"

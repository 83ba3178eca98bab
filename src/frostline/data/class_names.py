"""What names of classes may mean beside what they say: one class in two spellings, or none."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from frostline.errors import one_line

UNLABELLED = frozenset(("unlabeled", "unlabelled", "unlabeled_images", "unlabelled_images", "unsup", "unsorted"))
_PERHAPS_NONE = UNLABELLED | {
    *("none", "nan", "null", "na", "n.a.", "?", "-", "--", ".", "missing", "undefined", "todo", "tbd"),
    *("无", "空", "未知", "未标注", "未标记", "未分类", "待定", "待标注"),
    *("new folder", "untitled folder", "neuer ordner", "nouveau dossier", "新建文件夹", "未命名文件夹"),
}
_COPY = re.compile(
    r"(?P<of>.+?)(?: - (?:copy|kopie|copie|副本)(?: \(\d+\))?| copy(?: \d+)?| \(copy\)| ?\(\d+\))", re.IGNORECASE
)
_DATE = re.compile(
    r"\d{1,2}-(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|\d{1,2}月\d{1,2}日|\d{4}[-/]\d{1,2}[-/]\d{1,2}",
    re.IGNORECASE,
)
_UNSEEN = re.compile("[\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]")  # also what makes an emoji of a sign
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d{1,6})?")
_LOOKS_LATIN = str.maketrans("авеһіјкмнорѕстухԁԛԝ", "abehijkmhopsctyxdqw")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\W_]+(?=\d)")


def alike(names: Iterable[str]) -> list[list[str]]:
    """Names that differ only in case, spaces, punctuation, leading zeros or Unicode form.

    >>> alike(["Cat", "cat ", "dog", "1", "01", "-1", "C", "C++", "3-9", "39"])
    [['Cat', 'cat '], ['1', '01']]
    """
    spellings: dict[str, list[str]] = {}
    for name in names:
        spellings.setdefault(_folded(name), []).append(name)
    return [found for found in spellings.values() if len(found) > 1]


def doubtful(counts: Mapping[str, int]) -> Iterator[str]:
    """A warning for names of one class in two spellings, and for each that may say that there is none.

    counts: of pictures, by class.
    """
    if shown := _shown_alike(counts):
        yield f"class names that are nearly the same: {shown}: if they mean one class, write them in one way"
    if dated := next(filter(_DATE.fullmatch, counts), None):
        yield f"the class {one_line(repr(dated))} ({counts[dated]:,}) may be what a spreadsheet made of 1-3 or 3/1"
    for name in counts:
        if (copied := _COPY.fullmatch(name)) and copied["of"] in counts:
            yield f"the class {one_line(repr(name))} ({counts[name]:,}) may be a copy of {one_line(repr(copied['of']))}"
        if name.strip().casefold() in _PERHAPS_NONE:
            yield (
                f"the class {one_line(repr(name))} ({counts[name]:,}) may mean that there is no label: "
                "if so, remove those rows"
            )


def doubtful_groups(counts: Mapping[str, int]) -> Iterator[str]:
    """A warning for one patient, video, ... in two spellings, whose pictures a split would part.

    counts: of pictures, by group.
    """
    if shown := _shown_alike(counts):
        yield f"groups that are nearly the same: {shown}: a split may part them; if they mean one, write it in one way"


def _shown_alike(counts: Mapping[str, int]) -> str:
    return one_line("; ".join(" and ".join(told_apart(names, counts)) for names in alike(counts)[:3]))


def told_apart(names: Sequence[str], counts: Mapping[str, int]) -> Iterator[str]:
    """Names with their counts, by the codes of their letters where these look the same."""
    looks = {_UNSEEN.sub("", name).casefold().translate(_LOOKS_LATIN) for name in names}
    form = ascii if len(looks) < len({name.casefold() for name in names}) else repr
    return (f"{form(name)} ({counts[name]:,})" for name in names)


def _folded(name: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip().replace("\u2212", "-")
    text = _UNSEEN.sub("", text) or text
    if _NUMBER.fullmatch(text):
        return str(Decimal(text).normalize())
    if len(text) > 2:  # а and a may be letters to be told apart
        text = text.translate(_LOOKS_LATIN)
    parted = _BETWEEN_DIGITS.sub("\0", text)  # 3-9 is not 39
    kept = "".join(c for c in parted if c.isalnum() or c in "+#\0" or unicodedata.category(c)[0] == "M")
    return kept or text or name

"""In which encoding a text is that people bring: UTF-8, UTF-16 as spreadsheets export it, GB18030 where it surely is.

Nothing in such a file says it, and a wrong one would give classes names that nobody wrote.
"""

import codecs
import re
from pathlib import Path

from frostline.errors import one_line

CHINESE = "gb18030"
_LOOKED_AT = 16 << 20
_BEGINNING = 4096
_ZEROS = 0.25  # of its half, so that one that strayed into UTF-8 is none
_FEW = 6  # letters of which each has to be so
_IN_A_WORD = re.compile(r"[A-Za-z][^\x00-\x7f][A-Za-z]")
_SIGNS = range(0xA1, 0xA4)  # the lead bytes of punctuation and of letters of full width
_FIRST, _LAST = 0xB0, 0xD7  # those of the 3,755 characters that GB 2312 has first
_LAST_KOREAN = 0xC8  # of the syllables that Korean's encoding has at the same place
_KOREAN = frozenset(
    "이다는을의에가고하지기한사도로은인자리대어시스아그나전정서일해보부장라수니게제들주상동구원성경으있조"
    "비선공국마여신모과세안유연금오무소문방화만미중관우생개발물식양학회계진단실파출치요데되분적당배심거러"
    "호산차영임업통와강결트면히레포드르노토크프카타테코피바버너더머저초추꽃닭말곰새쥐색빨간란검흰집길눈별"
    "달손귀입"
)


def encoding_of(place: Path) -> str:
    """UTF-32 and UTF-16 by the mark at its start, UTF-16 by zeros in every other place too, GB18030 if its beginning
    surely is, else UTF-8.

    Raises: OSError: it cannot be read.
    """
    with place.open("rb") as source:
        head = source.read(_LOOKED_AT)
    if head[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        return "utf-32"
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    halves = head[0:_BEGINNING:2], head[1:_BEGINNING:2]
    first, second = (half.count(0) / max(1, len(half)) for half in halves)
    if abs(first - second) > _ZEROS:
        return "utf-16-be" if first > second else "utf-16-le"
    return CHINESE if surely_chinese(head) else "utf-8-sig"


def is_spreadsheet(place: Path) -> bool:
    """Whether a file begins as those of spreadsheets do, whatever it is called.

    Raises: OSError: it cannot be read.
    """
    with place.open("rb") as source:
        return source.read(4) in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def said(place: Path, encoding: str) -> tuple[str, ...]:
    """What to say of a text that was not read as Unicode. encoding: as ``encoding_of`` has it."""
    if encoding != CHINESE:
        return ()
    name = one_line(place.name)
    return (f"{name} is not in UTF-8 and was read as GB18030: if its words look wrong, save it in UTF-8",)


def surely_chinese(text: bytes) -> bool:
    """Whether a text is no UTF-8 (its end may be cut), and is GB18030, of which GBK and GB 2312 are parts.

    Two thirds of its letters beyond ASCII are among those that GB 2312 has first, and none stands alone within a Latin
    word: what western, Cyrillic, Japanese and Taiwanese bytes give is not so. Korean is known by its common syllables.
    """
    if _decoded(text, "utf-8") is not None or (letters := _decoded(text, CHINESE)) is None:
        return False
    codes = [code for letter in set(letters) if len(code := letter.encode(CHINESE)) > 1 and code[0] not in _SIGNS]
    first = [code for code in codes if len(code) == 2 and _FIRST <= code[0] <= _LAST and code[1] >= _SIGNS[0]]
    if not first or len(first) < len(codes) * (2 / 3 if len(codes) > _FEW else 1) or _IN_A_WORD.search(letters):
        return False
    korean = [code.decode("cp949", "replace") for code in first if code[0] <= _LAST_KOREAN]
    return len(korean) < len(first) or sum(syllable in _KOREAN for syllable in korean) <= len(korean) / 3


def _decoded(text: bytes, encoding: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(text)
    except UnicodeDecodeError:
        return None

"""What pages and the command line say, in English and in Chinese: one table for all of them, ``zh.json``.

English is the key. A key with places in braces also stands for finished sentences, so that what a check or a run has
put together ("3 pictures are blurry") is found by it; a place whose name begins with "what" holds text that is
translated in turn. What has no translation stays English.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

from frostline.errors import PlanError

LANGUAGES = {"en": "en", "zh": "zh-CN"}
"""A language's name, and what HTML calls it."""

Say = Callable[..., str]
"""``say(english, **values)``: the sentence in a language with its values put in, as plain text."""

_PLACE = re.compile(r"\{(\w+)\}")


def checked(lang: str) -> str:
    """The language.

    Raises: PlanError: there is no such language.
    """
    if lang not in LANGUAGES:
        raise PlanError(f"there is no language {lang!r}", where="--lang", hint=f"choose {' or '.join(LANGUAGES)}")
    return lang


@cache
def chinese() -> Mapping[str, str]:
    """``zh.json``: each English sentence, and the Chinese one."""
    table: dict[str, str] = json.loads(resources.files(__package__).joinpath("zh.json").read_text("utf-8"))
    return table


def speaking(lang: str) -> Say:
    """``say(english, **values)`` in a language.

    Raises: PlanError: there is no such language.
    """
    translate = _in_chinese if checked(lang) == "zh" else str

    def say(english: str, **values: object) -> str:
        return _PLACE.sub(lambda m: str(values.get(m[1], m[0])), translate(english))

    return say


@cache
def _in_chinese(english: str) -> str:
    """A sentence, or several that are joined by semicolons."""
    if (known := _known(english)) is not None:
        return known
    parts = english.split("; ")
    said = [_part(part) for part in parts]
    return english if said == parts else "；".join(said)


def _part(english: str) -> str:
    """A sentence; of "notes.txt: not a picture" the reason alone may be known."""
    if (known := _known(english)) is not None:
        return known
    name, colon, reason = english.partition(": ")
    known = _known(reason) if colon else None
    return english if known is None else f"{name}：{known}"


def _known(english: str) -> str | None:
    exact = chinese().get(english) or chinese().get(english[:1].lower() + english[1:])
    if exact is not None:
        return exact
    for pattern, form in _patterns():
        if found := pattern.fullmatch(english):
            own = {
                name: _in_chinese(text) if name.startswith("what") else text for name, text in found.groupdict().items()
            }
            return _PLACE.sub(lambda m, own=own: own.get(m[1], m[0]), form)  # type: ignore[misc]
    return None


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Keys with places as patterns, those with the most letters of their own first; those without any are forms."""
    keys = sorted((key for key in chinese() if _PLACE.search(key)), key=lambda key: -len(_PLACE.sub("", key)))
    return tuple((_pattern(key), chinese()[key]) for key in keys if re.search(r"[a-z]|\{n\}", _PLACE.sub(_own, key)))


def _own(place: re.Match[str]) -> str:
    """What a place adds to a pattern by which it can be told: a number does."""
    return "{n}" if place[1] == "n" else ""


def _pattern(key: str) -> re.Pattern[str]:
    """Of "{n} pictures are blurry": "1 picture is blurry" is found by it too."""
    parts = _PLACE.split(key)  # text, name, text, name, ..., text
    written, seen = [_literal(parts[0], after="")], set[str]()
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        written.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_held_by(name)})")
        written.append(_literal(text, after=name))
        seen.add(name)
    return re.compile("".join(written), re.DOTALL)


def _held_by(name: str) -> str:
    """Sentences end at a semicolon, so only lists and text that is translated in turn hold one."""
    if name in ("n", "m"):
        return r"[\d,]+"
    return ".+?" if name.startswith("what") or name in ("names", "why") else "[^;]+?"


def _literal(text: str, *, after: str) -> str:
    """Text as a pattern; behind a number its noun may be of one, and its verb with it."""
    if after not in ("n", "m"):
        return re.escape(text)
    noun = re.match(r" [a-z]+s(?= |$|,)", text)
    if not noun:
        return re.escape(text)
    one = noun[0][:-2] if noun[0].endswith("sses") else noun[0][:-1]
    rest = re.escape(text[len(noun[0]) :])
    for many, single in (("are", "is"), ("have", "has")):
        rest = re.sub(rf"\\ {many}(?=\\ |$)", rf"\\ (?:{many}|{single})", rest, count=1)
    return f"{re.escape(one)}(?:es|s)?{rest}"

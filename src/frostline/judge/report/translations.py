"""What the report says, in English and in Chinese. English is the key; what has no translation stays English."""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources

from frostline.errors import PlanError

LANGUAGES = {"en": "en", "zh": "zh-CN"}
"""A language's name, and what HTML calls it."""


def checked(lang: str) -> str:
    """The language.

    Raises: PlanError: there is no such language.
    """
    if lang not in LANGUAGES:
        raise PlanError(
            f"the report is not written in {lang!r}", where="--lang", hint=f"choose {' or '.join(LANGUAGES)}"
        )
    return lang


@cache
def chinese() -> Mapping[str, str]:
    """``zh.json``: each English sentence of the page, and the Chinese one."""
    table: dict[str, str] = json.loads(resources.files(__package__).joinpath("zh.json").read_text("utf-8"))
    return table


def speaking(lang: str) -> Callable[..., str]:
    """``say(english, **values)`` in a language: the sentence with its values put in, as plain text.

    Raises: PlanError: there is no such language.
    """
    table = chinese() if checked(lang) == "zh" else {}

    def say(english: str, **values: object) -> str:
        sentence = table.get(english)
        if sentence is None and table:
            for pattern, form in _PATTERNS:
                if found := pattern.fullmatch(english):
                    return form.format(*found.groups())
        return re.sub(r"\{(\w+)\}", lambda m: str(values.get(m[1], m[0])), sentence or english)

    return say


# Sentences of the run with figures in them.
_PATTERNS = (
    (re.compile(r"measurably better: (.*)"), "确有提升：{0}"),
    (re.compile(r"not measurably better: (.*)"), "没有可测量的提升：{0}"),
    (
        re.compile(r"(\d+) of (\d+) val pictures are wrong: not even a perfect model would have measurably more right"),
        "验证集 {1} 张图片中只错 {0} 张：即使完美的模型也不会有可测量的提升",
    ),
    (re.compile(r"no better val loss for (\d+) epochs"), "验证损失连续 {0} 轮没有改善"),
)

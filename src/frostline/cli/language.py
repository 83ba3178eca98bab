"""The language of the command line: ``frostline --lang zh ...``, FROSTLINE_LANG, or the system's LANG."""

import os
import re
from collections.abc import Mapping
from typing import Any

current = "en"
"""Of this process; `cli.main` sets it."""


def chosen(words: list[str], environment: Mapping[str, str] | None = None) -> tuple[str, list[str]]:
    """The language, and the words without a ``--lang`` that stands before the command."""
    environment = os.environ if environment is None else environment
    if len(words) > 1 and words[0] == "--lang":
        return words[1], words[2:]
    if words and words[0].startswith("--lang="):
        return words[0].partition("=")[2], words[1:]
    for name in ("FROSTLINE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return ("zh" if environment[name].lower().startswith("zh") else "en"), words
    return "en", words


def sentence(text: str) -> str:
    """A finished sentence in the language of this process."""
    if current != "zh":
        return text
    from frostline.judge.pages.translations import speaking

    return speaking(current)(text)


def translated(command: Any, lang: str) -> Any:
    """A command with its help, and that of all below it, in a language; pages are written in it by default.

    Raises: PlanError: there is no such language.
    """
    from frostline.judge.pages.translations import checked, speaking

    if checked(lang) == "en":
        return command
    say = speaking(lang)

    def in_lines(text: str | None) -> str | None:
        """The first paragraph, and the examples as they are."""
        if not text:
            return text
        first, rest = re.match(r"(.*?)(\n\n.*)?$", text, re.DOTALL).groups()  # type: ignore[union-attr]
        examples = [line for line in (rest or "").splitlines() if "[dim]" in line]
        return "\n\n".join([say(" ".join(first.split())), *examples])

    command.help = in_lines(command.help)
    for option in command.params:
        if getattr(option, "help", None):
            option.help = say(option.help.replace("\\[", "[")).replace("[", "\\[")
        if option.name == "lang":
            option.default = lang
        if getattr(option, "rich_help_panel", None):
            option.rich_help_panel = say(option.rich_help_panel)
    for below in getattr(command, "commands", {}).values():
        translated(below, lang)
    return command

"""The language of the command line: ``frostline --lang zh ...``, FROSTLINE_LANG, or the system's LANG."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from frostline.errors import FrostlineError, shown

current = "en"
"""Of this process; `cli.main` sets it."""

WITH_PAGES = ("fit", "check", "evaluate", "report")
"""Commands with a ``--lang`` of their own."""


def chosen(words: list[str], environment: Mapping[str, str] | None = None) -> tuple[str, list[str]]:
    """The language, and the words without a ``--lang`` that the command does not take itself.

    ``--lang`` may stand anywhere; behind a command that writes a page it is the language of the page as well.
    """
    environment = os.environ if environment is None else environment
    end = words.index("--") if "--" in words else len(words)
    for place, word in enumerate(words[:end]):
        flag, joined, value = word.partition("=")
        if flag != "--lang" or not (joined or place + 1 < end):
            continue
        after = place + (1 if joined else 2)
        said = value if joined else words[place + 1]
        command = next((one for one in words[:place] if not one.startswith("-")), "")
        return said, words if command in WITH_PAGES else words[:place] + words[after:]
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


def message(error: FrostlineError) -> str:
    """An error's three parts, with the words around them, in the language of this process."""
    if current != "zh":
        return f"error: {error}"
    parts = [f"错误：{shown(sentence(error.what))}"]
    parts += [f"  位置：{error.where}"] if error.where is not None else []
    parts += [f"  提示：{shown(sentence(error.hint))}"] if error.hint is not None else []
    return "\n".join(parts)


def translated(command: Any, lang: str, parent: Any = None) -> Any:
    """A command with its help, and that of all below it, in a language; pages are written in it by default.

    parent: the context of the command above, from which the names of --help come.

    Raises: PlanError: there is no such language.
    """
    from frostline.judge.pages.translations import checked, speaking

    say = speaking(checked(lang))
    command.help = _in_lines(command.help, say)
    if lang == "en":
        for below in getattr(command, "commands", {}).values():
            translated(below, lang)
        return command
    for option in command.params:
        if getattr(option, "help", None):
            option.help = say(option.help.replace("\\[", "[")).replace("[", "\\[")
        if option.name == "lang" and parent is not None:  # of pages
            option.default = lang
        if getattr(option, "rich_help_panel", None):
            option.rich_help_panel = say(option.rich_help_panel)
    _frames(say)
    with command.make_context(command.name, [], parent=parent, resilient_parsing=True) as context:
        if (asked := command.get_help_option(context)) is not None:
            asked.help = say("Show this message and exit.")
        for below in getattr(command, "commands", {}).values():
            translated(below, lang, context)
    return command


def _in_lines(text: str | None, say: Callable[[str], str]) -> str | None:
    """Its paragraphs, a line each, and the examples as they are: Typer keeps the line breaks of our source."""
    written = []
    for paragraph in (text or "").split("\n\n"):
        lines = [line.strip() for line in paragraph.splitlines()]
        written.append("\n".join(lines) if "[dim]" in paragraph else say(" ".join(lines).strip()))
    return "\n\n".join(written) if text else text


def _frames(say: Callable[[str], str]) -> None:
    """What Typer writes itself: the titles of its panels, and what is wrong with what was typed."""
    from typer import rich_utils

    from frostline.cli.wrap import in_cell

    for name in ("ARGUMENTS_PANEL_TITLE", "OPTIONS_PANEL_TITLE", "COMMANDS_PANEL_TITLE", "ERRORS_PANEL_TITLE"):
        setattr(rich_utils, name, say(getattr(rich_utils, name)))

    class Folding(rich_utils.OptionHighlighter):
        """Usage and what is wrong with it pass here too."""

        def __call__(self, text: Any) -> Any:
            return in_cell(super().__call__(sentence(text) if isinstance(text, str) and " " in text else text))

    rich_utils.highlighter = Folding()
    rich_utils.DEFAULT_STRING = say("[default: {value}]").replace("{value}", "{}")
    rich_utils.REQUIRED_LONG_STRING = say("[required]")
    rich_utils.RICH_HELP = say("Try [blue]'{command_path} {help_option}'[/] for help.")

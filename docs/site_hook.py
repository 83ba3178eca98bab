"""For the site alone: links to source files, which lie outside it, become their text, and a pipe within code is itself
in a table, where GitHub wants a backslash before it."""

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?:src|tests|bench)/[^)]*\)")
_ROW = re.compile(r"^\|.*", re.MULTILINE)
_CODE = re.compile(r"`[^`]*`")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for every page."""
    inside = _OUTSIDE.sub(r"\1", markdown)
    return _ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace(r"\|", "|"), row[0]), inside)

"""What a person reads uses the words of the field: none of those that were retired (docs/glossary.md)."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import frostline

ROOT = Path(frostline.__file__).parent
DOCS = ROOT.parents[1]
RETIRED = re.compile(
    r"\b(told|lies|dealt|learnt|rightly|thaw(s|ed|ing)?|strangers?|anew|hush|guesses)\b",
    re.IGNORECASE,
)


def messages() -> Iterator[tuple[str, str]]:
    """Texts of our own code that are not docstrings: help, errors, notes."""
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in alone else None
            if isinstance(text, str) and " " in text:
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", text


def pages() -> Iterator[tuple[str, str]]:
    """Templates, the sentences of the table of words, and the documentation outside its code blocks."""
    for path in sorted([*ROOT.rglob("*.html"), *ROOT.rglob("*.js")]):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for path in sorted(ROOT.rglob("zh.json")):
        yield str(path.relative_to(ROOT)), "\n".join(json.loads(path.read_text(encoding="utf-8")))
    for path in [DOCS / "README.md", *sorted((DOCS / "docs").rglob("*.md"))]:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
        yield str(path.relative_to(DOCS)), re.sub(r"`[^`]*`|https?://\S+", "", text)


def test_no_retired_word_is_read_by_anybody() -> None:
    found = [f"{place}: {hit[0]}" for place, text in [*messages(), *pages()] for hit in [RETIRED.search(text)] if hit]
    assert not found

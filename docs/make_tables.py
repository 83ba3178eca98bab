"""Write the tables of docs/how-to/strategies.md from the code: the strategies, and every default with its source.

    python docs/make_tables.py

`tests/test_docs.py` fails when the page says something else than the code.
"""

import inspect
import re
from pathlib import Path
from typing import Any

from frostline.options import FEW, LARGE, SMALL, BySize
from frostline.train.defaults import GIVEN, TABLE
from frostline.train.strategies import strategies

PAGE = Path(__file__).parent / "how-to" / "strategies.md"


def tables() -> dict[str, str]:
    """The tables by the name that marks their place in the page."""
    return {"strategies": _strategies(), "defaults": _defaults(), "given": _given()}


def filled(page: str) -> str:
    """A page with each table between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    for name, table in tables().items():
        page = re.sub(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{_safe(table)}\n\g<2>", page, flags=re.S)
    return page


def _strategies() -> str:
    rows = []
    for name, function in strategies:
        about = (inspect.getdoc(function) or "").split("\n")[0]
        takes = [_option(p) for p in list(inspect.signature(function).parameters)[1:] if p != "recipe"]
        rows.append((f"`{name}`", _linked(about), " ".join(f"`{option}`" for option in takes)))
    return _table(("strategy", "what it does", "its own options"), rows)


def _defaults() -> str:
    rows = [
        (f"`{_option(name)}`", *(_value(v, name) for v in (row.small, row.middle, row.large)), _linked(row.source))
        for name, row in TABLE.items()
    ]
    return _table(("option", f"below {SMALL:,} pictures", f"below {LARGE:,}", "more", "why"), rows)


def _given() -> str:
    rows = [
        (f"`{_option(other)} {value}`", f"`{_option(name)}`", _by_size(row), _linked(row.source))
        for (other, value), says in GIVEN.items()
        for name, row in says.items()
    ]
    return _table(("with", "option", "default (small, middling, large data)", "why"), rows)


def _by_size(row: BySize) -> str:
    """One value, or those of small, middling and large data where they differ."""
    values = [_value(value) for value in (row.small, row.middle, row.large)]
    said = values[0] if len(set(values)) == 1 else ", ".join(values)
    return said if row.few is None else f"{said}; below {FEW} pictures {_value(row.few)}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _option(name: str) -> str:
    return "--lr auto" if name == "rate_search" else "--" + name.replace("_", "-")


def _value(value: Any, name: str = "") -> str:
    words = {None: "4 or 0" if name == "head_crops" else "the model's own", True: "on", False: "off"}
    plain = value if value is None or isinstance(value, bool) else str(value)
    return words.get(plain, f"{value:g}" if isinstance(value, float) else str(value))


def _linked(text: str) -> str:
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def _safe(table: str) -> str:
    return table.replace("\\", "\\\\")


def main() -> None:
    """Fill in the page."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Write the order of modules within each package into docs/architecture.md, from the imports themselves.

    python docs/make_modules.py

`tests/test_architecture.py` fails where a module stands before one that it imports, or is not listed at all.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "frostline"
PAGE = Path(__file__).parent / "architecture.md"
PACKAGES = ("data", "net", "inference", "features", "train", "judge", "ship", "run", "workflows", "scale")


def modules_of(package: str) -> dict[str, set[str]]:
    """The modules of a package, by their path in it, and those of the same package that each imports at once."""
    paths = {
        ".".join(path.relative_to(ROOT / package).with_suffix("").parts): path
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name != "__init__.py"
    }
    return {name: set(_imported(path, package)) & set(paths) - {name} for name, path in paths.items()}


def in_order(modules: dict[str, set[str]]) -> list[str]:
    """The modules, each behind those that it imports; otherwise those of one folder together, and by name."""
    order: list[str] = []

    def elsewhere(name: str) -> bool:
        return name.rpartition(".")[0] != (order[-1] if order else "").rpartition(".")[0]

    while len(order) < len(modules):
        ready = [name for name in sorted(modules) if name not in order and modules[name] <= set(order)]
        if not ready:
            raise SystemExit(f"there is a circle among {sorted(set(modules) - set(order))}")
        order.append(min(ready, key=lambda name: (elsewhere(name), name)))
    return order


def filled(page: str) -> str:
    """The page with the lists between its marks."""
    lines = [f"- `{package}/`: {', '.join(in_order(modules_of(package)))}" for package in PACKAGES]
    said = "Modules in their order:\n\n" + "\n".join(lines)
    return re.sub(r"(<!-- modules -->\n).*?(<!-- /modules -->)", rf"\g<1>{said}\n\g<2>", page, flags=re.S)


def _imported(path: Path, package: str) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"frostline.{package}"):
            inner = str(node.module).split(".")[2:]
            yield ".".join(inner)
            yield from (".".join([*inner, alias.name]) for alias in node.names)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

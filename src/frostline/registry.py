"""Name -> thing: built-ins and plugins are found in the same way.

A registry answers to three kinds of names: one registered here by decorator, one that an installed package
announces as an entry point, and ``module:function``, which is imported only because the user wrote it.
"""

import difflib
import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from frostline.errors import UnknownName, one_line

T = TypeVar("T")

log = logging.getLogger(__name__)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """``did you mean epochs or epoch?`` where some of the names are near, else ""."""
    near = difflib.get_close_matches(name, list(names), n=3)
    return f"did you mean {' or '.join(near)}?" if near else ""


def whence(name: str) -> str:
    """Where the code of ``package.module:function`` lies, for who must decide whether to run it. Nothing is imported:
    the top package is looked for, and those within it are where it is."""
    top = name.partition(":")[0].partition(".")[0]
    if ":" not in name or not top.isidentifier():
        return "announced by an installed package"
    if top in sys.stdlib_module_names:
        return f"{top} is of Python's own library"
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        found = None
    if found is None:
        return f"there is no {top} here"
    return f"{top} is {found.origin or ', '.join(found.submodule_search_locations or ())}"


class Registry(Generic[T]):
    """Things of one kind by name.

    kind: what one of them is called in messages ("strategy").
    group: the entry-point group in which other packages announce theirs ("frostline.strategies").
    option: the option by which a person names one ("--strategy"), where there is one.
    """

    def __init__(self, kind: str, group: str, *, option: str | None = None) -> None:
        self.kind = kind
        self.group = group
        self.option = option
        self._things: dict[str, T] = {}

    def register(self, name: str, thing: T) -> T:
        """Add a thing under a name and return it.

        Raises: ValueError: the name is taken by another thing.
        """
        if self._things.setdefault(name, thing) is not thing:
            raise ValueError(f"there is a {self.kind} called {name!r} already")
        return thing

    def decorator(self, name: str) -> Callable[[T], T]:
        """``@strategies.decorator("probe")`` above a function registers it."""
        return lambda thing: self.register(name, thing)

    def get(self, name: str) -> T:
        """The thing of that name.

        Raises: UnknownName: nothing answers to it, and the hint gives the nearest names; or its package cannot be
            imported.
        """
        if name in self._things:
            return self._things[name]
        if name in self._announced:
            return self._loaded(self._announced[name])
        if ":" in name:
            return self._imported(name)
        hint = did_you_mean(name, self.names()) or f"there are: {', '.join(self.names())}"
        raise UnknownName(f"there is no {self.kind} called {name!r}", where=self.option, hint=hint)

    def names(self) -> list[str]:
        """All names, built-in first, then those that installed packages announce."""
        return list(dict.fromkeys([*self._things, *sorted(self._announced)]))

    @cached_property
    def _announced(self) -> dict[str, EntryPoint]:
        # Kept, because a look through all installed packages takes tens of milliseconds.
        return {point.name: point for point in entry_points(group=self.group)}

    def __iter__(self) -> Iterator[tuple[str, T]]:
        for name in self.names():
            try:
                thing = self.get(name)
            except UnknownName as error:  # a package that does not work stops nobody who does not ask for it
                log.warning("left out: %s", error)
                continue
            yield name, thing

    def _loaded(self, point: EntryPoint) -> T:
        try:
            thing: T = point.load()
        except Exception as error:  # it runs a package's code
            raise UnknownName(
                f"the {self.kind} {point.name!r} of an installed package cannot be loaded: {one_line(str(error))}",
                where=point.value if point.dist is None else f"{point.dist.name}, {point.value}",
                hint="bring that package up to date, or uninstall it",
            ) from None
        return thing

    def _imported(self, name: str) -> T:
        module, _, attribute = name.partition(":")
        try:
            thing: T = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:  # of no name at all it is a ValueError
            raise UnknownName(
                f"the {self.kind} {name!r} cannot be imported: {error}",
                where=self.option,
                hint=f"write it as package.module:function, and start from where `import {module}` works",
            ) from None
        return thing

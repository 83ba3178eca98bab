"""What a fit from Python shows while it goes on: bars in a terminal or a notebook, and warnings as Python's own."""

import inspect
import sys
import warnings
from types import TracebackType
from typing import Any, Self

from tqdm import TqdmWarning

from frostline.errors import FrostlineWarning
from frostline.events import Event, Judged, PhaseStart, Step, Warn, Work

with warnings.catch_warnings():  # without ipywidgets its bars are text, which is no reason for a red box
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


def somebody_watches() -> bool:
    """Whether standard error is a terminal, or this is a notebook."""
    return "ipykernel" in sys.modules or bool(getattr(sys.stderr, "isatty", bool)())


def _callers_level() -> int:
    """How far above the caller of this the line is that is not ours: a warning shows it."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "frostline":
        level, frame = level + 1, frame.f_back
    return level - 1


class Progress:
    """A listener with one bar at a time. Use it as a context: its bar goes when it ends.

    shows: whether there are bars at all; by default where somebody watches. Warnings are raised in any case, as
    `FrostlineWarning`, so that Python's filters decide about them.
    """

    def __init__(self, *, shows: bool | None = None) -> None:
        self._shows = somebody_watches() if shows is None else shows
        self._bar: Any = None
        self._what = ""
        self._phase, self._epochs, self._batches = "", 0, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case Warn(text):
                warnings.warn(text, FrostlineWarning, stacklevel=_callers_level())
            case Work(what, done, total):
                unit = {"folds": "folds", "head": "fits"}.get(what.split()[-1], "pictures")
                self._to(what, done, total, unit)
            case PhaseStart(name, _, epochs):
                self._phase, self._epochs, self._batches = name, epochs, 0
            case Step():
                if event.epoch == 0:
                    self._batches = max(self._batches, event.step)
                self._to(self._phase, event.step, self._batches * self._epochs if event.epoch else 0, "batches")
            case Judged():
                if self._bar is not None:
                    self._bar.set_postfix_str(f"epoch {event.epoch + 1}/{event.epochs}, val {event.accuracy:.1%}")
            case _:
                pass

    def _to(self, what: str, done: int, total: int, unit: str) -> None:
        if not self._shows:
            return
        if what != self._what or self._bar is None:
            self._close()
            self._what = what
            self._bar = tqdm(desc=what, total=total or None, unit=f" {unit}", leave=False)
        self._bar.total = total or None
        self._bar.update(done - self._bar.n)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

"""What the terminal shows while a run goes on: bars on a terminal, elsewhere a plain line now and then.

All of it goes to standard error. Rich is imported where it is used.
"""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from frostline.cli.language import sentence
from frostline.cli.wrap import for_console
from frostline.errors import shown

if TYPE_CHECKING:
    from frostline.events import Event

PLAIN_EVERY = 4.0  # seconds between plain progress lines, so that none is silent for 5
WARNING = "yellow"


class Screen:
    """A listener that shows a run. Use it as a context; bars vanish when it ends."""

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal and not quiet
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
            redirect_stdout=sys.stdout.isatty(),  # what goes into a file is no part of the screen
        )
        self._tasks: dict[str, Any] = {}
        self._since: dict[str, float] = {}
        self._phase, self._epochs, self._batches = "", 0, 0
        self._said = time.monotonic()
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    def say(self, text: str, style: str = "dim") -> None:
        """A line for a person; quiet, only warnings."""
        if not self._quiet or style == WARNING:
            self._console.print(for_console(shown(sentence(text)), self._console), style=style, markup=False)

    def __call__(self, event: "Event") -> None:
        """Show what happened; a note once, though every phase may give it."""
        from frostline.events import Judged, Note, PhaseStart, Step, Warn, Work

        match event:
            case Note(text) | Warn(text) if text in self._told:
                pass
            case Note(text):
                self._told.add(text)
                self.say(text)
            case Warn(text):
                self._told.add(text)
                self.say(f"warning: {text}", WARNING)
            case Work(what, done, total):
                self._work(what, done, total)
            case PhaseStart(name, line, epochs):
                self._phase, self._epochs, self._batches = name, epochs, 0
                if epochs:
                    self.say(f"❄ {name}: {epochs} epoch{'s' if epochs > 1 else ''}, frost line under {line}", "bold")
            case Step():
                if event.epoch == 0:
                    self._batches = max(self._batches, event.step)
                total = self._batches * self._epochs if event.epoch else 0  # known when the first epoch is over
                self._work(f"{self._phase}, batches", event.step, total)
            case Judged():
                self.say(
                    f"{self._phase:>14}  epoch {event.epoch + 1:>3}/{event.epochs}  loss {event.train_loss:.3f}  "
                    f"val {event.accuracy:.1%} (loss {event.loss:.3f})  rate {event.rate:.2g}  "
                    f"{event.pictures_per_second:,.0f}/s",
                    "default",
                )
            case _:
                pass

    def _work(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        began = self._since.setdefault(what, now)
        over = bool(total) and done >= total
        if over:
            del self._since[what]  # the same may be done again, in the next fold or phase
        if not self._live:
            if now - self._said > PLAIN_EVERY:
                self._said = now
                self.say(f"{what}: {done:,} of {total:,}" if total else f"{what}: {done:,}")
            return
        rate = f"{done / (now - began):,.0f}/s" if now - began > 0.5 else ""
        if what not in self._tasks:
            for task in self._tasks.values():
                self._bars.update(task, visible=False)
            self._tasks[what] = self._bars.add_task(shown(sentence(what)), total=total or None, rate="")
        self._bars.update(self._tasks[what], completed=done, total=total or None, rate=rate)
        if over:
            self._bars.remove_task(self._tasks.pop(what))

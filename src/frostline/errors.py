"""Every error that frostline raises on purpose, and the one place where they are worded.

An error says three things: what was wrong, where (file, key, row), and what to do next.

    FrostlineError
    ├── DataError            a data set, manifest, archive or table that cannot be used
    │   ├── DecodeError      one picture that cannot be decoded
    │   └── LabelError       labels that are missing, mixed or may mean two things   (also a ValueError)
    ├── WeightsError         weights that are missing, hostile, or of another architecture
    ├── HeadError            no classifier, or several, where one was needed   (also a ValueError)
    ├── StageError           a stage or line that the network lacks or cannot be cut at   (also a ValueError)
    ├── PlanError            options that contradict each other or the network   (also a ValueError)
    ├── UnknownName          a name that no registry holds   (also a ValueError)
    ├── StoreError           the activation store cannot be read or written
    ├── EngineError          no inference engine gives the numbers that the network gives
    ├── Diverged             the loss stopped being a finite number
    ├── CheckpointError      a checkpoint or model folder that is damaged or belongs to another run
    ├── MissingExtra         an optional dependency that is not installed   (also an ImportError)
    └── JudgementError       figures that cannot be computed or compared   (also a ValueError)

Nothing is imported here.
"""


class FrostlineError(Exception):
    """Base of all errors that are the input's fault, not the program's. The command exits with code 2 on it.

    what: one sentence, the fact, with the value that was seen.
    where: file, key or row that it was seen at.
    hint: what to do next.
    """

    def __init__(self, what: str, *, where: object | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else one_line(str(where))
        self.hint = hint
        super().__init__(what, where, hint)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.hint)

    def __str__(self) -> str:
        lines = [shown(self.what)]
        if self.where is not None:
            lines.append(f"  at {self.where}")
        if self.hint is not None:
            lines.append(f"  hint: {shown(self.hint)}")
        return "\n".join(lines)


def _rebuild(kind: type[FrostlineError], what: str, where: str | None, hint: str | None) -> FrostlineError:
    return kind(what, where=where, hint=hint)


def one_line(text: str) -> str:
    """Text from outside (a file's name, another library's message) on one line, control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def first_line(error: BaseException, most: int = 200) -> str:
    """What another library says in its error, the first line of it; the error's kind if that is nothing."""
    return one_line((str(error).strip().splitlines() or [type(error).__name__])[0])[:most]


def first_few(things: list[str] | tuple[str, ...], most: int = 10) -> str:
    """The first of them on one line, and how many more there are: "a, b and 3 more"."""
    return one_line(", ".join(things[:most])) + (f" and {len(things) - most:,} more" if len(things) > most else "")


def shown(text: str) -> str:
    """Text of our own that names from outside may stand in: as ``one_line``, and its lines stay lines."""
    return "\n".join(map(one_line, text.split("\n")))


class FrostlineWarning(UserWarning):
    """What a fit from Python warns of: the same picture in two splits, files that were left out."""


class DataError(FrostlineError):
    """A data set, manifest, archive or table that cannot be used."""


class DecodeError(DataError):
    """One picture that cannot be decoded: it is left out, counted and named, and the rest go on."""


class LabelError(DataError, ValueError):
    """Labels that are missing, mixed or may mean two things."""


class WeightsError(FrostlineError):
    """Weights that are missing, hostile, or of another architecture."""


class HeadError(FrostlineError, ValueError):
    """No classifier, or several, where one was needed."""


class StageError(FrostlineError, ValueError):
    """A stage or line that the network lacks or cannot be cut at."""


class PlanError(FrostlineError, ValueError):
    """Options that contradict each other or the network."""


class UnknownName(FrostlineError, ValueError):
    """A name that no registry holds; the hint lists the nearest ones."""


class StoreError(FrostlineError):
    """The activation store cannot be read or written."""


class EngineError(FrostlineError):
    """No inference engine gives the numbers that the network gives."""


class Diverged(FrostlineError):
    """The loss stopped being a finite number."""


class CheckpointError(FrostlineError):
    """A checkpoint or model folder that is damaged or belongs to another run."""


class MissingExtra(FrostlineError, ImportError):
    """An optional dependency that is not installed."""


class JudgementError(FrostlineError, ValueError):
    """Figures that cannot be computed or compared."""

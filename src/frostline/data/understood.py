"""What was understood of a place: sources fill it in, and one function says it, in ``fit``, ``check`` and ``evaluate``.

train.csv: pictures from `id_code` + `.png` in train_images/, labels from `diagnosis`, no split; 3,662 pictures,
5 classes (0, 1, 2, 3, 4); not used: test_images/ (1,928 pictures: without labels)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from frostline.errors import first_few, one_line

_AT_MOST = 8  # classes or places that one line lists


@dataclass(frozen=True, slots=True)
class Understood:
    """How a source read a place; a source yields it among its rows.

    source: what was read, if it is not the place itself ("train.csv"). pictures, labels, split, group: where each was
        found, "" where the source does not say. unused: what was there and is not used, with the reason.
    warnings: what a person may want to act on.
    """

    source: str = ""
    pictures: str = ""
    labels: str = ""
    split: str = ""
    group: str = ""
    unused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __add__(self, other: "Understood") -> "Understood":
        """What two readings say together: of parts of one data set."""
        return Understood(
            _both(self.source, other.source),
            _both(self.pictures, other.pictures),
            _both(self.labels, other.labels),
            _both(self.split, other.split),
            _both(self.group, other.group),
            tuple(dict.fromkeys((*self.unused, *other.unused))),
            tuple(dict.fromkeys((*self.warnings, *other.warnings))),
        )

    def warned(self, *warnings: str) -> "Understood":
        """The same, with more to act on."""
        return replace(self, warnings=(*self.warnings, *warnings))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``plan.json``."""
        found = {name: getattr(self, name) for name in _TEXTS}
        return {**found, "not_used": list(self.unused), "warnings": list(self.warnings)}


NOTHING = Understood()
_TEXTS = ("source", "pictures", "labels", "split", "group")


def said(
    understood: Understood,
    *,
    classes: Sequence[str],
    splits: Mapping[str, int],
    pictures: int,
    several: int,
    left_out: Sequence[str],
) -> str:
    """The line that says it. splits: pictures of each. several: pictures with more than one label, each of which makes
    all of them multi-label. left_out: what is not used beside what the source says."""
    parts = [
        f"pictures from {understood.pictures}" if understood.pictures else "",
        f"labels from {understood.labels}" if understood.labels else "",
        f"split from {understood.split}" if understood.split else ("no split" if not splits else ""),
        f"group from {understood.group}" if understood.group else "",
    ]
    counts = f"{pictures:,} pictures"
    if splits:
        counts += f" ({', '.join(f'{count:,} {name}' for name, count in splits.items())})"
    if classes:
        some = first_few([*classes], _AT_MOST)
        counts += f", {len(classes):,} {'class' if len(classes) == 1 else 'classes'} ({some})"
    unused = (*understood.unused, *left_out)
    more = f"{several:,} of them with several labels" if several else ""
    line = "; ".join(part for part in (", ".join(part for part in parts if part), counts, more) if part)
    line = f"{understood.source}: {line}" if understood.source else line
    return one_line(f"{line}; not used: {first_few(unused, _AT_MOST)}" if unused else line)


def _both(one: str, other: str) -> str:
    return one if other in ("", one) else other if not one else f"{one} and {other}"

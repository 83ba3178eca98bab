"""Everything that lies in a place, before anybody has said what of it is usable: what an audit looks at."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import SPLITS, Manifest, Row, Skipped, left_out, natural
from frostline.data.pictures.reading import AS_IT_IS, Reading
from frostline.data.understood import NOTHING, Understood, said


@dataclass(frozen=True)
class Inventory:
    """Pictures as they were found: N rows, in the order of their source.

    rows: with digests, "" for files that cannot even be read.
    faults: (N) why the picture of a row cannot be used, "" if it can.
    passed_over: files that are no pictures, or lie where none is looked for.
    reading: how the pictures are read.
    source: where the rows came from. understood: how the source read the place.
    """

    rows: tuple[Row, ...]
    faults: tuple[str, ...]
    passed_over: tuple[Skipped, ...] = ()
    source: str = ""
    reading: Reading = AS_IT_IS
    understood: Understood = NOTHING

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The rows of a manifest, which are all usable as far as anybody knows."""
        return cls(
            manifest.rows, ("",) * len(manifest), manifest.skipped, manifest.source, understood=manifest.understood
        )

    def __len__(self) -> int:
        return len(self.rows)

    def with_faults(self, reasons: Mapping[str, str]) -> Self:
        """The same rows, with reasons by digest why pictures cannot be decoded."""
        pairs = zip(self.rows, self.faults, strict=True)
        return replace(self, faults=tuple(fault or reasons.get(row.digest, "") for row, fault in pairs))

    @cached_property
    def readable(self) -> NDArray[np.bool_]:
        """(N,) whether the picture can be used."""
        return np.array([not fault for fault in self.faults], bool)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All labels, numbers in them by value."""
        return tuple(sorted({label for row in self.rows for label in row.labels}, key=natural))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that have rows, in the order train, val, test."""
        there = {row.split for row in self.rows}
        return tuple(split for split in SPLITS if split in there)

    def summary(self) -> str:
        """What was understood of the source, as ``Manifest.summary``."""
        splits = {name: int((self.split_ranks == rank).sum()) for rank, name in enumerate(SPLITS)}
        return said(
            self.understood,
            classes=self.classes,
            splits={name: count for name, count in splits.items() if count},
            pictures=len(self),
            several=sum(len(row.labels) > 1 for row in self.rows),
            left_out=left_out(self.passed_over),
        )

    @property
    def multilabel(self) -> bool:
        """Whether any picture has more than one label."""
        return any(len(row.labels) > 1 for row in self.rows)

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """(N,) indices into ``classes``; -1 for rows with no label or with several."""
        place = {name: number for number, name in enumerate(self.classes)}
        return np.array([place[row.labels[0]] if len(row.labels) == 1 else -1 for row in self.rows], np.int64)

    @cached_property
    def split_ranks(self) -> NDArray[np.int64]:
        """(N,) 0 for train, 1 for val, 2 for test; -1 where the source does not say."""
        return np.array([SPLITS.index(row.split) if row.split in SPLITS else -1 for row in self.rows], np.int64)

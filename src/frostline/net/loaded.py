"""What became of a checkpoint: which tensors were taken, which were left out, and in what words it is told."""

from dataclasses import dataclass

COUNTER = "num_batches_tracked"
"""Of batches that BatchNorm has seen: files older than torch 0.4.1 lack it."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A tensor whose shapes differ. there: in the file, here: in the network; None where it has none."""

    key: str
    there: tuple[int, ...] | None
    here: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded, left out and missing. It goes into the run's plan.json and into the model card.

    taken: names in the network that were filled from the file.
    left_out: tensors of the file that the network has no place for: the old head, auxiliary classifiers.
    missing: names in the network that the file lacks: the head, counters of files older than torch 0.4.1.
    source: file, package or hub repository.  digest: sha256 of the file, hexadecimal.
    prefix_removed: what stood before every name, e.g. "module.", or "".
    part: the keys of the file that led to what was taken, where it holds several state dicts, or "".
    ordered_as: a name there and the name here where another code base's tensors were taken by their order, or "".
    head: what became of the file's head, where that is not plain from its size.
    said: another architecture of timm's, where the file says that it is of that, or "".
    pictures: how they are prepared, where the folder of the weights says it, or "".
    resampled: tensors that timm's own code for the architecture brought to another size: positions, patches.
    """

    taken: tuple[str, ...]
    left_out: tuple[Mismatch, ...]
    missing: tuple[str, ...]
    source: str
    digest: str
    prefix_removed: str = ""
    part: str = ""
    ordered_as: str = ""
    head: str = ""
    said: str = ""
    pictures: str = ""
    resampled: tuple[Mismatch, ...] = ()

    def __str__(self) -> str:
        total = len(self.taken) + len(self.missing) + sum(m.here is not None for m in self.left_out)
        parts = [f"{len(self.taken)} of {total} tensors from {self.source}"]
        if self.said:
            parts.append(f"which says that it is of {self.said}")
        if self.part:
            parts.append(f"taken from its `{self.part}`")
        if self.prefix_removed:
            prefix = self.prefix_removed.removeprefix("+")
            parts.append(f"prefix `{prefix}` {'removed' if prefix == self.prefix_removed else 'added'}")
        if self.ordered_as:
            parts.append(
                f"of another code base, so taken by order and shape ({self.ordered_as}), "
                "which do not show padding, epsilon or activation: answers may be others than there"
            )
        parts += [f"{m.key} resampled from {_sides(m.there)} to {_sides(m.here)}" for m in self.resampled[:3]]
        heads = [m for m in self.left_out if m.here and m.there and m.key.endswith("weight")]
        if self.head:
            parts.append(self.head)
        else:
            parts += [f"head {m.there[0]} -> {m.here[0]}" for m in heads if m.there and m.here]
            if any(not name.endswith(COUNTER) for name in self.missing):
                parts.append("head new")
        if strangers := [m.key for m in self.left_out if m.here is None]:
            parts.append(f"left out {', '.join(strangers[:3])}{' ...' if len(strangers) > 3 else ''}")
        if self.pictures:
            parts.append(f"pictures as its folder says: {self.pictures}")
        return ", ".join(parts)


def _sides(shape: tuple[int, ...] | None) -> str:
    return " x ".join(map(str, shape or ()))

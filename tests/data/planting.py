"""A copy of a data set with faults in it, so that it is known what an audit should find."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True)
class Planted:
    """Names as a listing has them: pairs of copies, swapped labels, truncated files; the class of another size."""

    place: Path
    exact: tuple[tuple[str, str], ...]
    near: tuple[tuple[str, str], ...]
    swapped: tuple[str, ...]
    truncated: tuple[str, ...]
    resized: str


def plant(
    source: Path, place: Path, *, resized: str, seed: int = 0, exact: int = 5, near: int = 5, swapped: int = 10,
    truncated: int = 5, before: str = "train", after: str = "val", side: int = 400,
) -> Planted:  # fmt: skip
    """Copy ``source`` (``before``/``after`` with two classes each) to ``place``, faults included."""
    rng = random.Random(seed)
    shutil.copytree(source, place)
    classes = sorted(folder.name for folder in (place / before).iterdir() if folder.is_dir())
    for path in sorted(place.glob(f"*/{resized}/*")):
        with Image.open(path) as opened:
            small = opened.convert("RGB")
            small.thumbnail((side, side))
        small.save(path, quality=92)
    pictures = sorted(path for path in (place / before).glob("*/*") if path.is_file())
    rng.shuffle(pictures)
    taken = iter(pictures)

    def name(path: Path) -> str:
        return path.relative_to(place).as_posix()

    exact_pairs, near_pairs = [], []
    for number in range(exact):
        path = next(taken)
        copy = place / after / path.parent.name / f"copy{number}{path.suffix}"
        shutil.copy(path, copy)
        exact_pairs.append((name(path), name(copy)))
    for number in range(near):
        path = next(taken)
        copy = place / after / path.parent.name / f"near{number}.jpg"
        with Image.open(path) as opened:
            share = rng.choice([0.5, 0.7, 0.9])
            size = max(1, round(opened.width * share)), max(1, round(opened.height * share))
            opened.convert("RGB").resize(size).save(copy, quality=rng.choice([50, 65, 80]))
        near_pairs.append((name(path), name(copy)))
    cut = [next(taken) for _ in range(truncated)]
    for path in cut:
        content = path.read_bytes()
        path.write_bytes(content[: max(100, len(content) // 2)])
    moved = []
    for _ in range(swapped):
        path = next(taken)
        other = classes[1 - classes.index(path.parent.name)]
        moved.append(name(path.rename(path.parent.parent / other / f"moved-{path.name}")))
    return Planted(place, tuple(exact_pairs), tuple(near_pairs), tuple(moved), tuple(map(name, cut)), resized)


def shortcomings(planted: Planted, found: dict[str, dict[str, object]]) -> dict[str, int]:
    """How much of what was planted is not among findings by check (as JSON), and the false alarms in the top 15."""

    def together(check: str) -> list[set[str]]:
        items = found.get(check, {"items": []})["items"]
        return [set(item["pictures"]) for item in items]  # type: ignore[attr-defined]

    leaks = together("leakage")
    unreadable = set().union(*together("unreadable"))
    suspects = [next(iter(names)) for names in together("labels")]
    return {
        "exact": sum(not any(set(pair) <= names for names in leaks) for pair in planted.exact),
        "near": sum(not any(set(pair) <= names for names in leaks) for pair in planted.near),
        "swapped": len(set(planted.swapped) - set(suspects)),
        "truncated": len(set(planted.truncated) - unreadable),
        "false alarms": sum(name not in planted.swapped for name in suspects[:15]),
    }

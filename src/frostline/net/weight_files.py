"""Which files hold the weights of a place: one under its usual name, or several with an index beside them (shards).

The index is ``model.safetensors.index.json`` or ``pytorch_model.bin.index.json``, as transformers and the hub write
them. Only files of the folder itself are named, whatever the index says. Nothing is read but the index: no torch.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from frostline.data.pictures.picture import holes
from frostline.errors import WeightsError, one_line
from frostline.ordinary_file import ordinary

USUAL = ("model.safetensors", "pytorch_model.bin")
INDEX = ".index.json"
_LARGEST_INDEX = 64 << 20
_ENDS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar", ".npz")


def weights_in(place: Path) -> Path:
    """The weights file or index of shards of a place: the file itself, a folder, or a run's folder.

    Raises: WeightsError: a folder without weights, or with several files and none under a usual name.
    """
    if not place.is_dir():
        return place
    for folder in (place, place / "model"):  # a run's folder has its model in it
        for name in USUAL:
            for path in (folder / name, folder / f"{name}{INDEX}"):
                if path.is_file():
                    return path
    found = sorted(path for path in place.iterdir() if path.suffix in _ENDS and path.is_file())
    if len(found) == 1:
        return found[0]
    names = ", ".join(one_line(path.name) for path in found[:5])
    raise WeightsError(
        f"the weights are a folder, not a file, and {len(found) or 'no'} weights files are in it",
        where=place,
        hint=f"name the file: {names}" if found else "name the checkpoint file itself",
    )


def shard_names(index: Path) -> tuple[str, ...]:
    """The names of the files that an index is of, each once.

    Raises: WeightsError: the index is damaged, or names a file elsewhere.
    """
    names = sorted(set(weight_map(index).values()))
    if strange := [name for name in names if Path(name).name != name or "\\" in name or not name.endswith(_ENDS)]:
        raise WeightsError(
            f"the index names a file that is not beside it: {one_line(strange[0])[:120]}",
            where=index,
            hint="do not trust this folder",
        )
    return tuple(names)


def shards(index: Path) -> tuple[Path, ...]:
    """The files that an index names.

    Raises: WeightsError: as `shard_names`, or one is missing.
    """
    found = tuple(index.parent / name for name in shard_names(index))
    if gone := [path.name for path in found if not path.is_file()]:
        raise WeightsError(
            f"{len(gone)} of {len(found)} shards are missing, first: {one_line(gone[0])}",
            where=index,
            hint="download the whole folder again",
        )
    return found


def digest_of(place: Path) -> str:
    """SHA-256 of the weights of a place, hexadecimal; of shards, over the digests of each and of the index.

    Raises: WeightsError: as `weights_in`, or a file cannot be read.
    """
    path = weights_in(place)
    parts = [file_digest(part) for part in (path, *(shards(path) if path.name.endswith(INDEX) else ()))]
    return parts[0] if len(parts) == 1 else hashlib.sha256("".join(parts).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises: WeightsError: it cannot be read, or is no file of weights' size.
    """
    try:
        if (said := holes(ordinary(path).stat())) is not None:
            raise WeightsError(said, where=path, hint="download it again")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise WeightsError(
            "there is no such weights file",
            where=path,
            hint="check the path; --weights auto finds published weights by the model's name",
        ) from None
    except OSError as error:
        raise WeightsError(
            f"the weights file cannot be read: {error.strerror}", where=path, hint="check its permissions, and the disk"
        ) from None


def weight_map(index: Path) -> Mapping[str, str]:
    """The file of each tensor, as an index says it.

    Raises: WeightsError: the index is damaged or too large.
    """
    try:
        if ordinary(index).stat().st_size > _LARGEST_INDEX:
            raise ValueError("it is too large")
        found = json.loads(index.read_bytes())["weight_map"]
        if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found.values()):
            raise ValueError("its weight_map names no files")
        return found
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else one_line(str(error))[:160]
        raise WeightsError(
            f"the index of shards cannot be read: {said}", where=index, hint="download it again"
        ) from None

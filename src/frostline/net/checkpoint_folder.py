"""Open the weights of a place: a file, an index of shards, or a folder with either (`weight_files` says which)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from frostline.errors import WeightsError, one_line
from frostline.net import trained_on
from frostline.net.checkpoint_file import Checkpoint, open_checkpoint
from frostline.net.self_description import architecture_in, names_in, said_beside
from frostline.net.weight_files import INDEX, USUAL, shards, weight_map, weights_in


def open_weights(place: Path) -> Checkpoint:
    """What a checkpoint holds: a file, an index of shards, or a folder with either.

    Raises: WeightsError: as `read_checkpoint`; the folder holds none or several; a shard is missing. CheckpointError:
        what its configuration says of pictures means nothing.
    """
    path = weights_in(place)
    if not path.name.endswith(INDEX):
        found = open_checkpoint(path)
    else:
        tensors: dict[str, Tensor] = {}
        for shard in shards(path):
            for state in open_checkpoint(shard).states.values():
                tensors |= state
        _check_whole(path, tensors)
        found = Checkpoint({"": tensors}, ordered=False)
    if path.name.removesuffix(INDEX) not in USUAL:
        return found
    said = said_beside(path.parent)
    return replace(
        found,
        classes=found.classes or names_in(said),
        architecture=found.architecture or architecture_in(said),
        pictures=trained_on.said(path.parent, said),
    )


def _check_whole(index: Path, tensors: Mapping[str, Tensor]) -> None:
    promised = weight_map(index)
    if gone := [name for name in promised if name not in tensors]:
        raise WeightsError(
            f"{len(gone)} of {len(promised)} tensors of the index are in no shard, first: {one_line(gone[0])}",
            where=index,
            hint="the shards are of another model: download the whole folder again",
        )

"""Checkpoints that are whole or absent, and hold all that a bit-identical resume needs.

A checkpoint is one safetensors file: tensors by name, everything else as JSON in its header. Nothing is pickled. It is
written beside its place, synced and renamed; the one before is kept until the new one is whole.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from frostline import atomic
from frostline.errors import CheckpointError, one_line
from frostline.ordinary_file import ordinary

NEWEST, BEFORE = "checkpoint.safetensors", "checkpoint.before.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """tensors: by name. facts: plain JSON values."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose name starts with `prefix` and a slash, without it."""
        return {name[len(prefix) + 1 :]: t for name, t in self.tensors.items() if name.startswith(f"{prefix}/")}


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a folder and return its path; the one before stays beside it.

    Raises: CheckpointError: it could not be written (a full disk, say); the last one is untouched.
    """
    path, before = folder / NEWEST, folder / BEFORE
    # safetensors refuses tensors that share memory, and tied weights do.
    tensors = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in checkpoint.tensors.items()}
    try:
        with atomic.beside(path) as fresh:
            save_file(tensors, fresh, metadata={"facts": json.dumps(checkpoint.facts)})
            atomic.sync(fresh)
            if path.exists():
                path.replace(before)
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint cannot be written: {atomic.reason(error)}",
            where=path,
            hint="free some space or choose another --out, then go on with --resume: the last checkpoint is whole",
        ) from None
    return path


def load(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint of a folder, or None if there is none.

    Raises: CheckpointError: there are checkpoints, and every one of them is damaged.
    """
    faults = []
    for name in (NEWEST, BEFORE):
        path = folder / name
        if not path.exists():
            continue
        try:
            return _read(path)
        except (OSError, SafetensorError, ValueError, RecursionError) as error:
            faults.append(f"{name}: {one_line(str(error))}")
    if faults:
        raise CheckpointError(
            "no checkpoint here can be read: " + "; ".join(faults), where=folder, hint="start again without --resume"
        )
    return None


def _read(path: Path) -> Checkpoint:
    with safe_open(ordinary(path), framework="pt") as file:
        facts = json.loads((file.metadata() or {}).get("facts", "null"))
        if not isinstance(facts, dict):
            raise ValueError("a safetensors file that is no checkpoint")
        # Copied, for they are the file's own pages.
        return Checkpoint({name: file.get_tensor(name).clone() for name in file.keys()}, facts)  # noqa: SIM118


def clear(folder: Path) -> None:
    """Remove the checkpoints of a run that has ended."""
    for path in (folder / NEWEST, folder / BEFORE, *folder.glob(f".{NEWEST}.*.tmp")):
        path.unlink(missing_ok=True)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """This process's random generators as tensors."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Put back what `random_state` took.

    Raises: CheckpointError: it was taken on another kind of device, or by fewer processes.
    """
    if not {"cpu", device.type} <= state.keys():
        raise CheckpointError(
            f"the checkpoint holds no random state for this process on {device.type}",
            hint="go on with as many processes and the device of the run that was stopped",
        )
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    if device.type == "mps":
        torch.mps.set_rng_state(state["mps"])

"""Training what lies above a frost line, and the whole network."""

from bench.place import Place
from bench.rows import Found, compared
from bench.runner import Run


def upper_half(place: Place) -> Found:
    """Ten epochs of the upper half of the stages: frostline reads the lower half from the store, timm computes it."""
    data, epochs = place.ants_bees, "1" if place.quick else "10"
    theirs = place.peer(
        "timm, lower half frozen", "timm_train", data, place.trunk, "--unfreeze", "0.5", "--epochs", epochs
    )
    ours = place.frostline(
        "frostline, 4 views", "fit", data, "--strategy", "bench.upper_half:upper_half", "--views", "4",
        "--epochs", epochs, "--json", "--out", "run", cache="upper", cold=True,
    )  # fmt: skip
    runs = place.alternate([ours, theirs])
    work = f"training the upper half of the stages, {epochs} epochs, cold store, whole process"
    limit = "the upper half itself: its forward and backward passes are most of what remains, and both do them"
    return Found([compared(work, runs, ours.name, theirs.name, target=4.0, limit=limit)])


def full_epoch(place: Place) -> Found:
    """An epoch of everything, batch 16, fresh views; an epoch is what lies between two lines of output."""
    data, epochs = place.ants_bees, "2" if place.quick else "3"
    ours = place.frostline(
        "frostline full, fresh views", "fit", data, "--strategy", "full", "--views", "0", "--augment", "resized-crop",
        "--batch-size", "16", "--epochs", epochs, "--json", "--out", "run", cache="full", cold=True,
    )  # fmt: skip
    theirs = place.peer("lesson, full", "lesson", data, "--method", "full", "--epochs", epochs)
    runs = place.alternate([ours, theirs])
    work = f"one epoch of `full` (of {epochs}), batch 16, val included"
    limit = "the same forward and backward passes through the same kernels of oneDNN: see the notes"
    return Found([compared(work, runs, ours.name, theirs.name, target=2.5, limit=limit, seconds=Run.epoch)])

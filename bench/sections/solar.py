"""Solar cells, pictures unlike ImageNet's: ``auto`` at its defaults to its final model, against fastai's ``fine_tune``.

Both learn from the same few pictures of each class, hold out of these what they choose by, and are judged on others.
"""

from bench import pictures
from bench.place import Place
from bench.rows import Found, compared

EACH = 50  # of each class to learn from: with all cells, fastai alone would take an hour for each of three runs
EPOCHS = ("1", "3", "5")  # `fine_tune` has no default number


def run(place: Place) -> Found:
    """fastai has the best of its 1, 3 and 5 epochs, chosen by its own val, so it is not the one with less time."""
    cells = pictures.solar_cells(place.work / "solar-cells")
    table = pictures.few(place.work / "solar-cells.csv", cells, *((4, 20) if place.quick else (EACH, None)))
    auto = place.frostline(
        "frostline auto", "fit", table, "--json", "--out", "run",
        cache="solar", cold=True,
    )  # fmt: skip
    peer = place.peer("fastai fine_tune, best of 1, 3, 5", "fastai_fine_tune", table, place.trunk, "--epochs", *EPOCHS)
    runs = place.alternate([auto, peer])
    work = f"solar cells, {EACH} of each class, pictures to a saved model: `auto` at its defaults"
    limit = "deeper phases are cross-validated, for accuracy's sake: see the notes"
    return Found([compared(work, runs, auto.name, peer.name, target=4.0, limit=limit)])


def whole(place: Place) -> Found:
    """All 2,099 cells that are not val; only fastai's shortest run, of two epochs, for the longer ones take hours."""
    data = pictures.solar_cells(place.work / "solar-cells")
    auto = place.frostline("frostline auto", "fit", data, "--json", "--out", "run", cache="solar", cold=True)
    peer = place.peer("fastai fine_tune(1)", "fastai_fine_tune", data, place.trunk, "--epochs", "1")
    runs = place.alternate([auto, peer])
    work = "solar cells, all, pictures to a saved model: `auto` at its defaults"
    limit = "eight epochs of the whole network, for accuracy's sake, where the peer trains two of all"
    return Found([compared(work, runs, auto.name, peer.name, target=4.0, limit=limit)])

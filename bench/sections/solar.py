"""Solar cells, pictures unlike ImageNet's: ``auto`` to its final model, against fastai's ``fine_tune``."""

from statistics import mean

from bench import pictures
from bench.place import Place
from bench.rows import Found, compared
from bench.runner import accuracy, alternate

# `fine_tune` has no default number of epochs, so it is given several; the one of the best val accuracy is its own.
FASTAI_EPOCHS = (1, 3, 5)


def run(place: Place) -> Found:
    """Each three times, so that no row rests on one run; every accuracy is of the last epoch."""
    data = pictures.solar_cells(place.work / "solar-cells-few", at_most=100) if place.quick else (
        pictures.solar_cells(place.work / "solar-cells")
    )  # fmt: skip
    auto = place.frostline(
        "frostline auto", "fit", data, "--json", "--out", "run",
        cache="solar", cold=True,
    )  # fmt: skip
    peers = [
        place.peer(f"fastai fine_tune({epochs})", "fastai_fine_tune", data, place.trunk, "--epochs", str(epochs))
        for epochs in (FASTAI_EPOCHS[:1] if place.quick else FASTAI_EPOCHS)
    ]
    runs = alternate([auto, *peers], place.times(3))
    work = "solar cells, pictures to a saved model"
    limit = "eight epochs of the upper half, for accuracy's sake, where the peer trains two of all"
    best = max(peers, key=lambda who: mean(accuracy(run) or 0.0 for run in runs[who.name]))
    name = f"{work}: `auto` at its defaults"
    rows = [
        compared(name, runs, auto.name, who.name, target=4.0 if who is best else None, limit=limit) for who in peers
    ]
    return Found(rows)

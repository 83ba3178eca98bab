"""Solar cells, pictures unlike ImageNet's: ``auto`` to its final model, against fastai's ``fine_tune``."""

from bench import pictures
from bench.place import Place
from bench.rows import Found, compared
from bench.runner import alternate

# As in fastai's own first example: `fine_tune` has no default number; all else is at its own, as `auto` is.
FASTAI_EPOCHS = 1


def run(place: Place) -> Found:
    """Each once: they take minutes."""
    data = pictures.solar_cells(place.work / "solar-cells-few", at_most=100) if place.quick else (
        pictures.solar_cells(place.work / "solar-cells")
    )  # fmt: skip
    epochs = str(FASTAI_EPOCHS)
    auto = place.frostline(
        "frostline auto", "fit", data, "--json", "--out", "run",
        cache="solar", cold=True,
    )  # fmt: skip
    theirs = place.peer(f"fastai fine_tune({epochs})", "fastai_fine_tune", data, place.trunk, "--epochs", epochs)
    runs = alternate([auto, theirs], 1)
    work = "solar cells, pictures to a saved model"
    limit = "eight epochs of the upper half, for accuracy's sake, where the peer trains two of all"
    row = compared(f"{work}: `auto` at its defaults", runs, auto.name, theirs.name, target=4.0, limit=limit)
    return Found([row])

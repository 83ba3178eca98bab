"""From pictures to a saved model on ants and bees: the probe cold and warm, ``freeze`` with views, and the peers."""

from bench.place import Place
from bench.rows import Found, compared

LESSON_EPOCHS = 25


def run(place: Place) -> Found:
    """Every accuracy is of the last epoch."""
    data = place.ants_bees
    epochs = 1 if place.quick else LESSON_EPOCHS
    lesson = f"lesson, frozen trunk, {epochs} epochs"
    few = [
        place.peer(lesson, "lesson", data, "--method", "freeze", "--epochs", str(epochs)),
        place.peer("timm features + scikit-learn", "sklearn_features", data, place.trunk),
        place.peer("fastai fine_tune(1)", "fastai_fine_tune", data, place.trunk, "--epochs", "1"),
        place.peer(
            "transformers Trainer", "transformers_trainer", data, place.trunk, "--epochs", "1" if place.quick else "3"
        ),
    ]
    probe = ("fit", data, "--strategy", "probe", "--json", "--out", "run")
    ours = [
        place.frostline("frostline probe, cold", *probe, cache="fit", cold=True),
        place.frostline("frostline probe, warm", *probe, cache="fit"),
        place.frostline(
            "frostline freeze, 4 views", "fit", data, "--strategy", "freeze", "--views", "4", "--epochs", str(epochs),
            "--json", "--out", "run", cache="freeze", cold=True,
        ),
    ]  # fmt: skip
    runs = place.alternate([*ours, *few])
    work = "pictures to a saved model, ants and bees"
    cold, warm, freeze = (who.name for who in ours)
    found = Found()
    bounds = "importing torch, timm and scikit-learn, which takes about 3 s in both; see the notes"
    probing, freezing = f"{work}: `probe`, cold store", f"{work}: `freeze`, 4 views, {epochs} epochs, cold store"
    found.rows = [
        compared(probing, runs, cold, lesson, target=40.0, limit=f"{bounds}; then the one pass over the pictures"),
        compared(f"{work}: the same with a warm store", runs, warm, cold, target=3.0, limit=bounds),
        compared(freezing, runs, freeze, lesson, target=10.0, limit="one pass a view, and imports"),
        *(compared(probing, runs, cold, who.name) for who in few[1:]),
    ]
    for name, wanted in ((cold, 25.0), (warm, 10.0)):
        seconds = compared(work, runs, name, name).ours.seconds
        found.facts[f"{name}, whole process"] = f"{seconds:.1f} s (target {wanted:.0f} s)"
        if seconds > wanted:
            found.misses[name] = f"{seconds:.1f} s, not {wanted:.0f} s"
    return found

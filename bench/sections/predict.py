"""Predicting: a thousand pictures from the disk, and one."""

from pathlib import Path

from bench import pictures
from bench.place import Place
from bench.rows import Found, compared
from bench.runner import measure

_NETWORK = "of 12 ms of a core a picture the network takes 10 in float32 and decoding 2"
_COMPILING = "OpenVINO compiles the graph, which it then keeps"


def run(place: Place) -> Found:
    """All contestants open the same model folder, which frostline fits first."""
    model = place.work / "ants-bees-probe"
    if not (model / "model").is_dir():
        measure(
            place.frostline("a model to predict with", "fit", place.ants_bees, "--strategy", "probe", "--out", model)
        )
    model = model / "model"
    many = _many(place)
    one = next(iter(sorted(many.iterdir())))
    found = Found()

    runs = place.alternate(
        [
            place.frostline("frostline predict", "predict", model, many, "--csv"),
            place.peer("transformers pipeline", "transformers_pipeline", model, many),
            place.peer("timm loop", "timm_loop", model, many),
        ]
    )
    found.rows += [
        compared(
            f"predicting {len(list(many.iterdir())):,} JPEGs from the disk, whole process",
            runs,
            "frostline predict",
            other,
            target=target,
            limit=limit,
        )
        for other, target, limit in (
            ("transformers pipeline", 5.0, _NETWORK),
            ("timm loop", 4.0, f"{_NETWORK}; timm's loader decodes in two processes"),
        )
    ]
    ours = runs["frostline predict"][-1].seconds
    found.facts["pictures a second, `frostline predict`, whole process"] = f"{len(list(many.iterdir())) / ours:.0f}"

    runs = place.alternate(
        [
            place.frostline("frostline predict, nothing cached", "predict", model, one, cache="new", cold=True),
            place.frostline("frostline predict", "predict", model, one),
            place.peer("torch + timm", "timm_one", model, one),
        ],
        5,
    )
    for ours, when in (("frostline predict", ""), ("frostline predict, nothing cached", ", nothing cached")):
        work = f"predicting one picture, whole process{when}"
        row = compared(work, runs, ours, "torch + timm", target=5.0, limit=_COMPILING)
        found.rows.append(row)
        if row.ours.seconds > 1:
            found.misses[f"{ours} of one picture"] = f"{row.ours.seconds:.2f} s, not 1 s"
    return found


def _many(place: Place) -> Path:
    """A thousand pictures of ants and bees at the size they came in; a few in quick mode."""
    if place.quick:
        return pictures.first(place.work / "few", pictures.made(place.work / "made", place.ants_bees, 24), 24)
    return pictures.first(place.work / "thousand", pictures.made(place.work / "made", place.ants_bees, 1000), 1000)

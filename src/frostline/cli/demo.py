"""``frostline demo``: fit real pictures, and predict a few."""

import itertools
from pathlib import Path
from typing import Annotated

from typer import Option


def demo(
    data: Annotated[str, Option(help="solar-cells, ants-bees, or a path of your own.")] = "solar-cells",
    out: Annotated[Path | None, Option(help="The run's folder.")] = None,
    strategy: Annotated[str, Option(help="How to learn.")] = "probe",
    quiet: Annotated[bool, Option("--quiet", "-q", help="Say nothing while working.")] = False,
) -> None:
    """Fit a real data set, show the figures, and predict a few pictures."""
    from frostline.cli import console, fit, predict
    from frostline.data.demos import DEMOS
    from frostline.data.sources import default_cache, read

    chosen = DEMOS.get(data)
    if chosen:
        console.aside(f"{chosen.name}: {chosen.about} Pictures: {chosen.licence}.")
    place = chosen.place(default_cache() / "demo") if chosen else Path(data)
    model = fit.run(place, {"strategy": strategy, "out": out}, as_json=False, quiet=quiet)
    manifest = read(place)
    by_class = {name: [row for row in manifest.rows if row.labels == (name,)] for name in manifest.classes}
    few = list(itertools.chain.from_iterable(rows[-2:] for rows in by_class.values()))[:6]
    paths = [str(row.picture) for row in few if isinstance(row.picture, Path)]
    console.aside(f"\n$ frostline predict {model} " + " ".join(Path(path).name for path in paths))
    predict.predict(model, paths)

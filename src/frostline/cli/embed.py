"""``frostline embed``: the features of pictures, for whatever else is to be done with them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from frostline.cli import gc_settings
from frostline.cli.fit import with_options
from frostline.options import OPTIONS, READING

if TYPE_CHECKING:
    from frostline.data.manifest import Manifest


def embed(
    data: Annotated[Path, Argument(help="Pictures, as for `fit`.")],
    out: Annotated[Path, Option(help="The file to write: .parquet or .npz.")] = Path("features.npz"),
    line: Annotated[str, Option(help="head, or a stage such as blocks.4, averaged over its pixels.")] = "head",
    model: Annotated[str, Option(help=OPTIONS["model"].help)] = "tf_efficientnet_lite0",
    weights: Annotated[str, Option(help=OPTIONS["weights"].help)] = "auto",
    engine: Annotated[str, Option(help=OPTIONS["engine"].help)] = "auto",
    precision: Annotated[str, Option(help=OPTIONS["precision"].help)] = "auto",
    on: Annotated[str | None, Option(help="ray: compute on a Ray cluster; --out is a folder of Parquet.")] = None,
    address: Annotated[str | None, Option(help=OPTIONS["address"].help)] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show no progress.")] = False,
    **place: Any,
) -> None:
    """Write the features of pictures: path, label, split, digest and what the backbone gives below its head.

    [dim]frostline embed hymenoptera_data --out features.parquet[/dim]
    """
    from frostline.cli import console
    from frostline.cli.screen import Screen
    from frostline.data.place_options import PlaceOptions
    from frostline.data.sources import default_cache, read

    with Screen(quiet=quiet) as screen:
        screen.say(f"reading {data}")
        with gc_settings.importing():
            from frostline.features.store import Store
            from frostline.workflows import embed as run

        cache = default_cache()
        manifest = read(data, how=PlaceOptions.of(place))
        if on is not None:
            how = {"model": model, "weights": weights, "line": line, "engine": engine, "precision": precision}
            _on_cluster(on, manifest, out, address=address, how=how)
            return
        found = run.embed(
            manifest, store=Store(cache / "store"), cache=cache, model=model,
            weights=weights, line=line, engine=engine, precision=precision, listen=screen,
        )  # fmt: skip
        run.write(found, out)
    console.aside(f"{len(found.rows):,} pictures, {found.features.shape[1]:,} features each, saved to {out}")
    for item in found.skipped:
        console.aside(f"left out: {item.name}: {item.reason}")
    if found.skipped:
        raise typer.Exit(1)


def _on_cluster(on: str, manifest: "Manifest", out: Path, *, address: str | None, how: dict[str, str]) -> None:
    from frostline.cli import console
    from frostline.errors import PlanError
    from frostline.scale.embed import Embed
    from frostline.scale.on_ray import check_engine, run

    check_engine(on)
    if out.suffix in (".npz", ".parquet"):
        raise PlanError("a cluster writes a folder of Parquet parts", where=f"--out {out}", hint="--out FOLDER")
    new = run(Embed, how, manifest.rows, out, address=address, labelled=True, tell=console.aside)
    console.parts(new, out)
    if new.unreadable:
        raise typer.Exit(1)


embed.__signature__ = with_options(embed, READING)  # type: ignore[attr-defined]

"""``frostline embed``: the features of pictures, for whatever else is to be done with them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from frostline.cli import gc_settings, idle
from frostline.cli.complete import offered, plain
from frostline.cli.fit import with_options
from frostline.options import OPTIONS, READING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frostline.data.manifest import Manifest, Row
    from frostline.data.places.place_options import PlaceOptions


def embed(
    data: Annotated[Path, Argument(help="Pictures, as for `fit`.")],
    out: Annotated[Path, Option(help="The file to write: .parquet or .npz.")] = Path("features.npz"),
    line: Annotated[str, Option(help="head, or a stage such as blocks.4, averaged over its pixels.")] = "head",
    model: Annotated[
        str, Option(help=plain(OPTIONS["model"].help), autocompletion=offered("model"))
    ] = "tf_efficientnet_lite0",
    weights: Annotated[str, Option(help=plain(OPTIONS["weights"].help))] = "auto",
    engine: Annotated[str, Option(help=plain(OPTIONS["engine"].help), autocompletion=offered("engine"))] = "auto",
    precision: Annotated[
        str, Option(help=plain(OPTIONS["precision"].help), autocompletion=offered("precision"))
    ] = "auto",
    unlabelled: Annotated[
        bool, Option("--unlabelled", help="Take all pictures of a folder, WebDataset shard or Parquet file.")
    ] = False,
    on: Annotated[str | None, Option(help="ray: compute on a Ray cluster; --out is a folder of Parquet.")] = None,
    address: Annotated[str | None, Option(help=plain(OPTIONS["address"].help))] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show no progress.")] = False,
    **place: Any,
) -> None:
    """Write the features of pictures: path, label, split, digest and what the backbone gives below its head.

    [dim]frostline embed hymenoptera_data --out features.parquet[/dim]
    """
    from frostline.cli import console
    from frostline.cli.screen import Screen
    from frostline.data.cache_folder import default_cache
    from frostline.data.loose_pictures import pictures
    from frostline.data.places.place_options import PlaceOptions
    from frostline.data.sources import unlabelled as all_of

    if on is None:
        idle.refuse(without="--on", address=address is not None)
    with Screen(quiet=quiet) as screen:
        screen.say(f"reading {data}")
        with gc_settings.importing():
            from frostline.features.store import Store
            from frostline.workflows import embed as run

        said = PlaceOptions.of(place)
        if on is not None:
            how = {"model": model, "weights": weights, "line": line, "engine": engine, "precision": precision}
            # Without labels nothing asks for digests: what there is to read, the workers read.
            given = pictures([_unlabelled(data, said)]) if unlabelled else _read(data, said)
            _on_cluster(on, given, out, address=address, how=how)
            return
        run.check_place(out)
        cache = default_cache()
        manifest = all_of(_unlabelled(data, said)) if unlabelled else _read(data, said)
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


def _read(data: Path, said: "PlaceOptions") -> "Manifest":
    from frostline.data.sources import read
    from frostline.errors import DataError

    try:
        return read(data, how=said)
    except DataError as error:
        hint = f"{error.hint}; if there are no labels: --unlabelled" if data.exists() else error.hint
        raise DataError(error.what, where=error.where, hint=hint) from None


def _unlabelled(data: Path, said: "PlaceOptions") -> str:
    """Raises: PlanError: labels are spoken of, and there are to be none."""
    from frostline.data.places.place_options import option
    from frostline.errors import PlanError

    for name in said.given():
        raise PlanError("pictures without labels are taken as they lie", where=option(name), hint="leave it out")
    return str(data)


def _on_cluster(
    on: str, given: "Manifest | Iterable[Row]", out: Path, *, address: str | None, how: dict[str, str]
) -> None:
    """given: labelled pictures, or any others, whose labels are not written."""
    from frostline.cli import console
    from frostline.data.manifest import Manifest
    from frostline.errors import PlanError
    from frostline.scale.embed import Embed
    from frostline.scale.on_ray import check_engine, run

    check_engine(on)
    if out.suffix in (".npz", ".parquet"):
        raise PlanError("a cluster writes a folder of Parquet parts", where=f"--out {out}", hint="--out FOLDER")
    known = isinstance(given, Manifest)
    rows, several = (given.rows, given.multilabel) if isinstance(given, Manifest) else (given, False)
    new = run(Embed, how, rows, out, address=address, labelled=known, several=several, tell=console.aside)
    console.parts(new, out)
    if new.unreadable:
        raise typer.Exit(1)


embed.__signature__ = with_options(embed, READING)  # type: ignore[attr-defined]

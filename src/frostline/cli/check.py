"""``frostline check``: what is wrong with a data set, before anyone trains on it."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from frostline.cli import gc_settings, idle
from frostline.cli.complete import offered, plain
from frostline.cli.fit import with_options
from frostline.options import OPTIONS, READING

_DROPPED = "unreadable,duplicates,leakage"


def check(
    data: Annotated[Path, Argument(help="Pictures as for `fit`: folder, table or archive.")],
    out: Annotated[Path, Option(help="The page with everything that was found.")] = Path("check.html"),
    json: Annotated[bool, Option("--json", help="Print what was found as JSON.")] = False,
    strict: Annotated[bool, Option("--strict", help="Exit with 1 if there is leakage or a label conflict.")] = False,
    write: Annotated[Path | None, Option(help="Write a CSV for `fit` without what --drop names.")] = None,
    drop: Annotated[str, Option(help="Findings that --write leaves out, joined by commas.")] = _DROPPED,
    features: Annotated[
        bool, Option("--features/--no-features", help="Ask a network about labels and outliers.")
    ] = True,
    model: Annotated[
        str, Option(help="The network that is asked, as for `fit`.", autocompletion=offered("model"))
    ] = "tf_efficientnet_lite0",
    weights: Annotated[str, Option(help=plain(OPTIONS["weights"].help))] = "auto",
    engine: Annotated[
        str, Option(help="Inference engine: auto, openvino or torch.", autocompletion=offered("engine"))
    ] = "auto",
    on: Annotated[str | None, Option(help="ray: decode and ask the network on a Ray cluster.")] = None,
    address: Annotated[str | None, Option(help=plain(OPTIONS["address"].help))] = None,
    intensity: Annotated[str | None, Option(help=plain(OPTIONS["intensity"].help))] = None,
    bands: Annotated[str | None, Option(help=plain(OPTIONS["bands"].help))] = None,
    background: Annotated[str | None, Option(help=plain(OPTIONS["background"].help))] = None,
    lang: Annotated[str, Option(help="Language of the page: en or zh.", autocompletion=offered("lang"))] = "en",
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show no progress, only warnings.")] = False,
    **place: Any,
) -> None:
    """Look for leakage, wrong labels, copies, shortcuts and broken files; no picture is ever changed.

    [dim]frostline check hymenoptera_data[/dim]
    [dim]frostline check hymenoptera_data --write cleaned.csv --drop unreadable,leakage[/dim]
    """
    from frostline.cli import console
    from frostline.cli.screen import Screen
    from frostline.data.cache_folder import default_cache
    from frostline.data.pictures.reading import asked
    from frostline.data.places.place_options import PlaceOptions, option
    from frostline.judge.audit.write_csv import chosen, write_cleaned
    from frostline.judge.check_page.render import page
    from frostline.judge.write_html import write_html
    from frostline.scale.elsewhere import elsewhere

    if not features:
        idle.refuse(
            beside="--no-features",
            model=model != OPTIONS["model"].default,
            weights=weights != "auto",
            engine=engine != "auto",
            on=on is not None,
        )
    if on is None:
        idle.refuse(without="--on", address=address is not None)
    if write is None:
        idle.refuse(without="--write", drop=drop != _DROPPED)
    with Screen(quiet=quiet) as screen:
        screen.say(f"reading {data}")
        with gc_settings.importing():
            from frostline.features.store import Store
            from frostline.workflows import check as run

        unwanted, cache = chosen(drop, features=features), default_cache()
        how = PlaceOptions.of(place)
        reading = asked(intensity=intensity, bands=bands, background=background)
        if features:
            store = Store(cache / "store")
            found = run.check(
                data,
                elsewhere=elsewhere(on, address),
                store=store,
                cache=cache,
                model=model,
                weights=weights,
                engine=engine,
                reading=reading,
                how=how,
                listen=screen,
            )
        else:
            found = run.check_files(data, cache=cache, reading=reading, how=how, listen=screen)
        asked_so = {"model": model, "weights": weights, "engine": engine}
        changed = {name: value for name, value in asked_so.items() if value != OPTIONS[name].default}
        said = {**changed, **place, "intensity": intensity, "bands": bands, "background": background}
        options = [word for name, value in said.items() if value is not None for word in (option(name), str(value))]
        options = options if features else ["--no-features", *options]
        write_html(page(found, lang=lang, options=options), out)
    if json:
        console.json(found.to_dict())
    else:
        console.audit(found, page=out)
    if write is not None:
        kept, gone = write_cleaned(found, write, drop=unwanted)
        console.aside(f"{kept:,} pictures are in {write}, {gone:,} are left out; next: frostline fit {write}")
    if strict and found.failed:
        raise typer.Exit(1)


check.__signature__ = with_options(check, READING)  # type: ignore[attr-defined]

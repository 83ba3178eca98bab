"""Wrong options are refused before any data is read: everything that can be told of them without it."""

from pathlib import Path

from frostline.data.cache_folder import expanded
from frostline.data.folders.name_patterns import compiled
from frostline.data.pictures.reading import asked
from frostline.data.split import shares_of
from frostline.data.tables.boxes import check_box_options
from frostline.errors import PlanError, WeightsError
from frostline.inference.engine import checked_precision, engines
from frostline.judge.pages.translations import checked
from frostline.net import zoo
from frostline.options import OPTIONS, FitOptions
from frostline.quantities import seconds, side, size
from frostline.run.run_folder import check_place
from frostline.train.device import check_device, trackers_of
from frostline.train.plan import out_of_range
from frostline.train.strategies import check_given, make_recipe

REFITS = ("auto", "on", "off")


def check_options(options: FitOptions) -> None:
    """Refuse what no data could make right.

    Raises: PlanError: a value that is out of range or means nothing. UnknownName: no such strategy, engine or model.
        WeightsError: there is no such weights file. CheckpointError: the run's folder holds something.
    """
    _check_types(options)
    checked(options.lang)
    if not 0 <= options.seed < 1 << 63:
        raise out_of_range("seed", options.seed, "a whole number in [0, 2^63)")
    size(options.store_limit)
    seconds(options.budget)
    checked_precision(options.precision)
    check_device(options.device)
    if options.track:
        trackers_of(options.track)
    check_box_options(options.box_format, options.box_margin)
    asked(intensity=options.intensity, bands=options.bands, background=options.background)
    if options.label_pattern is not None:
        compiled(options.label_pattern)
    if options.split is not None:
        shares_of(options.split)
    if not 0 < options.val < 1:
        raise PlanError(f"a validation share of {options.val:g}", where="--val", hint="more than 0, less than 1")
    if options.drop_path is not None and not 0 <= options.drop_path < 1:
        raise out_of_range("drop_path", options.drop_path, "in [0, 1)")
    side(options.image_size)
    if options.refit not in REFITS:
        raise PlanError(f"there is no refit {options.refit!r}", where="--refit", hint=f"one of {', '.join(REFITS)}")
    least = {"folds": 2, "few": 1}
    for name, number in least.items():
        value = getattr(options, name)
        if value is not None and value < number:
            flag = f"--{name.replace('_', '-')}"
            raise PlanError(f"{flag} must be at least {number}, not {value}", where=flag, hint=f"give {number} or more")
    _check_val_options(options)
    check_given(options.strategy, options.training)
    if options.engine != "auto":
        engines.get(options.engine)
    make_recipe(options.training, pictures=1)
    zoo.check_name(options.model)
    weights = options.weights
    if weights not in (None, "auto", "none") and not expanded(str(weights)).exists():
        raise WeightsError("there is no such weights file", where=weights, hint="check the path")
    check_named(options.out, resume=options.resume, overwrite=options.overwrite)
    if options.out is not None:
        check_place(Path(options.out), resume=options.resume, overwrite=options.overwrite)


def _check_types(options: FitOptions) -> None:
    """Refuse what no command line would have read: who calls from Python may give anything.

    Raises: PlanError: it is given.
    """
    kinds = {int: (int, "a whole number"), float: (int | float, "a number"), bool: (bool, "True or False")}
    for option in OPTIONS.values():
        value = getattr(options, option.name)
        if option.parsed not in kinds or (value is None and option.default is None):
            continue
        kind, words = kinds[option.parsed]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise out_of_range(option.name, repr(value), words)
    if not isinstance(options.lr, str | int | float | None):
        raise out_of_range("lr", repr(options.lr), "a number")


def _check_val_options(options: FitOptions) -> None:
    """Refuse what goes by the figures of a val split after each epoch, where it is said that there is none.

    Raises: PlanError: it is given.
    """
    by_val = {"--schedule plateau": options.schedule == "plateau", "--keep best": options.keep == "best"}
    by_val["--patience"] = bool(options.patience)
    idle = [flag for flag, given in by_val.items() if given]
    if options.folds is not None and idle:
        raise PlanError(
            f"folds have no val split after each epoch for {', '.join(idle)} to go by",
            where="--folds",
            hint="leave that out, or --folds, and a val split is split off",
        )
    if options.refit == "on" and options.schedule == "plateau":
        raise PlanError(
            "a refit learns from the val pictures, and --schedule plateau has none to go by",
            where="--refit",
            hint="take another schedule, or --refit auto, which leaves the refit out",
        )


def check_named(out: object, *, resume: bool, overwrite: bool) -> None:
    """Refuse to go on with, or to replace, a run in a folder that nobody names.

    Raises: PlanError: so it is.
    """
    if out is None and (resume or overwrite):
        name = "--resume" if resume else "--overwrite"
        raise PlanError(f"{name} is of a run in a folder, and none is named", where=name, hint="name it with --out DIR")

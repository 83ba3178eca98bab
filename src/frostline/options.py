"""Every option of a fit, once: its name, type, default, help, panel of ``--help`` and scope.

The command line, `ImageClassifier` (arguments, docstring, ``set_params``), the run's `Settings`, the defaults of
`Recipe`, the command that repeats a run and the tables of the documentation are made from this list.

    FitOptions     the options of one fit, as values
    Option         what is known of one of them
    BySize         a default that depends on how many training pictures there are
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from frostline.quantities import number

SMALL, LARGE = 1_000, 20_000  # training pictures; between them lies the middle column
FEW = 250  # training pictures, among the small

Scope = Literal["data", "network", "training", "run", "machine", "output"]
"""What an option belongs to. "training" goes into the plan; "output" changes no result and is left out of the command
that repeats a run."""

_STRATEGY, _STEP, _VIEWS, _MACHINE = "Strategy", "Each training step", "Pictures and views", "Hardware"
_READING = "Reading the data"


@dataclass(frozen=True, slots=True)
class BySize:
    """A default for small (< 1,000 training pictures), middling and large (>= 20,000) data, and where it comes from.

    few: below 250 pictures, if it is another one there.
    """

    small: Any
    middle: Any
    large: Any
    source: str
    few: Any = None

    def for_size(self, pictures: int) -> Any:
        """The value for that many training pictures."""
        if self.few is not None and pictures < FEW:
            return self.few
        return self.small if pictures < SMALL else self.middle if pictures < LARGE else self.large


def same(value: Any, source: str) -> BySize:
    """The same default for every size of data."""
    return BySize(value, value, value, source)


@dataclass(frozen=True, slots=True)
class Option:
    """What is known of one option.

    default: None where the strategy and the size of the data choose; `by_size` says how.
    parsed: the type that the command line reads; bool is a flag.
    """

    name: str
    default: Any
    help: str
    scope: Scope
    panel: str | None
    parsed: type
    by_size: BySize | None

    @property
    def flag(self) -> str:
        """As it is typed: ``--weight-decay``."""
        return f"--{self.name.replace('_', '-')}"


def _option(
    default: Any,
    help: str,
    scope: Scope,
    *,
    parsed: type = str,
    panel: str | None = None,
    by_size: BySize | None = None,
) -> Any:
    return field(
        default=default, metadata={"help": help, "scope": scope, "panel": panel, "parsed": parsed, "by_size": by_size}
    )


def _training(help: str, by_size: BySize, *, parsed: type = float, panel: str = _STEP) -> Any:
    return _option(None, help, "training", parsed=parsed, panel=panel, by_size=by_size)


def _reading(help: str, *, parsed: type = str) -> Any:
    return _option(None, help, "data", parsed=parsed, panel=_READING)


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The options of one fit. What is None is chosen by the strategy and the size of the data."""

    model: str = _option("tf_efficientnet_lite0", "A timm name, torchvision/NAME or package.module:factory.", "network")
    weights: str | Path | None = _option(
        "auto", "Pretrained weights: auto, a checkpoint file or folder, or none.", "network"
    )
    strategy: str = _option("auto", "How to fine-tune; `frostline strategies` lists the strategies.", "run")
    out: str | Path | None = _option(
        None, "Folder of the run (command line: runs/DATA-STRATEGY).", "output", parsed=Path
    )
    resume: bool = _option(False, "Continue the interrupted run in --out.", "output", parsed=bool)
    overwrite: bool = _option(False, "Write over a finished run or other things in --out.", "output", parsed=bool)
    seed: int = _option(0, "Random seed.", "run", parsed=int)
    val: float = _option(0.2, "Validation share, used if the data has no val split.", "data", parsed=float)
    split: str | None = _option(
        None, "Ignore the given splits and re-split: 80/20 (train/val) or 70/15/15 (train/val/test).", "data"
    )
    group: str | None = _option(None, "Column (patient, device, day) whose groups are never split apart.", "data")
    image_column: str | None = _reading("Column of the pictures: paths or names.")
    label_column: str | None = _reading("Column of the labels.")
    split_column: str | None = _reading("Column that says train, val or test; none if there is none.")
    images: str | Path | None = _reading("Folder in which the pictures of a table lie.", parsed=Path)
    suffix: str | None = _reading("What names of pictures in a table lack: .jpg.")
    label_separator: str | None = _reading("What parts labels in a cell: a comma, space; none if it is one label.")
    box_format: str | None = _reading("What a box of a table gives: corners, size (left, top, width, height), or none.")
    box_margin: float | None = _reading(
        "How much more than the box is seen on each side, as a share of it.", parsed=float
    )
    label_pattern: str | None = _reading(
        "Regular expression whose group is the label in a file's name (with a / in it: in its path)."
    )
    ignore: str | None = _reading("Files and folders to leave out: patterns joined by commas.")
    few: int | None = _option(None, "Train on this many pictures of each class.", "data", parsed=int)
    folds: int | None = _option(
        None,
        "Evaluate by cross-validation over this many folds; the final model is fitted on all pictures.",
        "data",
        parsed=int,
    )
    lang: str = _option("en", "Language of the report: en or zh.", "output")

    lr: float | str | None = _training(
        "Learning rate of the head, or auto (range test).",
        same(1e-3, "AdamW's customary rate for a new head (Loshchilov & Hutter 2019, arXiv:1711.05101)"),
        parsed=str,
        panel=_STRATEGY,
    )
    trunk_lr: float | None = _training(
        "Learning rate of the backbone; 0 freezes it.",
        same(1e-4, "a tenth of the head's rate, as in the lesson and in Li et al. 2020, arXiv:2002.11770"),
        panel=_STRATEGY,
    )
    decay: float | None = _training(
        "Layer-wise decay: factor of the learning rate from each stage to the one below.",
        same(0.75, "layer-wise decay of BEiT and MAE fine-tuning (arXiv:2106.08254, arXiv:2111.06377)"),
        panel=_STRATEGY,
    )
    epochs: int | None = _training(
        "Epochs of each training phase (for gradual: of all together).",
        BySize(20, 15, 10, "about equal optimizer steps; BiT's HyperRule scales steps likewise (arXiv:1912.11370)"),
        parsed=int,
        panel=_STRATEGY,
    )
    rank: int | None = _training(
        "Rank of the LoRA adapters.",
        same(8, "LoRA (arXiv:2106.09685), table 6: rank 4 to 8 is enough"),
        parsed=int,
        panel=_STRATEGY,
    )
    budget: float | str | None = _option(
        None,
        "Time limit of the whole run: 90s, 5m, 1h.",
        "run",
        panel=_STRATEGY,
        by_size=same(300.0, "five minutes: what a person waits for; only `auto` has a budget by itself"),
    )
    refit: str = _option(
        "auto",
        "Learn from the val pictures too, once they have chosen: on, off, or auto, where the time allows.",
        "run",
        panel=_STRATEGY,
    )
    patience: int | None = _training(
        "Early stopping: epochs without a better val loss; 0 is off.",
        BySize(0, 5, 3, "val splits below 200 pictures are too noisy to stop by"),
        parsed=int,
        panel=_STRATEGY,
    )
    keep: str | None = _training(
        "Keep the last epoch, or the best on val.",
        BySize(
            "last",
            "best",
            "best",
            "val must not choose the epoch that it judges: 1.3 points too good at 150 pictures; where a phase may stop "
            "early, or the schedule does not end at zero, the best",
        ),
        parsed=str,
        panel=_STRATEGY,
    )
    frozen_norm: str | None = _training(
        "Running statistics of BatchNorm: hold (below the frost line), hold-all (above it too), or update.",
        BySize(
            "hold",
            "hold-all",
            "hold",
            "frozen means that the function does not change; held above the line too: 3 points better on solar cells "
            "(2,099), 1 to 2 worse on ants and bees (244); large data not measured",
        ),
        parsed=str,
        panel=_STRATEGY,
    )

    batch_size: int | None = _training(
        "Pictures in a batch.",
        BySize(16, 32, 64, "the lesson's 16 for hundreds of pictures; small batches generalise (arXiv:1804.07612)"),
        parsed=int,
    )
    optimizer: str | None = _training(
        "Any of timm's optimizers: sgd, adamw, lamb, ...",
        same("adamw", "robust over CNNs and ViTs alike (timm's own fine-tuning recipes)"),
        parsed=str,
    )
    momentum: float | None = _training(
        "Momentum of the optimizer (SGD family).", same(0.9, "the lesson; Sutskever et al. 2013")
    )
    weight_decay: float | None = _training(
        "Weight decay; norms and biases are left out.",
        same(0.01, "PyTorch's default for AdamW; norms and biases are left out (arXiv:1812.01187)"),
    )
    schedule: str | None = _training(
        "Learning-rate schedule: constant, step, cosine, one-cycle or plateau.",
        same("cosine", "SGDR (arXiv:1608.03983)"),
        parsed=str,
    )
    warmup: float | None = _training(
        "Epochs of warm-up.", BySize(0.5, 0.5, 1.0, "a short warm-up protects pretrained weights (arXiv:1706.02677)")
    )
    step_size: int | None = _training(
        "Epochs between decays of the `step` schedule.", same(7, "the lesson"), parsed=int
    )
    gamma: float | None = _training("Decay factor of the `step` and `plateau` schedules.", same(0.1, "the lesson"))
    clip: float | None = _training(
        "Largest gradient norm; 0 is off.", same(1.0, "timm's and transformers' fine-tuning default")
    )
    accumulate: int | None = _training(
        "Gradient accumulation: batches in an optimizer step.",
        same(1, "batches this small fit into memory"),
        parsed=int,
    )
    ema: float | None = _training(
        "Decay of the moving average of the weights; 0 is off.",
        BySize(0.0, 0.99, 0.999, "averages some 1/(1-d) steps; short runs have too few (timm)"),
    )
    l2sp: float | None = _training(
        "L2-SP: penalty on the distance to the pretrained weights.",
        same(0.0, "off: freezing and small rates keep the weights near already (arXiv:1802.01483)"),
    )
    interpolate: float | None = _training(
        "WiSE-FT: weights after a phase, as a share of the way from those before it to those it trained.",
        same(1.0, "off: the trained weights are kept as they are (arXiv:2109.01903)"),
    )
    label_smoothing: float | None = _training(
        "Label smoothing in [0, 1).",
        BySize(0.0, 0.05, 0.1, "hurts calibration on tiny data (arXiv:1906.02629), helps on large (arXiv:1512.00567)"),
    )
    balance: str | None = _training(
        "Class balancing: none, sampling or weights.",
        same("none", "changes the prior that calibrated probabilities are read with"),
        parsed=str,
    )
    drop_path: float | None = _option(
        None,
        "Stochastic depth in [0, 1).",
        "network",
        parsed=float,
        panel=_STEP,
        by_size=same(0.0, "helps large ViTs on large data only (arXiv:1603.09382)"),
    )
    compile: bool | None = _training(
        "Use torch.compile.", same(False, "compiling takes longer than a short run gains"), parsed=bool
    )

    flips: bool | None = _training(
        "Let a fitted head learn from mirror images too, where the out-of-fold log loss is then lower.",
        same(False, "twice the features for 0.2 points on average: bench/ACCURACY.md"),
        parsed=bool,
        panel=_VIEWS,
    )
    head_crops: int | None = _training(
        "Random crops of each picture that a fitted head learns from too, unless the out-of-fold log loss is then "
        "clearly higher; 0: none.",
        BySize(None, 0, 0, "4 where that is at most 5e11 operations, 160 pictures with tf_efficientnet_lite0"),
        parsed=int,
        panel=_VIEWS,
    )
    views: int | None = _training(
        "Augmented views of a picture whose features are stored; 0: new ones every epoch, no store.",
        BySize(4, 2, 2, "each view costs one pass over the pictures; not tuned"),
        parsed=int,
        panel=_VIEWS,
    )
    augment: str | None = _training(
        "Augmentation: none, flip, basic, resized-crop, trivial or rand.",
        same("basic", "random resized crop and flip: the lesson"),
        parsed=str,
        panel=_VIEWS,
    )
    erasing: float | None = _training(
        "Probability of random erasing.",
        same(0.0, "arXiv:1708.04896 finds it helps from-scratch training most"),
        panel=_VIEWS,
    )
    mixup: float | None = _training(
        "Mixup: parameter of the Beta distribution; 0 is off.",
        BySize(0.0, 0.0, 0.2, "needs long training to pay (arXiv:1710.09412; BiT uses it above 20,000 pictures)"),
        panel=_VIEWS,
    )
    cutmix: float | None = _training(
        "CutMix: parameter of the Beta distribution; 0 is off.",
        same(0.0, "needs long training to pay (arXiv:1905.04899)"),
        panel=_VIEWS,
    )
    image_size: int | str | None = _option(
        None,
        "Side of the square input in pixels, if not the model's own; auto: also tries 1.3 times that.",
        "network",
        parsed=str,
        panel=_VIEWS,
        by_size=same(None, "the backbone's own; a larger one pays in time first (arXiv:1906.06423)"),
    )

    intensity: str | None = _option(
        None,
        "LOW:HIGH: values that are black and white in pictures of more than 8 bits [default: decided by the pictures].",
        "data",
        panel=_VIEWS,
    )
    bands: str | None = _option(
        None, "Bands that the network gets, the first is 1: 1,2,3 or 4,1,2 or 1,2,3,4,5.", "data", panel=_VIEWS
    )
    background: str | None = _option(
        None, "Colour below transparent pixels: white, black or #rrggbb [default: white].", "data", panel=_VIEWS
    )

    engine: str = _option(
        "auto", "Inference engine of the frozen layers: auto, openvino, torch or a plugin.", "machine", panel=_MACHINE
    )
    precision: str = _option("auto", "Number format: auto, fp32 or bf16.", "machine", panel=_MACHINE)
    device: str = _option("auto", "Device: auto, cpu, cuda or mps.", "machine", panel=_MACHINE)
    on: str | None = _option(
        None, "Compute the features of frozen layers elsewhere: ray, on a Ray cluster.", "output", panel=_MACHINE
    )
    address: str | None = _option(
        None,
        "Address of the cluster, auto for this machine's; without one, it is started here.",
        "output",
        panel=_MACHINE,
    )
    store_limit: int | str = _option("20GB", "Largest size of the feature store on disk.", "output", panel=_MACHINE)
    track: str | None = _option(
        None, "Experiment trackers, joined by commas: tensorboard, wandb, mlflow, ...", "output", panel=_MACHINE
    )

    def of_scope(self, *scopes: Scope) -> dict[str, Any]:
        """The values of the options of some scopes, by name."""
        return {option.name: getattr(self, option.name) for option in OPTIONS.values() if option.scope in scopes}

    def given(self) -> Iterator[tuple[Option, Any]]:
        """The options that were set to something else than their default, "output" left out."""
        for option in OPTIONS.values():
            value = getattr(self, option.name)
            if option.scope != "output" and value != option.default:
                yield option, value

    @property
    def training(self) -> dict[str, Any]:
        """The training options for a plan; None where the strategy chooses.

        Raises: PlanError: the learning rate is text other than "auto".
        """
        options = self.of_scope("training")
        if options["lr"] == "auto":
            return options | {"lr": None, "rate_search": True}
        if isinstance(options["lr"], str):
            options["lr"] = number(options["lr"], "--lr")
        return options


OPTIONS: dict[str, Option] = {f.name: Option(f.name, f.default, **f.metadata) for f in fields(FitOptions)}
"""Every option of a fit, in the order of ``frostline fit --help``."""


READING = ("group", *(option.name for option in OPTIONS.values() if option.panel == _READING))
"""The options by which a place is read; `evaluate` takes them too."""

"""Training defaults: those of `options` by the size of the data, and what one option's value says about the others.

What the user gives wins over what a strategy's own signature says, and that wins over these tables.
"""

from collections.abc import Mapping
from typing import Any

from frostline.options import OPTIONS, BySize, same

TABLE: dict[str, BySize] = {
    **{name: option.by_size for name, option in OPTIONS.items() if option.by_size is not None},
    "rate_search": same(False, "measured only when --lr auto asks for it (arXiv:1506.01186)"),
}


_UNENDED = same(
    "best", "the schedule does not end at zero, so the last epoch is no better than any; val chooses, and is said to"
)
_SOLVED_ON = same("hold-all", "the head was fitted on features computed with the stored statistics")
_HELD = same("hold-all", "measured: 1 to 2 points better on ants and bees")

# Where one option's value says what others mean: the lesson's optimizer and schedule are PyTorch's plain ones, and what
# starts from a fitted head has something to lose.
GIVEN: dict[tuple[str, str], dict[str, BySize]] = {
    ("weights", "none"): {
        "frozen_norm": same("hold", "random weights have no statistics worth holding"),
        "image_size": same(None, "random weights expect no size"),
    },
    ("strategy", "auto"): {
        "image_size": BySize(
            "auto",
            "auto",
            None,
            "tried where it is little work: 150 textile pictures, three draws, 93.6 to 97.5 % in the same five "
            "minutes, 1,280 from 96.8 to 98.3 %, ants and bees 95.1 to 95.5 % (twelve draws of 40 and 100)",
        ),
        "lr": BySize(
            3e-4,
            3e-4,
            1e-4,
            "from a fitted head: one draw of 150 textile pictures came from 68 % to 87 % at 3e-4, to 79 % at 1e-4; "
            "1,280 came from 79 to 97 %, 1,680 solar cells from 86 to 89 %, warmed up over a fifth of the epochs",
        ),
        "decay": same(0.9, "from a fitted head: measured on solar cells"),
        "epochs": BySize(
            20,
            8,
            6,
            "from a fitted head: on solar cells 6 to 9; 40 textile pictures came to 75 % in 20 and to 84 % in 40",
            few=40,
        ),
        "warmup": BySize(
            4.0,
            1.6,
            1.0,
            "from a fitted head: Adam's first steps are as long as the rate says; after half an epoch of few pictures "
            "the loss rose from 0.9 to between 5 and 58, and 40 textile pictures came to 72 % in place of 84 %",
            few=8.0,
        ),
        "label_smoothing": BySize(
            0.1,
            0.05,
            0.1,
            "from a fitted head: over nine draws as accurate as without, and far less sure of what is wrong",
        ),
        "frozen_norm": _SOLVED_ON,
    },
    ("strategy", "lp-ft"): {"frozen_norm": _SOLVED_ON},
    ("strategy", "gradual"): {"frozen_norm": _HELD},
    ("strategy", "bitfit"): {"frozen_norm": _HELD},
    ("strategy", "full"): {"lr": same(3e-4, "below a new head's, for weights that have something to lose; not tuned")},
    ("optimizer", "sgd"): {
        "weight_decay": same(0.0, "torch.optim.SGD's own default, and the lesson's"),
        "clip": same(0.0, "the lesson; with momentum the rate itself bounds the step"),
    },
    ("schedule", "step"): {"warmup": same(0.0, "torch's StepLR has none, nor has the lesson"), "keep": _UNENDED},
    ("schedule", "constant"): {"keep": _UNENDED},
    ("schedule", "plateau"): {"keep": _UNENDED},
}


def default(option: str, pictures: int, given: Mapping[str, Any] | None = None) -> Any:
    """The value of an option for that many training pictures, beside the options that were given.

    A warm-up shrinks with the epochs where fewer than usual are asked for.
    """
    for (other, value), says in GIVEN.items():
        if given and given.get(other) == value and option in says:
            found = says[option].for_size(pictures)
            if option == "warmup" and (epochs := given.get("epochs")) is not None:
                return found * min(1, epochs / default("epochs", pictures, {other: value}))
            return found
    if option == "keep" and given and given.get("patience") is not None:
        return "best" if given["patience"] else "last"
    return TABLE[option].for_size(pictures)

"""What the check page says of each check: its title, and what to do about it. Chinese is in ``pages/zh.json``."""

from collections.abc import Mapping

ABOUT: Mapping[str, tuple[str, str]] = {
    "leakage": (
        "The same picture on both sides of a split",
        "A model may remember these instead of recognising them, so the figure is too good. Keep one copy: "
        "--drop leakage keeps the one that is tested on.",
    ),
    "label-conflicts": (
        "Equal or nearly equal pictures under different labels",
        "Of exact copies at least one label is wrong. Nearly equal pictures may differ in what counts (two wafers cut "
        "from one block, of which one is cracked): look. --drop label-conflicts leaves them all out.",
    ),
    "labels": (
        "Labels that are suspect",
        "A probe that never saw these pictures disagrees with their labels. Look at each: some are wrong "
        "labels, some are hard pictures. Correct them by hand rather than dropping what is hard.",
    ),
    "shortcuts": (
        "Something trivial predicts the class",
        "It may belong to the class (a dead solar cell is dark): then all is well. If the classes were only "
        "photographed or saved in different ways, a network may learn that instead, and fail on other pictures.",
    ),
    "unreadable": (
        "Files that cannot be read",
        "Training leaves them out. Copy them again from where they came, or remove them.",
    ),
    "classes": ("Classes that a split lacks", "Rename or complete the folders, so that every split has every class."),
    "unlabelled": ("Pictures without a label or a split", "Label all of them, or leave them out: --drop unlabelled."),
    "names": ("Class names that are nearly the same", "Probably one class, spelt in two ways. Merge the folders."),
    "few": ("Classes with few pictures", "Add pictures, or merge or leave out the class."),
    "balance": ("Unequal classes", "Read macro F1 and the figures of each class; --balance sampling may help."),
    "duplicates": (
        "Exact duplicates",
        "Harmless, but they weigh more than others. --drop duplicates keeps one of each.",
    ),
    "near-duplicates": (
        "Nearly equal pictures",
        "The same picture saved again, taken a moment later, or of the next piece of a series. A random split "
        "would put them on both sides: give them a group column, or --drop near-duplicates to keep one of each.",
    ),
    "outliers": (
        "Unlike all the others",
        "Wrong files, placeholders and drawings end up here; so do rare cases, and the clearest cases of a class.",
    ),
    "passed-over": ("Files beside the pictures", "They are no pictures, or lie where none is looked for."),
    "extension": ("Named after another format", "frostline reads them all the same; other programs may not."),
    "animated": ("More than one frame", "Only the first frame is seen."),
    "mode": ("Another colour mode", "They are converted to RGB; see that nothing is lost by it."),
    "size": ("Extreme size or proportions", "The network sees a square cut from the middle, at its own size."),
    "blank": ("Blank pictures", "Nothing can be seen on them: a broken file, or a thing that is dark itself."),
    "transparent": (
        "Transparent pictures that show nothing",
        "White drawings over white, for example: give --background black to check and fit.",
    ),
    "dark": ("Very dark pictures", "See whether anything can be made out."),
    "bright": ("Washed-out pictures", "See whether anything can be made out."),
    "flat": (
        "Placeholders, drawings and cut-outs",
        "Among photographs, one that is mostly a single shade: see whether it shows its class at all.",
    ),
    "blurry": ("Blurry pictures", "See whether a person could tell the class."),
}

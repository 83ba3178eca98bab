"""What to say of a place that no source reads: what lies there, and what it has to become."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from frostline.data.places.tree import SUFFIXES, Folder
from frostline.data.split_names import split_of
from frostline.errors import DataError, one_line

LAYOUTS = "DIR/<class>/…, DIR/train/<class>/… with val and test beside it, or a CSV with columns path,label[,split]"

_LOOKED_INTO = 10  # files without an ending
_BOX = 4  # numbers of a box, behind that of its class
_TABLE = "save them as a CSV with columns path,label"
_PICKLE = (
    "{} is a pickle, which may run code and is never opened: if you trust it, pickle.load(open(FILE, 'rb')) has its "
    "arrays, and numpy.savez(file, images=…, labels=…) is read"
)
_PICKLED = re.compile(rb"\x80[\x02-\x05]")
_KINDS = {
    r".*\.(xls[xmb]?|ods|numbers|gsheet)": f"labels in {{}}? {_TABLE}",
    r".*\.(tfrecord|tfrecords|tfrec)|.*\.tfrecords?-.*": "{} is of TensorFlow: write its pictures out with tf.data, in "
    "a folder for each class or in WebDataset's .tar",
    r".*\.rec|.*\.beton": "{} is of MXNet or FFCV: write its pictures out, in a folder for each class or in "
    "WebDataset's .tar",
    r"data\.mdb": "{} is LMDB's: write its pictures out, in a folder for each class or in WebDataset's .tar",
    r".*\.(h5|hdf5|hdf)(\.gz)?": "{} is HDF5, its arrays are in f = h5py.File(FILE), and list(f) names them: "
    "numpy.savez(file, images=f['images'], labels=f['labels']) is read",
    r"data_batch(_\d+)?|.*_batch|batches\.meta": "{} is CIFAR's pickle, which may run code and is never opened: if you "
    "trust it, d = pickle.load(open(FILE, 'rb'), encoding='bytes'), and numpy.savez(file, images=d[b'data'].reshape("
    "-1, 3, 32, 32).transpose(0, 2, 3, 1), labels=d[b'labels']) is read",
    r".*\.(pkl|pickle|joblib)": _PICKLE,
    r".*\.npz": "{} has pictures and labels? name it in place of the folder",
    r".*\.npy": "{} is an array without names: numpy.savez(file, images=numpy.load(IMAGES), labels=numpy.load(LABELS)) "
    "is read, and has both",
    r".*\.(pt|pth)": "{} is an array without names: numpy.savez(file, images=…, labels=…) is read, and has both",
    r".*[-.]idx[13]-ubyte(\.gz)?": "{} is MNIST's: of d = gzip.open(FILE).read(), or open(FILE, 'rb').read(), the "
    "images are numpy.frombuffer(d, 'u1', -1, 16).reshape(-1, 28, 28), the labels numpy.frombuffer(d, 'u1', -1, 8), "
    "and numpy.savez(file, images=…, labels=…) is read",
    r".*\.bin": "{} is an array without names: numpy.savez(file, images=…, labels=…) is read, and has both",
    r".*\.xml": "labels in {}? export them as COCO's JSON (boxes and all), or " + _TABLE,
    r".*\.mat": "{} is MATLAB's, m = scipy.io.loadmat(FILE): if it holds pictures as SVHN's does, "
    "numpy.savez(file, images=numpy.moveaxis(m['X'], -1, 0), labels=m['y']) is read; if labels, " + _TABLE,
    r".*\.(mp4|avi|mov|mkv|webm|wmv|mpe?g|m4v)": "{} is a video: write frames out, ffmpeg -i FILE -vf fps=1 "
    "DIR/<class>/<video>/%04d.jpg, and keep those of one video on one side: "
    "--label-pattern '^(?P<label>[^/]+)/(?P<group>[^/]+)/'",
    r".*\.(json|ndjson|manifest|lst)": f"labels in {{}}? {_TABLE}",
}
SUBMISSION = re.compile(r"submission", re.IGNORECASE)
"""What stands in the name of a table that is to be filled in, and says nothing yet."""

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_NAMES = {  # forms of file names, and what reads their labels
    re.compile(r"(?P<label>.*?[^\W\d_])[\s._-]*\(?\d+\)?(?:\.[^.]*)?"): r"'^(.*?[^\W\d_])[ ._-]*\(?\d+'",
    re.compile(r"\d+[\s._-]+(?P<label>[^\W\d_].*?)(?:\.[^.]*)?"): r"'^\d+[ ._-]+(.+)\.'",
    re.compile(r"(?P<label>\d+)[_-]\d+(?:\.[^.]*)?"): r"'^(\d+)[_-]'",
}


def _is_table(name: str) -> bool:
    return name.lower().endswith((".csv", ".tsv", ".jsonl")) and not SUBMISSION.search(name)


def _is_yolo(file: Path) -> bool:
    """Whether the first line of a text is a class's number and a box; one without any may be so, too."""
    try:
        with file.open(encoding="utf-8", errors="replace") as source:
            words = source.readline(1 << 10).split()
    except OSError:
        return True
    return not words or (len(words) > _BOX and words[0].isdecimal())


def advice(files: Iterable[Path]) -> str:
    """What to make of files that are no pictures and no tables, the first kind that is known; "" of none."""
    listed = list(files)
    for pattern, text in _KINDS.items():
        if found := next((file.name for file in listed if re.fullmatch(pattern, file.name, re.IGNORECASE)), None):
            return text.format(one_line(found))
    bare = (file.name for file in listed[:_LOOKED_INTO] if not file.suffix and _PICKLED.match(_start(file)))
    return _PICKLE.format(one_line(found)) if (found := next(bare, None)) else ""  # of CIFAR-100: train


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(2)
    except OSError:
        return b""


def no_classes(here: Folder, top: Folder | None = None) -> DataError:
    """What to say of loose pictures; if their names look like labels, with the pattern that would read them.

    here: where the pictures lie. top: all that was looked through, where labels may lie; by default the same.
    """
    names = [name for folder in here.walk() for name in folder.pictures]
    folders = dict.fromkeys((here, *(top or here).walk()))
    beside = [(folder, name) for folder in folders for name in folder.others]
    others = [name for _, name in beside]
    hint = f"expected: {LAYOUTS}"
    own = [os.path.splitext(name) for name in names]  # noqa: PTH122
    own_names = [stem if ending.lower() in SUFFIXES else f"{stem}{ending}" for stem, ending in own]
    for form, pattern in _NAMES.items():
        labels = Counter(match["label"] for name in own_names if (match := form.fullmatch(name)))
        if all(map(split_of, labels)):
            continue
        named = sum(labels.values())
        if 1 < len(labels) <= named / 2 and named > 0.3 * len(names):
            shown = ", ".join(f"{name!r} ({count:,})" for name, count in labels.most_common(3))
            hint = f"file names look like labels, {one_line(shown)}: --label-pattern {pattern}; or {hint}"
            break
    stems = {name.rpartition(".")[0] for name in names}
    boxes = [folder.path / name for folder, name in beside if name.lower().endswith(".txt") and name[:-4] in stems]
    archives = [name for name in others if name.lower().endswith(_ARCHIVES)]
    if sum("\\" in name for name in names) > len(names) / 2:
        hint = f"names hold backslashes for folders: unpack the archive again with 7z or bsdtar, or name it; or {hint}"
    elif tables := [folder.path / name for folder, name in beside if _is_table(name)]:
        hint = f"labels in a table? name it: {one_line(str(tables[0]))}, with --images DIR; or {hint}"
    elif boxes and len(boxes) > len(names) / 2 and _is_yolo(boxes[0]):
        hint = f"{one_line(boxes[0].name)} and others are boxes of YOLO? export them as COCO's JSON; or {hint}"
    elif boxes and len(boxes) > len(names) / 2:
        hint = f"{one_line(boxes[0].name)} and others are labels? save them as a CSV with columns path,label; or {hint}"
    elif text := advice(folder.path / name for folder in folders for name in (*folder.others, *folder.pictures)):
        hint = f"{text}; or {hint}"
    elif archives and not names:
        hint = (
            f"{len(archives):,} archives lie there, such as {one_line(archives[0])}: unpack them, or name one; {hint}"
        )
    what = f"there are no class folders, but {len(names):,} loose files" if names else "there are no pictures"
    return DataError(what, where=here.path, hint=hint)

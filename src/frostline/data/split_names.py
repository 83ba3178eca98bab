"""Which names mean train, val or test: ``train``, ``Train Data``, ``seg_test``, ``training_set``, ``val2017``."""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "训练": "train",
    "訓練": "train",
    "验证": "val",
    "驗證": "val",
    "测试": "test",
    "測試": "test",
    "训练集": "train",
    "訓練集": "train",
    "验证集": "val",
    "驗證集": "val",
    "测试集": "test",
    "測試集": "test",
}
_FILLERS = frozenset(
    (
        *("set", "sets", "data", "dataset", "split", "part", "folder", "dir", "files", "samples", "input", "list"),
        *("mini", "standard"),
        *("images", "image", "imgs", "img", "pictures", "pics", "photos", "public", "private", "the", "jpg", "png"),
    )
)
_FUSED = re.compile(
    r"(train|training|val|valid|validation|dev|test|testing)(?:sets?|data|images?|imgs|files|split|dir)"
)
_CHINESE = re.compile(
    r"(训练|訓練|验证|驗證|测试|測試)(?:集|用|数据集?|數據集?|资料集?|資料集?|图片|圖片|图像|圖像|图|样本|樣本|文件夹)+"
)
_SPLITS = re.compile(r"(?:.*[_-])?(?:splits?|partitions?)(?:[_-]?\d+)?|train[_-]?test.*", re.IGNORECASE)
_BOTH = (("train", "val"), ("train", "valid"))
_ENUMERATED = re.compile(r"^\w[.)]\s+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_A-Za-z]+")


@lru_cache(4096)
def split_of(name: str) -> str | None:
    """The split that a name alone says, or None: of "Train Data" train, of "train station" none.

    >>> [split_of(name) for name in ("training_set", "testset", "PublicTest", "test tube", "ants")]
    ['train', 'test', 'test', None, None]
    """
    words = [word for word in words_of(name) if word not in _FILLERS]
    return SPLIT_NAMES.get(words[0]) if len(words) == 1 else None


def splits_of(names: Iterable[str]) -> dict[str, str]:
    """The splits that names say together; what two of them share is no part of it (seg_train, seg_test).

    Names that say none are left out.
    """
    found: dict[str, str] = {}
    shared: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        if split := split_of(name):
            found[name] = split
            continue
        words = words_of(name)
        said = [word for word in words if word in SPLIT_NAMES]
        if len(said) == 1:
            rest = tuple(word for word in words if word != said[0] and word not in _FILLERS)
            shared.setdefault(rest, {})[name] = SPLIT_NAMES[said[0]]
    for together in shared.values():
        if len(set(together.values())) > 1:
            found |= together
    return found


def split_in(path: str) -> str | None:
    """The one split that folders of a path name: of "data/train/ants/0.png" train."""
    found = {split_of(name) for name in path.replace("\\", "/").split("/")[:-1]} - {None}
    return found.pop() if len(found) == 1 else None


def says_splits(file: str) -> bool:
    """Whether a file is called as one is that says splits: split_1.json, list_eval_partition.txt."""
    return _SPLITS.fullmatch(file.partition(".")[0]) is not None


def words_of(name: str) -> list[str]:
    """Its words in small letters: of "a. trainLabels_2" train and labels, of "train_val_list" trainval and list."""
    words = [_CHINESE.sub(r"\1", _FUSED.sub(r"\1", word.lower())) for word in _WORD.findall(_ENUMERATED.sub("", name))]
    pairs = [n for n, pair in enumerate(pairwise(words)) if pair in _BOTH]
    return ["trainval" if n in pairs else word for n, word in enumerate(words) if n - 1 not in pairs]

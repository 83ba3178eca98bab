"""What names of folders say by themselves: pictures, masks, one patient of many, days and sides; and what is a row."""

import re
from collections.abc import Sequence

from frostline.data.split_names import words_of

PICTURES = frozenset(
    (
        *("images", "image", "imgs", "img", "pictures", "pics", "photos", "jpg", "jpeg", "jpegimages", "png", "rgb"),
        *("bmp", "tif", "tiff"),
        *("data", "raw", "input", "inputs", "original", "originals"),
        *("图片", "图像", "照片", "原图", "原始图片", "原始图像"),
    )
)
"""What a folder is called that holds the pictures themselves."""

BESIDE = frozenset(
    (
        *("masks", "mask", "msk", "labels", "label", "annotations", "annotation", "segmentation", "segmentations"),
        *("seg", "ground_truth", "groundtruth", "gt", "trimaps", "depth", "xmls", "bboxes", "thumbnails", "thumbs"),
        *("heatmaps", "figures", "docs", "extra", "explained", "crops", "overlays"),
        *("segmentationclass", "segmentationobject"),
        *("掩膜", "掩码", "分割", "标注", "标签", "标注文件", "缩略图", "热力图", "真值"),
    )
)
"""What a folder is called that lies beside pictures and holds none of them."""

NEVER_A_CLASS = BESIDE - {"mask", "seg", "depth", "extra", "crops"}
"""The same, less what may be a class as well."""

_PART = re.compile(r"(?:fold|part|batch|chunk|cv|split)[ _-]?\d+", re.IGNORECASE)
_IN_PARTS = frozenset(
    ("images", "image", "imgs", "img", "pictures", "pics", "photos", "jpg", "part", "parts", "data", "batch")
)
_WORD_OF_ORDER = (
    r"(?:mon|tue|tues|wed|wednes|thu|thurs|fri|sat|satur|sun)(?:day)?"
    r"|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?|left|right|front|back|top|side|rear|day|night|morning|evening|indoors?|outdoors?"
    r"|周[一二三四五六日]|星期[一二三四五六日]|第.{1,3}[周天次批组]|[左右前后正侧]面?|白天|夜晚|室内|室外"
)
_ALWAYS_ORDER = re.compile(
    rf"(?:{_WORD_OF_ORDER}|week|month|year|fold|part|batch|chunk|cam|camera|view|frame|shot|take|seq|sequence|session|run"
    r"|trial|scan|slice|slide|video|clip|img|image|photo|pic|patch|tile|patient|subject|person|driver|user|case|site"
    r"|hospital|患者|病人|病例|受试者|视频|医院|相机)(?:[ _-]?\d+)?",
    re.IGNORECASE,
)
ONE = (
    r"(?:patient|subject|participant|person|animal|driver|user|case|video|clip|slide|session|sequence|seq|site|hospital"
    r"|camera|cam|患者|病人|病例|受试者|视频|医院|相机)[ _-]?\d+"
)
ONE_OF_MANY = re.compile(rf"{ONE}(?:[ _-].*)?", re.IGNORECASE)
"""What a folder is called that holds the pictures of one patient, of one video, ..."""

_NUMBERED_CLASS = re.compile(r"(?:class|category|cat|label|grade|type|stage|level|score|kl|c)[ _-]?\d+", re.IGNORECASE)
_NUMBER = re.compile(r"[\d\W_]+")
_ORDER = re.compile(rf"[\d\W_]+|{_WORD_OF_ORDER}|[a-z]{{1,9}}[ _-]?\d+", re.IGNORECASE)
_VERSIONS = frozenset(
    (
        *("color", "colour", "colored", "gray", "grey", "grayscale", "greyscale", "segmented", "augmented", "cropped"),
        *("resized", "normalized", "normalised", "processed", "preprocessed", "enhanced", "denoised"),
    )
)
_NO_CLASS = frozenset(
    (
        *("image", "images", "imgs", "img", "picture", "pictures", "pics", "photo", "photos"),
        *("set", "sets", "dataset", "datasets", "data", "folder", "folders", "classes", "categories"),
    )
)
"""Words in the name of a folder that holds the folders of classes: colon_image_sets."""

_COUNTED = re.compile(r"\d+|(?<=[a-z])[A-Z]$|(?<=[a-z][ _-])[A-Za-z]$")


def is_a_word(name: str) -> bool:
    """Whether more of it is letters than digits: "n02085620-Chihuahua", and not "22549AB"."""
    return sum(map(str.isalpha, name)) > sum(map(str.isdecimal, name))


def says_no_class(name: str) -> bool:
    """Whether a folder is called as one is that holds pictures, or the folders of classes."""
    return name.lower() in PICTURES or bool(_NO_CLASS.intersection(words_of(name)))


def only_order(name: str) -> bool:
    """Whether a name may be that of a day, a side or a number within a class, or of masks."""
    if name.lower() in PICTURES | BESIDE:
        return True
    return _ORDER.fullmatch(name) is not None and _NUMBERED_CLASS.fullmatch(name) is None


def keeps_order(name: str) -> bool:
    """Whether a name says that it is of no class; a number, or a letter with one, may be a class's, too."""
    return name.lower() in PICTURES | BESIDE or _ALWAYS_ORDER.fullmatch(name) is not None


def are_a_row(names: Sequence[str]) -> bool:
    """Whether names count up patients, sites or sizes, or say what was done to the pictures: each alone is no class."""
    if all(only_order(name) or name.lower() in _VERSIONS for name in names):
        return True
    alike = {_COUNTED.sub("#", name) for name in names}
    return len(alike) == 1 and "#" in next(iter(alike)) and not any(map(_NUMBERED_CLASS.fullmatch, names))


def name_parts(names: Sequence[str]) -> bool:
    """Whether names are of parts of one set of pictures: fold1 and fold2, images_001 and images_002."""
    if len(names) < 2:
        return False
    if all(map(_PART.fullmatch, names)):
        return True
    alike = {re.sub(r"\d+", "#", name.lower()) for name in names}
    words = set(re.findall("[a-z]+", next(iter(alike))))
    return len(alike) == 1 and "#" in next(iter(alike)) and bool(words & _IN_PARTS)

"""What the page says of each check: its title, and what to do about it. In English and in Chinese."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """about: check -> (title, advice). page: the words around them."""

    about: Mapping[str, tuple[str, str]]
    page: Mapping[str, str]


_ENGLISH = Words(
    {
        "leakage": (
            "The same picture on both sides of a split",
            "A model may remember these instead of recognising them, so the figure is too good. Keep one copy: "
            "--drop leakage keeps the one that is tested on.",
        ),
        "label-conflicts": (
            "The same picture under different labels",
            "At least one label is wrong. Decide which, or leave them all out: --drop label-conflicts.",
        ),
        "labels": (
            "Labels that are suspect",
            "A probe that never saw these pictures disagrees with their labels. Look at each: some are wrong labels, "
            "some are hard pictures. Correct them by hand rather than dropping what is hard.",
        ),
        "shortcuts": (
            "Something trivial predicts the class",
            "A network may learn this instead of what is on the picture, and fail where it no longer holds. Save all "
            "classes alike, or make sure that new pictures will differ in the same way.",
        ),
        "unreadable": (
            "Files that cannot be read",
            "Training leaves them out. Copy them again from where they came, or remove them.",
        ),
        "classes": (
            "Classes that a split lacks",
            "Rename or complete the folders, so that every split has every class.",
        ),
        "unlabelled": (
            "Pictures without a label or a split",
            "Label all of them, or leave them out: --drop unlabelled.",
        ),
        "names": ("Class names that are nearly the same", "Probably one class, spelt in two ways. Merge the folders."),
        "few": ("Classes with few pictures", "Add pictures, or merge or leave out the class."),
        "balance": ("Unequal classes", "Read macro F1 and the figures of each class; --balance sampling may help."),
        "duplicates": (
            "Exact duplicates",
            "Harmless, but they weigh more than others. --drop duplicates keeps one of each.",
        ),
        "near-duplicates": (
            "Nearly equal pictures",
            "The same picture saved again, or taken a moment later. A random split would put them on both sides: "
            "give them a group column, or --drop near-duplicates to keep one of each.",
        ),
        "outliers": ("Unlike all the others", "Wrong files, placeholders and drawings end up here; so do rare cases."),
        "passed-over": ("Files beside the pictures", "They are no pictures, or lie where none is looked for."),
        "extension": ("Named after another format", "frostline reads them all the same; other programs may not."),
        "animated": ("More than one frame", "Only the first frame is seen."),
        "mode": ("Another colour mode", "They are converted to RGB; see that nothing is lost by it."),
        "size": ("Extreme size or proportions", "The network sees a square cut from the middle, at its own size."),
        "blank": ("Blank pictures", "There is nothing on them to learn."),
        "dark": ("Very dark pictures", "See whether anything can be made out."),
        "bright": ("Washed-out pictures", "See whether anything can be made out."),
        "blurry": ("Blurry pictures", "See whether a person could tell the class."),
    },
    {
        "title": "Data check",
        "pictures": "pictures",
        "classes": "classes",
        "class": "class",
        "all": "all",
        "fine": "Nothing was found in",
        "nothing": "Nothing was found that needs doing.",
        "not_checked": "Not looked at",
        "more": "and {} more",
        "error": "error",
        "warning": "warning",
        "note": "note",
        "cannot": "cannot be shown",
        "by": "made by frostline check; nothing in this page leaves it",
    },
)
_CHINESE = Words(
    {
        "leakage": (
            "同一张图出现在划分的两边",
            "模型可能只是记住了它们，因此指标偏高。保留一份：--drop leakage 保留用于测试的那份。",
        ),
        "label-conflicts": ("同一张图有不同标签", "至少有一个标签是错的。请判断，或全部去掉：--drop label-conflicts。"),
        "labels": (
            "标签可能有误",
            "没见过这些图的探针与标签意见不同。请逐张查看：有的是错标，有的只是难例。最好手工改正，而不是删掉难例。",
        ),
        "shortcuts": (
            "无关因素就能预测类别",
            "网络可能学到它而不是图中的内容，一旦不再成立就会失效。请把各类图以同样方式保存。",
        ),
        "unreadable": ("无法读取的文件", "训练时会跳过。请重新复制，或删除。"),
        "classes": ("某个划分缺少类别", "请改名或补全文件夹，使每个划分都有全部类别。"),
        "unlabelled": ("没有标签或划分的图", "请全部标注，或去掉：--drop unlabelled。"),
        "names": ("几乎相同的类别名", "多半是同一类的两种写法。请合并文件夹。"),
        "few": ("图片太少的类别", "请补充图片，或合并、去掉该类。"),
        "balance": ("类别不均衡", "请看 macro F1 和各类指标；--balance sampling 可能有帮助。"),
        "duplicates": ("完全重复的图", "无害，但权重偏大。--drop duplicates 每组保留一张。"),
        "near-duplicates": (
            "几乎相同的图",
            "同一张图再次保存，或相隔片刻拍摄。随机划分会把它们放到两边："
            "请加 group 列，或用 --drop near-duplicates 每组保留一张。",
        ),
        "outliers": ("与其他图都不像", "放错的文件、占位图、插图会在这里；罕见情形也会。"),
        "passed-over": ("图片旁的其他文件", "它们不是图片，或不在会被查看的位置。"),
        "extension": ("扩展名与格式不符", "frostline 照样能读；其他程序未必。"),
        "animated": ("不止一帧", "只看第一帧。"),
        "mode": ("另一种颜色模式", "会转换为 RGB；请确认没有丢失信息。"),
        "size": ("尺寸或比例极端", "网络看到的是从中间裁出的方块。"),
        "blank": ("空白图", "上面没有可学的东西。"),
        "dark": ("很暗的图", "看看是否还能辨认。"),
        "bright": ("过曝的图", "看看是否还能辨认。"),
        "blurry": ("模糊的图", "看看人能否分辨类别。"),
    },
    {
        "title": "数据检查",
        "pictures": "张图",
        "classes": "个类别",
        "class": "类别",
        "all": "全部",
        "fine": "以下各项未发现问题",
        "nothing": "没有发现需要处理的问题。",
        "not_checked": "未检查",
        "more": "另有 {} 项",
        "error": "错误",
        "warning": "警告",
        "note": "提示",
        "cannot": "无法显示",
        "by": "由 frostline check 生成；本页不会外传任何内容",
    },
)
WORDS: Mapping[str, Words] = {"en": _ENGLISH, "zh": _CHINESE}

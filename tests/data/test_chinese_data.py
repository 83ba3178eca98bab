"""Data as people in China keep it: words of splits, flags and groups, signs of full width, names of columns."""

import pytest

from frostline.data.split_names import split_of
from tests.data.pictures import tree
from tests.data.test_public_sets import refused, seen, splits, written


def table(top, header, *cells, count=8):
    tree(top, *(f"img/{n}.png" for n in range(count)))
    rows = [f"img/{n}.png," + ",".join(cell[n % len(cell)] for cell in cells) for n in range(count)]
    return written(top / "t.csv", header, *rows)


@pytest.mark.parametrize(
    "names",
    [
        ("训练数据", "测试数据"),
        ("训练集图片", "测试集图片"),
        ("訓練集", "測試集"),
        ("训练样本", "测试样本"),
        ("训练", "验证"),
    ],
)
def test_folders_of_splits(tmp_path, names):
    top = tree(tmp_path / "d", *(f"{s}/{c}/{n}.jpg" for s in names for c in "猫狗" for n in range(2)))
    assert len(splits(seen(top))) == 2


def test_a_word_that_begins_as_a_split_is_a_class():
    assert [split_of(name) for name in ("测试棒", "训练馆", "测试用图片")] == [None, None, "test"]


@pytest.mark.parametrize(("flag", "yes"), [("是否测试", "test"), ("是否为测试集", "test"), ("是否训练集", "train")])
def test_a_flag_is_the_split(tmp_path, flag, yes):
    """Test pictures were learned: a column of 是 and 否 was not used."""
    found = seen(table(tmp_path / "d", f"图片,标签,{flag}", "猫狗", "否否否否是是是否"))
    assert splits(found)[yes] == 3
    other = seen(table(tmp_path / "e", "图片,标签,是否清晰", "猫狗", "否否否否是是是否"))
    assert other.splits == ()


@pytest.mark.parametrize("sign", "，、；｜")
def test_signs_of_full_width_part_labels(tmp_path, sign):
    cells = [f"猫{sign}狗", "猫", "狗", "猫", "狗", "猫", "狗", "狗"]
    assert seen(table(tmp_path / "d", "path,label", cells)).counts() == {"狗": 5, "猫": 4}
    one = seen(tmp_path / "d" / "t.csv", label_separator="none")
    assert one.counts() == {"狗": 4, "猫": 3, f"猫{sign}狗": 1}
    shared = [f"猫{sign}狗", f"猫{sign}鸟", "鱼", "鱼"]
    assert f"--label-separator '{sign}'" in refused(table(tmp_path / "e", "path,label", shared), "several each or one")


@pytest.mark.parametrize("sign", "／＋＆")
def test_signs_within_names_are_asked_about(tmp_path, sign):
    refused(table(tmp_path / "d", "path,label", [f"猫{sign}狗", "猫", "狗", "猫"]), "several each or one")


def test_columns(tmp_path):
    found = seen(table(tmp_path / "d", "图片名称,标签名称,序号", "猫狗", "12345678"))
    assert found.counts() == {"狗": 4, "猫": 4}
    assert seen(table(tmp_path / "e", "图片,结果,编号", "猫狗", "12345678")).counts() == {"狗": 4, "猫": 4}
    assert seen(table(tmp_path / "f", "图片,猫,狗", "是否", "否是")).counts() == {"狗": 4, "猫": 4}
    (said,) = seen(table(tmp_path / "g", "图片,标签,拍摄日期", "猫狗", "11223344")).understood.warnings
    assert "--group '拍摄日期'" in said


def test_what_means_no_label_and_what_a_spreadsheet_made_of_it_are_named(tmp_path):
    (said,) = seen(table(tmp_path / "d", "path,label", ["猫", "狗", "未标注"])).understood.warnings
    assert "may mean that there is no label" in said
    for word in ("1月3日", "3-Jan", "2024/1/3", "2024-01-03"):
        (said,) = seen(table(tmp_path / f"d{word[:4]}{len(word)}", "path,label", [word, "2-4"])).understood.warnings
        assert "may be what a spreadsheet made of 1-3" in said


def test_a_list_with_commas_and_no_header(tmp_path):
    top = tree(tmp_path / "d", *(f"img/{n}.png" for n in range(6)))
    listing = written(top / "t.txt", *(f"img/{n}.png,{'猫狗'[n % 2]}" for n in range(6)))
    for place in (top, listing):
        assert seen(place).counts() == {"狗": 3, "猫": 3}


def test_folders_of_pictures_masks_and_patients(tmp_path):
    """图片/ and 掩膜/ were two classes."""
    inner = [f"{kind}/{n}.png" for kind in ("图片", "掩膜") for n in range(4)]
    refused(tree(tmp_path / "d", *inner), "name no classes")
    tables = written(
        tree(tmp_path / "e", *inner) / "标签.csv", "文件名,类别", *(f"{n}.png,{'猫狗'[n % 2]}" for n in range(4))
    )
    assert {row.file.parent.name for row in seen(tables.parent).rows} == {"图片"}
    top = tree(tmp_path / "f", *(f"{s}/{c}/{name}" for s in ("训练集", "测试集") for c in "猫狗" for name in inner))
    assert seen(top).counts() == {"狗": 8, "猫": 8}
    patients = tree(
        tmp_path / "g", *(f"{c}/患者{c}{p}/{n}.jpg" for c in ("良性", "恶性") for p in (1, 2) for n in range(2))
    )
    for folder in sorted(patients.glob("*/*")):
        folder.rename(
            folder.parent / folder.name.replace(folder.parent.name, "1" if folder.parent.name == "良性" else "2")
        )
    (said,) = seen(patients).understood.warnings
    assert "(?P<group>[^/]+)" in said
    weeks = tree(tmp_path / "h", *(f"{c}/{w}/{n}.jpg" for c in "猫狗" for w in ("第一周", "第二周") for n in range(2)))
    assert seen(weeks).counts() == {"狗": 4, "猫": 4}

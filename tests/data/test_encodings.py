"""Tables and archives that are not in UTF-8: read where that is sure, and refused where names would be wrong."""

import json
import zipfile

import pytest

from frostline.data import encodings
from frostline.data.encodings import encoding_of, surely_chinese
from frostline.data.folders import layouts
from frostline.data.sources import read
from frostline.data.tables import csv_table
from frostline.errors import DataError
from tests.data.pictures import encoded, scene, tree

WORDS = {
    "gbk": ("猫", "狗", "向日葵", "蒲公英", "肺炎", "正常", "良性", "恶性", "金毛", "哈士奇", "鹈鹕"),
    "cp949": ("고양이", "개", "사과", "장미", "정상", "비정상", "강아지", "고양이과", "새", "자동차", "토끼"),
    "big5": ("貓", "狗", "蘋果", "玫瑰", "正常", "異常", "良性", "惡性", "健康", "鳥", "魚"),
    "cp932": ("猫", "犬", "りんご", "バラ", "正常", "異常", "ネコ", "イヌ", "良性", "悪性", "馬"),
    "cp1251": ("кошка", "собака", "роза", "Птица", "БРАК", "норма", "корова", "рыба", "тюльпан", "да", "нет"),
    "cp1252": ("été", "Élève", "CORAÇÃO", "NÃO", "Füße", "Äpfel", "GRÖSSE", "garçon", "maçã", "niño", "AÇÃO"),
    "cp874": ("แมว", "หมา", "นก", "ปลา", "ม้า", "วัว", "ปกติ", "ผิดปกติ", "ดอกไม้", "ผลไม้", "รถ"),
}


def table(words, encoding):
    lines = ["path,label", *(f"img/{n}.jpg,{word}" for n, word in enumerate(words))]
    return "\r\n".join(lines).encode(encoding)


@pytest.mark.parametrize("encoding", WORDS)
def test_only_chinese_is_taken_for_chinese(encoding):
    assert surely_chinese(table(WORDS[encoding], encoding)) == (encoding == "gbk")
    pairs = [WORDS[encoding][n : n + 2] for n in range(10)]
    share = sum(surely_chinese(table(pair, encoding)) for pair in pairs) / len(pairs)
    assert share >= 0.9 if encoding == "gbk" else share <= 0.2, share


def test_utf_8_is_never_anything_else():
    assert not surely_chinese(table(WORDS["gbk"], "utf-8"))
    assert not surely_chinese("猫".encode()[:2])  # cut within a letter
    assert not surely_chinese(b"path,label\r\nimg/0.jpg,cat\r\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gbk", "gb18030"])
def test_tables_and_lists_in_the_encodings_of_spreadsheets(tmp_path, encoding):
    top = tree(tmp_path / "d", *(f"img/{n}.jpg" for n in range(6)))
    (top / "t.csv").write_bytes(
        "\r\n".join(["图片,标签", *(f"img/{n}.jpg,{'猫狗'[n % 2]}" for n in range(6))]).encode(encoding)
    )
    for place in (top / "t.csv", top):
        found = read(place, cache=tmp_path / "cache")
        assert found.counts() == {"狗": 3, "猫": 3}
        assert bool(found.understood.warnings) == encoding.startswith("gb")
    assert encoding_of(top / "t.csv") in (encoding, "gb18030", "utf-8-sig")
    (top / "t.csv").rename(top / "t.txt")
    (top / "t.txt").write_bytes("\r\n".join(f"img/{n}.jpg {'猫狗'[n % 2]}" for n in range(6)).encode(encoding))
    assert read(top / "t.txt", cache=tmp_path / "cache").counts() == {"狗": 3, "猫": 3}


def test_json_of_a_chinese_windows(tmp_path):
    top = tree(tmp_path / "d", *(f"img/{n}.jpg" for n in range(6)))
    objects = [{"file_name": f"img/{n}.jpg", "label": "猫狗"[n % 2]} for n in range(6)]
    lines, table = (json.dumps(one, ensure_ascii=False) for one in objects), json.dumps(objects, ensure_ascii=False)
    for name, text in (("metadata.jsonl", "\n".join(lines)), ("labels.json", table)):
        file = top / name
        file.write_bytes(text.encode("gbk"))
        for place in (file, top):
            found = read(place, cache=tmp_path / "cache")
            assert found.counts() == {"狗": 3, "猫": 3}
            assert "read as GB18030" in found.understood.warnings[0]
        file.unlink()


def test_what_may_be_several_encodings_is_refused(tmp_path):
    top = tree(tmp_path / "d", *(f"img/{n}.jpg" for n in range(11)))
    for encoding in ("big5", "cp1252", "cp949"):
        (top / "t.csv").write_bytes(table(WORDS[encoding], encoding))
        with pytest.raises(DataError, match="not in UTF-8, and nothing says in which encoding") as caught:
            read(top / "t.csv", cache=tmp_path / "cache")
        assert encoding.upper() in caught.value.hint


class Unsaid(zipfile.ZipInfo):
    """A member whose name is in the code page of a Chinese Windows, which nothing says."""

    def _encodeFilenameFlags(self):  # noqa: N802
        return self.filename.encode("gbk"), 0


def test_folders_in_an_archive_of_a_chinese_windows(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, label in enumerate("猫狗"):
            for n in range(3):
                archive.writestr(Unsaid(f"数据/{label}/{n}.png"), encoded(scene(24, 16, 10 * number + n)))
    assert read(tmp_path / "a.zip", cache=tmp_path / "cache").counts() == {"狗": 3, "猫": 3}


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_a_spreadsheet_that_is_called_a_table(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", "<row>" + "猫狗" * 999 + "</row>")
    with pytest.raises(DataError, match=f"'{name}' is a spreadsheet"):
        read(tmp_path / name, cache=tmp_path / "cache")


def test_a_table_is_looked_at_once_for_its_encoding(tmp_path, monkeypatch):
    """Up to 16 MB were read and decoded twice."""
    top = tree(tmp_path / "d", *(f"{c}/{n}.jpg" for c in "ab" for n in range(2)))
    (top / "t.csv").write_text("path,label\na/0.jpg,a\nb/0.jpg,b\n")
    seen = []
    monkeypatch.setattr(encodings, "encoding_of", lambda place: seen.append(place) or "utf-8")
    read(top / "t.csv", cache=tmp_path / "cache")
    assert seen == [top / "t.csv"]


def test_a_table_beside_classes_is_read_once_for_groups_and_splits(tmp_path, monkeypatch):
    top = tree(tmp_path / "d", *(f"{c}/{n}.jpg" for c in "ab" for n in range(2)))
    (top / "t.csv").write_text("user_id,file\na,a/0.jpg\nb,b/0.jpg\n")
    seen = []
    monkeypatch.setattr(layouts, "csv_records", lambda place: seen.append(place) or csv_table.csv_records(place))
    assert read(top, cache=tmp_path / "cache").counts() == {"a": 2, "b": 2}
    assert seen == [top / "t.csv"]

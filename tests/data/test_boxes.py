"""Boxes of a table crop its pictures; the oracle is NumPy's slice of the same pixels."""

import numpy as np
import pytest
from PIL import Image

from frostline.data.decode import decode
from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError, PlanError
from tests.data.pictures import scene
from tests.waiting import pipe, pipes, without_waiting

BOXES = [(3, 4, 20, 15), (10, 0, 31, 9), (5, 6, 8, 30)]  # left, top, right, bottom


def written(top, header, row):
    for n in range(2):
        Image.fromarray(scene(40, 32, seed=n)).save(top / f"{n}.png")
    lines = [header, *(f"{k % 2}.png,{'ab'[k % 2]},{row(*box)}" for k, box in enumerate(BOXES))]
    (top / "t.csv").write_text("\n".join(lines))
    return top / "t.csv"


def pixels(found):
    return [decode(row.picture).rgb for row in found.rows]


def expected():
    return [scene(40, 32, seed=k % 2)[t:b, le:r] for k, (le, t, r, b) in enumerate(BOXES)]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("xmin,ymin,xmax,ymax", lambda a, b, c, d: f"{a},{b},{c},{d}"),
        ("bbox_x1,bbox_y1,bbox_x2,bbox_y2", lambda a, b, c, d: f"{a},{b},{c},{d}"),
        ("Roi.X1,Roi.Y1,Roi.X2,Roi.Y2", lambda a, b, c, d: f"{a},{b},{c},{d}"),
        ("x,y,w,h", lambda a, b, c, d: f"{a},{b},{c - a},{d - b}"),
        ("x,y,width,height", lambda a, b, c, d: f"{a},{b},{c - a},{d - b}"),
        ("bbox", lambda a, b, c, d: f'"[{a}, {b}, {c - a}, {d - b}]"'),
    ],
)
def test_columns_of_boxes_crop_the_picture(tmp_path, header, row):
    found = read(written(tmp_path, f"image,label,{header}", row), cache=tmp_path / "cache")
    assert [got.shape for got in pixels(found)] == [wanted.shape for wanted in expected()]
    assert all(np.array_equal(got, wanted) for got, wanted in zip(pixels(found), expected(), strict=True))
    assert len({row.name for row in found.rows}) == len({row.digest for row in found.rows}) == 3
    assert "cropped to" in found.summary()
    assert [row.group for row in found.rows] == ["0.png", "1.png", "0.png"]  # no split parts the boxes of a picture
    assert "group from the pictures of the boxes" in found.summary()
    alone = read(tmp_path / "t.csv", how=PlaceOptions(group="none"), cache=tmp_path / "cache")
    assert {row.group for row in alone.rows} == {None}


def test_a_margin_is_a_share_of_the_box_and_said(tmp_path):
    place = written(tmp_path, "image,label,xmin,ymin,xmax,ymax", lambda a, b, c, d: f"{a},{b},{c},{d}")
    found = read(place, how=PlaceOptions(box_margin=0.5), cache=tmp_path / "cache")
    assert np.array_equal(pixels(found)[0], scene(40, 32)[0:21, 0:29])  # 17 x 11, and half of that on each side
    assert "50% more on each side" in found.summary()
    with pytest.raises(PlanError, match="a margin of -1"):
        read(place, how=PlaceOptions(box_margin=-1), cache=tmp_path / "cache")


def test_whole_pictures_if_that_is_asked_for(tmp_path):
    place = written(tmp_path, "image,label,xmin,ymin,xmax,ymax", lambda a, b, c, d: f"{a},{b},{c},{d}")
    (tmp_path / "t.csv").write_text("\n".join((tmp_path / "t.csv").read_text().splitlines()[:3]))
    found = read(place, how=PlaceOptions(box_format="none"), cache=tmp_path / "cache")
    assert [got.shape for got in pixels(found)] == [(32, 40, 3)] * 2


def test_four_numbers_that_may_be_corners_or_sizes(tmp_path):
    """5,5,9,9 fits as both; 20,4,38,15 cannot be a size in a picture of 40 pixels."""
    place = written(tmp_path, "image,label,bbox", lambda *_: '"5 5 9 9"')
    with pytest.raises(DataError, match="left, top, right, bottom or left, top, width, height") as caught:
        read(place, cache=tmp_path / "cache")
    assert "--box-format corners" in str(caught.value)
    corners = read(place, how=PlaceOptions(box_format="corners"), cache=tmp_path / "cache")
    assert {got.shape for got in pixels(corners)} == {(4, 4, 3)}
    place.write_text(place.read_text() + '\n0.png,a,"20 4 38 15"')
    assert pixels(read(place, cache=tmp_path / "cache"))[-1].shape == (11, 18, 3)


def test_degenerate_boxes_are_named_and_text_is_refused(tmp_path):
    place = written(tmp_path, "image,label,x1,y1,x2,y2", lambda a, b, c, d: f"{a},{b},{c},{d}")
    place.write_text(place.read_text() + "\n0.png,a,7,7,7,9\n1.png,b,,,,\n1.png,b,90,90,95,95")
    found = read(place, cache=tmp_path / "cache")
    assert [(item.name, item.reason) for item in found.skipped] == [
        ("0.png box 7,7,7,9 (row 5)", "its box is empty"),
        ("1.png (row 6)", "without a box"),
    ]
    with pytest.raises(DataError, match="outside the picture of 40 x 32"):
        decode(found.rows[3].picture)
    place.write_text(place.read_text() + "\n0.png,a,one,2,3,4")
    with pytest.raises(DataError, match=r"1 row is wrong: row 8: the box .* is not four numbers"):
        read(place, cache=tmp_path / "cache")


@pytest.mark.parametrize(("left", "right"), [("0.1", "0.5"), ("0.1", "1.0004"), ("-0.0004", "0.5")])
def test_shares_of_the_picture_are_refused(tmp_path, left, right):
    """AutoML's tables; a share a little beyond the picture, by rounding, is one too."""
    row = iter((f"{left},0.1,{right},0.9", *["0.1,0.1,0.5,0.9"] * 2))
    place = written(tmp_path, "image,label,xmin,ymin,xmax,ymax", lambda *_: next(row))
    with pytest.raises(DataError, match="shares of the picture"):
        read(place, cache=tmp_path / "cache")


def test_boxes_by_their_centres_are_refused(tmp_path):
    place = written(tmp_path, "image,label,x_center,y_center,width,height", lambda *_: "0.5,0.5,0.2,0.2")
    with pytest.raises(DataError, match="given by their centres") as caught:
        read(place, cache=tmp_path / "cache")
    assert "--box-format none" in str(caught.value)


def test_boxes_of_a_picture_without_a_group_stay_together(tmp_path):
    """A camera trap whose pictures have no sequence yet."""
    place = written(tmp_path, "image,label,seq_id,xmin,ymin,xmax,ymax", lambda *_: "")
    groups = ("s", "", "nan")
    lines = [f"{k % 2}.png,{'ab'[k % 2]},{groups[k]},{','.join(map(str, box))}" for k, box in enumerate(BOXES)]
    place.write_text("\n".join(["image,label,seq_id,xmin,ymin,xmax,ymax", *lines]))
    how = PlaceOptions(group="seq_id")
    assert [row.group for row in read(place, how=how, cache=tmp_path / "cache").rows] == ["s", "1.png", "0.png"]


def test_an_option_of_boxes_where_there_are_none(tmp_path):
    place = written(tmp_path, "image,label,note", lambda *_: "x")
    with pytest.raises(DataError, match="--box-margin says nothing here"):
        read(place, how=PlaceOptions(box_margin=0.1), cache=tmp_path / "cache")


def test_what_four_numbers_mean_is_told_by_the_picture_upright(tmp_path):
    for name in ("0", "1"):
        lying = Image.fromarray(scene(400, 300))
        exif = Image.Exif()
        exif[0x0112] = 6  # 300 wide and 400 high when it is looked at
        lying.save(tmp_path / f"{name}.jpg", exif=exif)
    (tmp_path / "t.csv").write_text('path,label,bbox\n0.jpg,a,"[10,150,100,200]"\n1.jpg,b,"[20,100,100,250]"\n')
    with pytest.raises(DataError, match="may be left, top, right, bottom or left, top, width, height"):
        read(tmp_path / "t.csv", cache=tmp_path / "cache")
    (tmp_path / "t.csv").write_text('path,label,bbox\n0.jpg,a,"[10,150,100,390]"\n1.jpg,b,"[20,100,100,250]"\n')
    assert "(left, top, right, bottom)" in read(tmp_path / "t.csv", cache=tmp_path / "cache").summary()


@pipes
def test_pictures_that_cannot_be_looked_into_say_nothing_of_boxes(tmp_path):
    Image.fromarray(scene(150, 150)).save(tmp_path / "good.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "giant.png")
    (tmp_path / "none.png").write_bytes(b"none")
    pipe(tmp_path / "pipe.png")
    names = ("pipe", "none", "giant", "good", "good")
    rows = [f'{name}.png,{"ab"[n % 2]},"[{n},60,100,100]"' for n, name in enumerate(names)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label,bbox", *rows]))
    with without_waiting():
        found = read(tmp_path / "t.csv", cache=tmp_path / "cache")
    assert "(left, top, right, bottom)" in found.summary()  # 60 + 100 is more than 150

"""Parts of a result: whole or absent, named by what is in them, of one schema, in a folder as at a URL."""

import heapq
import json
import shutil
import sys
import tarfile
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset
import pyarrow.parquet
import pytest
import timm
import torch

from frostline.data.loose_pictures import pictures
from frostline.data.manifest import Row
from frostline.data.places.remote import filesystem
from frostline.errors import DataError, PlanError
from frostline.scale import Embed, Predict, fetch_ahead
from frostline.scale.on_ray import BLOCK_ROWS, Count, Saving, _blocks, in_blocks, run
from frostline.scale.parts import Parts
from frostline.ship.open_predictor import open_predictor

HALF = f"{'a1' * 16}.parquet"


@pytest.fixture(params=["folder", "memory"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "out") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/out"


def columns(*paths: str) -> dict[str, Any]:
    errors = np.array(["broken" if path == "broken" else None for path in paths], dtype=object)
    return {"path": np.array(paths, dtype=object), "p": np.ones((len(paths), 2), np.float32), "error": errors}


def put(parts: Parts, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        if parts.url is None:
            Path(parts.place, name).write_bytes(content)
        else:
            parts._system.pipe_file(f"{parts._top}/{name}", content)


def damage(out: str) -> None:
    if out.startswith("memory"):
        system, top = filesystem(out)
        system.pipe_file(f"{top}/{HALF}", b"PAR1 a kill")
    else:
        (Path(out) / HALF).write_bytes(b"PAR1 a kill")


def test_a_block_that_is_written_twice_is_there_once_and_what_is_half_is_removed(out: str) -> None:
    parts = Parts(out)
    assert parts.done() == set()
    for _ in range(2):  # as a worker does that was thought dead
        parts.write(columns("a", "broken"))
    parts.write(columns("ü"))
    damage(out)
    assert Parts(out).done() == {"a", "broken", "ü"}
    assert len(parts._names()) == 2


def test_what_is_not_a_part_is_refused_and_left_alone(out: str, tmp_path: Path) -> None:
    """A folder of somebody's own Parquet, also one that cannot be read, and one of a name such as a part has."""
    pyarrow.parquet.write_table(pyarrow.table({"image": [b"precious"]}), tmp_path / "own.parquet")
    own = {"train.parquet": (tmp_path / "own.parquet").read_bytes(), "half.parquet": b"PAR1 a download"}
    parts = Parts(out)
    put(parts, own)
    with pytest.raises(PlanError, match=r"2 things, and nothing says of which job: half\.parquet, train\.parquet"):
        parts.join({"answer": "predict"})
    assert parts.done() == set()
    put(parts, {HALF: own["train.parquet"]})
    assert parts.done() == set()
    assert parts._names() == sorted([*own, HALF])


def test_results_of_another_job_are_refused(out: str) -> None:
    parts = Parts(out)
    job = {"answer": "predict", "model": "a", "coverage": None, "labelled": False}
    parts.join(job)
    parts.write(columns("a"))
    Parts(out).join(job)
    assert Parts(out).done() == {"a"}
    with pytest.raises(PlanError, match="another job: its model differs") as refused:
        Parts(out).join({**job, "model": "b"})
    assert "_job.json" in str(refused.value)
    put(parts, {"_job.json": b"[" * 100_000})
    with pytest.raises(PlanError, match="another job"):
        Parts(out).join(job)


def test_a_job_on_a_cluster_is_of_one_model_and_its_arguments(
    model: Path, weights: Path, paths: list[str], tmp_path: Path
) -> None:
    """Before Ray is asked for: what is there is of the same model, or nothing begins."""
    other = tmp_path / "other"
    shutil.copytree(model, other)
    said = json.loads((other / "frostline.json").read_text())
    (other / "frostline.json").write_text(json.dumps({**said, "classes": ["apple", "pear", *said["classes"][2:]]}))
    net = timm.create_model("test_resnet", num_classes=5)
    torch.save(net.state_dict(), tmp_path / "other.pth")
    named = {"model": "test_resnet", "weights": str(weights)}
    for answer, how, another in (
        (Predict, {"model": str(model)}, ({"model": str(other)}, {"model": str(model), "coverage": 0.9})),
        (Embed, named, ({**named, "weights": str(tmp_path / "other.pth")}, {**named, "line": "layer1"})),
    ):
        out = tmp_path / answer.__name__
        Parts(out).join({**answer(**how).job(), "labelled": False})
        Saving(answer, how, str(out))({"path": paths})
        assert run(answer, how, pictures(paths), out) == Count()
        assert pyarrow.parquet.read_table(out).num_rows == len(paths)
        for arguments in another:
            with pytest.raises(PlanError, match="another job"):
                run(answer, arguments, pictures(paths), out)
        with pytest.raises(PlanError, match="another job: its --unlabelled differs"):
            run(answer, how, pictures(paths), out, labelled=True)
    assert "ray" not in sys.modules


def test_parts_have_one_schema_whatever_is_in_them(model: Path, paths: list[str], tmp_path: Path) -> None:
    """Also a part whose every picture is broken, and one without any: a reader of the folder takes the first one's."""
    for answer, column in ((Predict(model), "probabilities"), (Embed(model), "features")):
        out = tmp_path / column
        for some in (["gone.png"], paths[:3], [paths[4], "gone.png"]):
            Parts(out).write(answer({"path": some}))
        kinds = {str(pyarrow.parquet.read_schema(part)) for part in out.glob("*.parquet")}
        assert len(kinds) == 1
        found = pyarrow.dataset.dataset(out).to_table().to_pylist()
        assert len(found) == 6
        assert sum(row["error"] is not None for row in found) == 2
        whole = answer({"path": paths[:1]})[column][0]
        (one,) = [row[column] for row in found if row["path"] == paths[0]]
        np.testing.assert_array_equal(np.array(one, np.float32), whole)


def test_an_actor_writes_what_it_answers_and_counts_it(model: Path, paths: list[str], out: str) -> None:
    saving = Saving(Predict, {"model": str(model)}, out)
    found = saving({"path": [*paths[:3], "gone.png"]})
    assert (found["rows"].tolist(), found["unreadable"].tolist()) == ([4], [1])
    assert Parts(out).done() == {*paths[:3], "gone.png"}


def test_blocks_are_the_same_ones_when_they_are_done_again(tmp_path: Path) -> None:
    names = [str(tmp_path / f"{n}.png") for n in range(3 * BLOCK_ROWS)]
    whole = list(_blocks(pictures([*names, names[0]]), set(), labelled=False))
    assert [path for block in whole for path in block["path"]] == names
    again = list(_blocks(pictures(names), set(whole[0]["path"]) | {names[-1]}, labelled=False))
    assert again[:-1] == whole[1:-1]
    assert again[-1]["path"] == whole[-1]["path"][:-1]


@pytest.mark.parametrize("workers", [1, 2, 7, 40])
def test_blocks_of_the_end_are_small_so_that_workers_end_together(workers: int) -> None:
    """Whoever is free takes the next block: if a row is a second, all end within a twentieth of the time."""
    blocks = list(in_blocks(range(30_000)))
    assert [row for block in blocks for row in block] == list(range(30_000))
    assert max(map(len, blocks)) == len(blocks[0]) == BLOCK_ROWS
    assert len(blocks) < 3 * 30_000 / BLOCK_ROWS
    ends = [0] * workers
    for block in blocks:
        heapq.heapreplace(ends, ends[0] + len(block))
    assert max(ends) < 1.05 * 30_000 / workers


def test_a_place_that_takes_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written") as refused:
        Parts(tmp_path / "file")
    assert str(tmp_path / "file") in str(refused.value)


def test_pictures_in_shards_and_in_parquet_are_answered_as_files_are(
    model: Path, paths: list[str], wanted: np.ndarray, tmp_path: Path
) -> None:
    """Read where they are; of a shard workers get file, offset and length."""
    with tarfile.open(tmp_path / "some-000.tar", "w") as shard:
        for n, path in enumerate(paths):
            shard.add(path, f"{n:03}.png")
    content = [Path(path).read_bytes() for path in paths]
    pyarrow.parquet.write_table(pyarrow.table({"image": content}), tmp_path / "all.parquet")
    for place in ("some-000.tar", "all.parquet"):
        found = open_predictor(model).predict(pictures([str(tmp_path / place)]))
        np.testing.assert_array_equal(np.stack([answer.probabilities for answer in found]), wanted)
        Saving(Predict, {"model": str(model)}, str(tmp_path / "out" / place))(_as_a_worker_gets_it(tmp_path / place))
        table = pyarrow.parquet.read_table(tmp_path / "out" / place)
        assert not {"slice", "cell"} & set(table.column_names)
        assert len(set(table["path"].to_pylist())) == len(paths)
        np.testing.assert_array_equal(np.array(table["probabilities"].to_pylist(), np.float32), wanted)
    mixed = list(_blocks(pictures([paths[0], *map(str, tmp_path.glob("*.*"))]), set(), labelled=False))
    assert sorted(map(sorted, mixed)) == [["cell", "path"], ["path"], ["path", "slice"]]


def test_pictures_at_a_url_are_fetched_by_workers_and_what_only_this_process_has_is_refused(
    model: Path, paths: list[str], wanted: np.ndarray
) -> None:
    place = f"memory://{uuid.uuid4().hex}"
    system, top = filesystem(place)
    system.pipe_file(f"{top}/a.png", Path(paths[0]).read_bytes())
    (block,) = _blocks(pictures([f"{place}/a.png", f"{place}/gone.png"]), set(), labelled=False)
    assert block == {"path": [f"{place}/a.png", f"{place}/gone.png"]}
    found = Predict(model)(block)
    np.testing.assert_array_equal(found["probabilities"][0], wanted[0])
    assert found["error"][0] is None
    assert "gone.png" in found["error"][1] or "no such" in found["error"][1].lower()
    with pytest.raises(PlanError, match="named to other machines"):
        list(_blocks([Row(Path(paths[0]).read_bytes(), name="bytes")], set(), labelled=False))


def test_urls_are_fetched_some_at_a_time_in_order_and_no_more_than_some_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that answers only when eight have asked: one after another would wait for ever."""
    begun: list[str] = []
    eight = threading.Event()

    def content(url: str) -> bytes:
        begun.append(url)
        if len(begun) == 8:
            eight.set()
        assert eight.wait(60)
        return url.encode()

    monkeypatch.setattr(fetch_ahead, "content", content)
    urls = [f"s3://bucket/{n}" for n in range(40)]
    some = fetch_ahead.FetchAhead(urls)
    assert some[0] == b"s3://bucket/0"
    assert set(begun) <= set(urls[: fetch_ahead.AHEAD])
    assert [some[n] for n in range(1, 40)] == [url.encode() for url in urls[1:]]
    assert sorted(begun) == sorted(urls)


def _as_a_worker_gets_it(place: Path) -> dict[str, list[Any]]:
    (block,) = _blocks(pictures([str(place)]), set(), labelled=False)
    return dict(pyarrow.table(block).to_pydict())

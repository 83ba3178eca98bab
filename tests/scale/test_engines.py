"""The engines of clusters, each for real in its local mode: `make test-scale` installs and runs them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "engines.md"

HALF = f"{'a1' * 16}.parquet"  # called as parts are

pytestmark = pytest.mark.scale


@pytest.mark.parametrize(
    ("engine", "package"),
    [("Ray", "ray"), ("Spark", "pyspark"), ("Daft", "daft"), ("Dask", "dask"), ("Hugging Face datasets", "datasets")],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore:PySpark:FutureWarning")
def test_what_the_page_shows_gives_what_predict_gives(
    engine: str,
    package: str,
    model: Path,
    paths: list[str],
    wanted: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip(package)
    if engine == "Spark" and shutil.which("java") is None:
        pytest.skip("Spark needs Java: apt-get install openjdk-17-jre-headless")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ADDRESS", "local")  # not a cluster that somebody left behind
    section = PAGE.read_text(encoding="utf-8").split(f"## {engine}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    names: dict[str, Any] = {"paths": paths, "__name__": "__main__"}
    try:
        exec(compile(code.replace("runs/insects", str(model)), str(PAGE), "exec"), names)
    finally:
        if engine == "Ray":
            names["ray"].shutdown()
    np.testing.assert_array_equal(np.array([names["found"][path] for path in paths], np.float32), wanted.max(1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_ray_writes_every_picture_once_and_goes_on(
    model: Path, paths: list[str], wanted: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    import pyarrow.parquet

    from frostline.data.loose_pictures import pictures
    from frostline.scale import Predict
    from frostline.scale.on_ray import Count, run

    arguments = {"model": str(model)}
    assert run(Predict, arguments, pictures(paths[:10]), tmp_path / "out") == Count(10)
    (tmp_path / "out" / HALF).write_bytes(b"PAR1 a kill")
    assert run(Predict, arguments, pictures(paths), tmp_path / "out") == Count(len(paths) - 10)
    assert run(Predict, arguments, pictures(paths), tmp_path / "out") == Count()
    found = pyarrow.parquet.read_table(tmp_path / "out").to_pandas().sort_values("path")
    assert list(found["path"]) == paths
    np.testing.assert_array_equal(np.stack(found["probabilities"]), wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_fit_whose_features_ray_computed_is_the_same_bit_for_bit(
    leaves: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from safetensors.numpy import load_file

    from frostline import ImageClassifier

    data = tmp_path / "leaves"
    shutil.copytree(leaves, data)
    (data / "train" / "red leaf" / "broken.png").write_bytes(b"no picture")
    heads, skipped = [], []
    for on in (None, "ray"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / str(on)))
        how: dict[str, Any] = {"model": "test_resnet", "weights": weights, "strategy": "probe", "image_size": 64}
        found = ImageClassifier(**how, on=on).fit(data)
        heads.append(load_file(found.save(tmp_path / f"{on}-model") / "model.safetensors"))
        skipped.append([item.name for item in found.result_.skipped])
    assert heads[0].keys() == heads[1].keys()
    for name, tensor in heads[0].items():
        np.testing.assert_array_equal(tensor, heads[1][name])
    assert skipped[0] == skipped[1] == ["train/red leaf/broken.png"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_embed_on_ray_gives_what_embed_gives(leaves: Path, tmp_path: Path, weights: Path) -> None:
    pytest.importorskip("ray")
    import pyarrow.parquet

    command = ["embed", str(leaves), "--model", "test_resnet", "--weights", str(weights), "--precision", "fp32"]
    for more in (["--out", str(tmp_path / "one.parquet")], ["--out", str(tmp_path / "many"), "--on", "ray"]):
        subprocess.run([sys.executable, "-m", "frostline", *command, *more], check=True)
    one, many = (
        pyarrow.parquet.read_table(tmp_path / place).to_pandas().sort_values("path")
        for place in ("one.parquet", "many")
    )
    assert list(one["path"]) == list(many["path"])
    assert list(one["label"]) == list(many["label"])
    np.testing.assert_array_equal(np.stack(one["features"]), np.stack(many["features"]))
    # Without labels, and out of Parquet: workers are given the file, the column and the row.
    held = pyarrow.table({"image": [Path(path).read_bytes() for path in one["path"]]})
    pyarrow.parquet.write_table(held, tmp_path / "all.parquet", row_group_size=20)
    command = ["embed", str(tmp_path / "all.parquet"), *command[2:], "--unlabelled", "--on", "ray"]
    subprocess.run([sys.executable, "-m", "frostline", *command, "--out", str(tmp_path / "loose")], check=True)
    loose = pyarrow.parquet.read_table(tmp_path / "loose").to_pandas()
    order = loose["path"].str.rsplit(" ", n=1).str[1].astype(int).to_numpy() - 1
    np.testing.assert_array_equal(np.stack(one["features"])[order], np.stack(loose["features"]))
    assert sorted(order) == list(range(len(one)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_check_on_ray_finds_what_check_finds_and_decodes_nothing_here(
    leaves: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from frostline.features.store import Store
    from frostline.judge.audit import image_stats
    from frostline.scale.elsewhere import elsewhere
    from frostline.workflows import check

    monkeypatch.setattr(check, "AT_LEAST", 0)  # as for a network whose pictures are large enough to be looked at
    data = tmp_path / "leaves"
    shutil.copytree(leaves, data)
    (data / "train" / "red leaf" / "broken.png").write_bytes(b"no picture")
    shutil.copy(next((data / "train" / "red leaf").glob("*.png")), data / "val" / "red leaf" / "again.png")
    found = []
    for on in (None, "ray"):
        place = tmp_path / str(on)
        how: dict[str, Any] = {"store": Store(place / "store"), "cache": place, "model": "test_resnet"}
        if on:
            monkeypatch.setattr(image_stats, "look", lambda *_: pytest.fail("a picture was looked at here"))
        found.append(check.check(data, **how, weights=weights, elsewhere=elsewhere(on, None)).to_dict())
    assert found[0] == found[1]
    assert found[0]["findings"]


def test_processes_that_ray_starts_fit_what_those_of_torchrun_fit(leaves: Path, tmp_path: Path, weights: Path) -> None:
    """Two processes, a network that learns: the same bits, whoever started them."""
    pytest.importorskip("ray")
    from safetensors.numpy import load_file

    command = ["frostline", "fit", str(leaves), "--model", "test_resnet", "--weights", str(weights), "--image-size",
               "64", "--precision", "fp32", "--strategy", "freeze", "--epochs", "2", "--batch-size", "8",
               "--device", "cpu", "--quiet"]  # fmt: skip
    launch = ["torch.distributed.run", "--nproc-per-node", "2", "-m"]
    heads = []
    for name, words in (("ray", [*command, "--on", "ray", "--workers", "2"]), ("torchrun", [*launch, *command])):
        env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / f"cache-{name}"), "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-m", *words, "--out", str(tmp_path / name)], check=True, env=env)
        heads.append(load_file(tmp_path / name / "model" / "model.safetensors"))
        assert not (tmp_path / f".{name}.ray").exists()
    assert heads[0].keys() == heads[1].keys()
    for name, tensor in heads[0].items():
        np.testing.assert_array_equal(tensor, heads[1][name])
    bad = subprocess.run(
        [sys.executable, "-m", *command, "--on", "ray", "--workers", "999", "--out", str(tmp_path / "bad")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert bad.returncode == 2
    assert "cores for 999 processes" in bad.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_parts_at_a_url_are_written_by_workers_and_gone_on_behind(
    model: Path, paths: list[str], wanted: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An S3 server on this machine, a real cluster: what is there is not answered again, what is damaged is."""
    for package in ("ray", "moto", "s3fs"):
        pytest.importorskip(package)
    from moto.server import ThreadedMotoServer

    from frostline.data.loose_pictures import pictures
    from frostline.data.places.remote import filesystem
    from frostline.scale import Predict
    from frostline.scale.on_ray import Count, run
    from frostline.scale.parts import Parts

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://{host}:{port}"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")
        ):  # fmt: skip
            monkeypatch.setenv(name, value)
        system, _ = filesystem("s3://answers/here")
        system.mkdir("answers")
        out, how = "s3://answers/here", {"model": str(model)}
        assert run(Predict, how, pictures(paths[:10]), out) == Count(10)
        system.pipe_file(f"answers/here/{HALF}", b"PAR1 a kill")
        assert run(Predict, how, pictures(paths), out) == Count(len(paths) - 10)
        assert run(Predict, how, pictures(paths), out) == Count()
        assert Parts(out).done() == set(paths)
        import pyarrow.parquet

        parts = [pyarrow.parquet.read_table(system.open(name)) for name in system.glob("answers/here/*.parquet")]
        assert len(parts) == 2
        found = {row["path"]: row["probabilities"] for part in parts for row in part.to_pylist()}
        np.testing.assert_array_equal(np.array([found[path] for path in paths], np.float32), wanted)
    finally:
        server.stop()

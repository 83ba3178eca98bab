"""The engines of clusters, each for real in its local mode: `make test-scale` installs and runs them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.scale


def test_dask(model: Path, paths: list[str], wanted: np.ndarray) -> None:
    dd = pytest.importorskip("dask.dataframe")
    import pandas as pd

    from frostline.scale import Predict

    predict = Predict(model)

    def answered(part: pd.DataFrame) -> pd.DataFrame:
        found = predict(part.to_dict("list"))
        return part.assign(label=found["label"], probability=found["probability"])

    frame = dd.from_pandas(pd.DataFrame({"path": paths}), npartitions=3)
    meta = {"path": str, "label": str, "probability": "f4"}
    found = frame.map_partitions(answered, meta=meta).compute(scheduler="threads")
    np.testing.assert_array_equal(found.sort_index()["probability"].to_numpy(), wanted.max(1))


def test_daft(model: Path, paths: list[str], wanted: np.ndarray) -> None:
    daft = pytest.importorskip("daft")
    from frostline.scale import Predict

    @daft.cls
    class Answer:
        def __init__(self, model: str) -> None:
            self.predict = Predict(model)

        @daft.method.batch(return_dtype=daft.DataType.float32())
        def probability(self, path: daft.Series) -> list[float]:
            return [float(p) for p in self.predict({"path": path.to_pylist()})["probability"]]

    answer = Answer(str(model))
    found = daft.from_pydict({"path": paths}).select(answer.probability(daft.col("path"))).to_pydict()
    np.testing.assert_array_equal(np.array(next(iter(found.values())), np.float32), wanted.max(1))


@pytest.mark.filterwarnings("ignore:PySpark:FutureWarning", "ignore::ResourceWarning")
def test_spark(model: Path, paths: list[str], wanted: np.ndarray) -> None:
    pytest.importorskip("pyspark")
    if subprocess.run(["which", "java"], capture_output=True, check=False).returncode:
        pytest.skip("Spark needs Java: apt-get install openjdk-17-jre-headless")
    from pyspark.ml.functions import predict_batch_udf
    from pyspark.sql import SparkSession
    from pyspark.sql.types import FloatType

    place = str(model)

    def make():  # type: ignore[no-untyped-def]
        from frostline.scale import Predict

        predict = Predict(place)
        return lambda path: predict({"path": path})["probability"]

    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        udf = predict_batch_udf(make, return_type=FloatType(), batch_size=8)
        found = spark.createDataFrame([(p,) for p in paths], ["path"]).select("path", udf("path").alias("p")).collect()
    finally:
        spark.stop()
    by_path = {row.path: row.p for row in found}
    np.testing.assert_array_equal(np.array([by_path[p] for p in paths], np.float32), wanted.max(1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_ray_writes_every_picture_once_and_goes_on(
    model: Path, paths: list[str], wanted: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    import pyarrow.parquet

    from frostline.data.sources import pictures
    from frostline.scale import Predict
    from frostline.scale.on_ray import run

    arguments = {"model": str(model)}
    assert run(Predict, arguments, pictures(paths[:10]), tmp_path / "out") == 10
    (tmp_path / "out" / "half.parquet").write_bytes(b"PAR1 a kill")
    assert run(Predict, arguments, pictures(paths), tmp_path / "out") == len(paths) - 10
    assert run(Predict, arguments, pictures(paths), tmp_path / "out") == 0
    found = pyarrow.parquet.read_table(tmp_path / "out").to_pandas().sort_values("path")
    assert list(found["path"]) == paths
    np.testing.assert_array_equal(np.stack(found["probabilities"]), wanted)

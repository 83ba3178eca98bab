"""Two nodes of a cluster in network namespaces of this machine, and an object store that takes its time.

    python -m bench.scale_nodes HOST PORT SECONDS      the store alone: S3 by moto, so many seconds before each answer

Each node has one core, an address of its own, and sees the other and the store over a link between namespaces; a link
with a delay needs a kernel with netem. It needs root.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet

from bench.scale_runs import ENV, Run, frostline, node, run

HERE, THERE, SPACE = "10.77.21.1", "10.77.21.2", "frostline-21"
RAY, PORT = 6391, 5077
ANSWERS = 0.05
"""Seconds before the store answers: what S3 takes for a small object."""

STORE = {"AWS_ENDPOINT_URL": f"http://{HERE}:{PORT}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


def nodes(model: Path, pictures: Path, count: int, place: Path) -> dict[str, Any]:
    """Predictions by two nodes, of files and of what is in the store, a fifth and the whole: bits, and what more cost.

    Raises: RuntimeError: this machine gives no namespaces, or the store does not answer.
    """
    paths = sorted(pictures.iterdir())[:count]
    runs: dict[str, list[Run]] = {"files": [], "store": []}
    with two_nodes() as both, slow_store():
        system = _filled(paths)
        for number in (count // 5, count):
            shutil.rmtree(place / f"two-{number}", ignore_errors=True)
            for kind, names, out in (
                ("files", map(str, paths[:number]), str(place / f"two-{number}")),
                ("store", (f"s3://pictures/{path.name}" for path in paths[:number]), f"s3://answers/{number}"),
            ):
                ray = ["--on", "ray", "--address", f"{HERE}:{RAY}", "--out", out]
                runs[kind].append(run([*frostline("predict"), str(model), *names, *ray], both))
        found = {"files": _rows((place / f"two-{count}").glob("*.parquet"), open)}
        found["store"] = _rows(system.glob(f"answers/{count}/*.parquet"), system.open)
    alone = _alone(model, paths)
    more = count - count // 5
    return {
        "pictures": count,
        "nodes": min(run.nodes for both in runs.values() for run in both),
        "same": {name: rows == alone for name, rows in found.items()},
        "cpu": {kind: (many.cpu - few.cpu) / more for kind, (few, many) in runs.items()},
    }


@contextmanager
def two_nodes() -> Iterator[list[psutil.Process]]:
    """The processes of a head here and of a node in a namespace, one core each."""
    inside = ["ip", "netns", "exec", SPACE]
    _ip("netns", "add", SPACE)
    try:
        _ip("link", "add", "frost0", "type", "veth", "peer", "name", "frost1", "netns", SPACE)
        _ip("addr", "add", f"{HERE}/24", "dev", "frost0")
        _ip("link", "set", "frost0", "up")
        for words in (("addr", "add", f"{THERE}/24", "dev", "frost1"), ("link", "set", "frost1", "up")):
            subprocess.run([*inside, "ip", *words], check=True)
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        ENV.update(STORE)
        with ExitStack() as stack:
            ports = (f"--port={RAY}", f"--ray-client-server-port={RAY + 1}")
            head = ("--head", *ports, f"--node-ip-address={HERE}", "--include-dashboard=false")
            first = stack.enter_context(node(*head, cores=1))
            joins = (f"--address={HERE}:{RAY}", f"--node-ip-address={THERE}")
            yield [first, stack.enter_context(node(*joins, cores=1, within=inside))]
    finally:
        for name in STORE:
            ENV.pop(name, None)
        _ip("netns", "delete", SPACE)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def slow_store() -> Iterator[None]:
    """The store, in a process of its own."""
    process = subprocess.Popen([sys.executable, "-m", "bench.scale_nodes", HERE, str(PORT), str(ANSWERS)], env=ENV,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    try:
        if process.stdout is None or "ready" not in process.stdout.readline():
            raise RuntimeError("the store did not start: pip install 'moto[server]'")
        yield
    finally:
        process.terminate()
        process.wait()


def serve(host: str, port: int, seconds: float) -> None:
    """Answer as S3 does, each request so late, many at a time."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    answer = DomainDispatcherApplication(create_backend_app)

    def late(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(seconds)
        return answer(environ, start)  # type: ignore[no-any-return]

    server = make_server(host, port, late, threaded=True)
    print("ready", flush=True)
    server.serve_forever()


def _filled(paths: list[Path]) -> Any:
    import s3fs

    options = {"endpoint_url": STORE["AWS_ENDPOINT_URL"]}
    system = s3fs.S3FileSystem(key="a", secret="b", client_kwargs=options)
    for bucket in ("pictures", "answers"):
        system.mkdir(bucket)
    system.put([str(path) for path in paths], [f"pictures/{path.name}" for path in paths])
    return system


def _rows(parts: Iterable[Any], opened: Callable[..., Any]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in parts:
        with opened(part, "rb") as file:
            table = pyarrow.parquet.read_table(file, columns=["path", "probabilities"])
        for path, row in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
            found[Path(path).name] = np.array(row, np.float32).tobytes()
    return found


def _alone(model: Path, paths: list[Path]) -> dict[str, bytes]:
    from frostline.data.loose_pictures import pictures
    from frostline.ship.open_predictor import open_predictor

    answers = open_predictor(model).predict(pictures(list(map(str, paths))))
    return {Path(answer.name).name: answer.probabilities.tobytes() for answer in answers}  # type: ignore[union-attr]


def node_lines(found: Mapping[str, Any], where: str) -> list[str]:
    """What the page says of it."""
    own = {kind: f"{1000 * seconds:.1f} ms" for kind, seconds in found["cpu"].items()}

    def bits(kind: str) -> str:
        return "the bits of one process" if found["same"][kind] else "OTHER BITS than one process"

    return [
        f"{found['pictures']:,} pictures of 64 pixels, {found['nodes']} nodes in network namespaces, one core each, "
        f"{where}:",
        "",
        f"- files: {bits('files')}; {own['files']} of a worker's processor time a picture, without the start",
        f"- pictures and results in an S3 store (moto) that answers after {1000 * ANSWERS:.0f} ms: {bits('store')}; "
        f"{own['store']} a picture",
        "",
    ]


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))

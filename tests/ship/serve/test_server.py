"""The command as its clients meet it, over a socket."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frostline.data.manifest import Row
from frostline.errors import PlanError
from frostline.ship.open_predictor import open_predictor
from frostline.ship.serve import page
from frostline.ship.serve.server import _listening
from tests.data.pictures import encoded, scene
from tests.ship.conftest import CLASSES
from tests.ship.serve.client import BOUNDARY, FORM, JPEG, form, serving

PICTURES = [encoded(scene(90, 70, i)) for i in range(12)]
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


def test_answers_are_those_of_the_predictor_alone_or_in_company(served, model):
    expected = list(open_predictor(model[0]).predict([Row(picture) for picture in PICTURES]))
    files = [(f"{i}.png", picture) for i, picture in enumerate(PICTURES)]
    together = served.predict(*files, query="?top=3").json["results"]
    with ThreadPoolExecutor(6) as pool:
        alone = list(pool.map(lambda picture: served.ask("POST", "/predict?top=3", picture, JPEG), PICTURES))
    for i, answer in enumerate(expected):
        for found in (together[i], alone[i].json["results"][0]):
            by_name = {item["label"]: item["probability"] for item in found["classes"]}
            np.testing.assert_allclose([by_name[name] for name in CLASSES], answer.probabilities, atol=1e-4)
            assert found["label"] == max(by_name, key=by_name.get)
    assert [found["name"] for found in together] == [f"{i}.png" for i in range(12)]


def test_a_broken_picture_is_told_in_its_place(served):
    reply = served.predict(("a.png", PICTURES[0]), ("b.png", b"junk"), ("c.png", PICTURES[1][:200]))
    first, second, third = reply.json["results"]
    assert reply.status == 200
    assert first["label"] in CLASSES
    assert second == {"name": "b.png", "error": "not a picture, or damaged at its very start"}
    assert "error" in third


def test_names_are_told_on_one_line_and_as_json(served):
    name = "<script>alert(1)</script>\u202e\u4e2d\u6587.png"
    reply = served.predict((name, PICTURES[0]))
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.json["results"][0]["name"] == "<script>alert(1)</script>\\u202e\u4e2d\u6587.png"


def test_info_health_metrics_and_openapi(served, model):
    served.ask("POST", "/predict", PICTURES[0], JPEG)
    told = served.ask("GET", "/info").json
    assert told["classes"] == list(CLASSES)
    assert told["engine"] == "openvino"
    assert told["limits"]["max_files"] == 64
    assert served.ask("GET", "/health").json == {"alive": True, "ready": True, "waiting": 0}
    metrics = served.ask("GET", "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'frostline_requests_total{path="/predict",status="200"}' in metrics.body.decode()
    assert f'pid="{served.process.pid}"' in metrics.body.decode()
    paths = served.ask("GET", "/openapi.json").json["paths"]
    assert set(paths) == {"/predict", "/explain", "/health", "/info", "/metrics", "/samples/{number}"}
    assert set(paths["/predict"]["post"]["responses"]) == {"200", "400", "408", "413", "415", "422", "429"}


def test_pages_name_nothing_outside_and_allow_no_script_but_their_own(served):
    for path in ("/", "/docs"):
        page = served.ask("GET", path)
        policy = page.headers["content-security-policy"]
        assert page.status == 200
        assert "default-src 'none'; script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert b"http" not in page.body.replace(b"http-equiv", b"")
        assert b"<script>" not in page.body
    for name in (
        "app.js",
        "ask.js",
        "words.js",
        "show.js",
        "csv.js",
        "docs.js",
        "style.css",
        "base.css",
        "logo.svg",
        "zh.json",
    ):
        assert served.ask("GET", f"/page/{name}").status == 200
    assert served.ask("GET", "/page/__init__.py").status == 404
    assert served.ask("GET", "/page/..%2Fapp.py").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example:80"}, 421),
        ({"Host": "evil@127.0.0.1"}, 421),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 400),
        ({"Origin": "http://[::1"}, 400),
        ({"Host": "localhost:8000", "Origin": "http://localhost:9999"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_other_sites_pages_and_rebound_names_are_turned_away(served, headers, status):
    assert served.ask("POST", "/predict", PICTURES[0], {**JPEG, **headers}).status == status


def test_a_page_behind_a_proxy_may_ask_by_the_name_that_was_given(model):
    """nginx asks under the address that proxy_pass names, and hands on the browser's Origin."""
    with serving(model[0], "--allow-host", "Models.example.org") as server:
        for name, status in (("models.example.org", 200), ("evil.example", 403), ("localhost", 403)):
            headers = {**JPEG, "Origin": f"https://{name}", "Sec-Fetch-Site": "same-origin"}
            assert server.ask("POST", "/predict", PICTURES[0], headers).status == status, name


def test_the_page_asks_below_the_path_that_it_was_opened_at():
    """A proxy may put it at https://models.example.org/insects/."""
    for file in Path(page.__file__).parent.iterdir():
        if file.suffix in (".html", ".js"):
            assert not re.findall(r"""(?:href|src)="/[^"]*|(?:fetch|ask)\(["'`]/[^"'`]*""", file.read_text("utf-8")), (
                file
            )


def test_limits_are_told_by_status(narrow):
    large = encoded(scene(400, 300, 0))
    assert narrow.ask("POST", "/predict", PICTURES[0], JPEG).status == 200
    for reply, status in (
        (narrow.ask("POST", "/predict", large, JPEG), 413),
        (narrow.predict(*[("a.png", PICTURES[0])] * 4), 413),
        (narrow.ask("POST", "/predict", b"\0" * 200_001, JPEG), 413),
        (narrow.ask("POST", "/predict", b"", JPEG), 400),
        (narrow.ask("POST", "/predict", form([]), FORM), 400),
        (narrow.ask("POST", "/predict", form([("a.png", PICTURES[0])])[:-30], FORM), 400),
        (narrow.ask("POST", "/predict", b"--x", {"Content-Type": "multipart/form-data"}), 400),
        (narrow.ask("POST", "/predict", b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}), 415),
        (narrow.ask("POST", "/predict", PICTURES[0], {**JPEG, "Content-Encoding": "gzip"}), 415),
        (narrow.ask("POST", "/predict?top=0", PICTURES[0], JPEG), 422),
        (narrow.ask("POST", "/predict?coverage=1", PICTURES[0], JPEG), 422),
        (narrow.ask("POST", "/predict", b"no picture", JPEG), 422),
        (narrow.ask("GET", "/predict"), 405),
        (narrow.ask("GET", "/nowhere/<b>"), 404),
    ):
        assert reply.status == status, reply.body
        assert set(reply.json) == {"error", "hint"}
        assert b"<b>" not in reply.body
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="top"\r\n\r\n1\r\n--{BOUNDARY}--\r\n'.encode()
    assert narrow.ask("POST", "/predict", field, FORM).status == 400


def test_a_declared_length_is_refused_before_anything_is_sent(narrow):
    for length in (b"2147483648", b"99999999999999999999"):
        found = narrow.raw(HEAD + b"Content-Type: image/png\r\nContent-Length: " + length + b"\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 413 "), found[:80]


def test_a_body_without_a_length_is_read_only_to_the_limit(narrow):
    with socket.create_connection(("127.0.0.1", narrow.port), timeout=30) as line:
        line.sendall(HEAD + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            for _ in range(40_000):
                line.sendall(b"1000\r\n" + b"\0" * 0x1000 + b"\r\n")
                sent += 0x1000
        except ConnectionError:
            pass
    assert sent < 160_000_000
    assert narrow.ask("GET", "/health").json["ready"]


def test_slow_senders_of_heads_and_bodies_are_given_up(narrow):
    assert narrow.raw(b"POST /pre").startswith(b"HTTP/1.1 408 ")
    assert narrow.raw(b"").startswith(b"HTTP/1.1 408 ")
    found = narrow.raw(HEAD + b"Content-Type: image/png\r\nContent-Length: 100\r\n\r\n", b"abc")
    assert found.startswith(b"HTTP/1.1 408 "), found[:80]
    assert narrow.ask("POST", "/predict", PICTURES[0], JPEG).status == 200


def test_slow_senders_do_not_keep_others_from_heat_maps(served):
    head = b"POST /explain HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: 90000\r\n\r\n"
    with ExitStack() as lines:
        for _ in range(6):  # more than there are places for
            line = lines.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=30))
            line.sendall(head + PICTURES[0][:100])
        time.sleep(0.5)
        assert served.ask("POST", "/explain", PICTURES[0], JPEG).status == 200


def test_hostile_bodies_are_refused_and_it_goes_on_serving(narrow):
    rng = np.random.default_rng(0)
    whole = form([("a.png", PICTURES[0])])
    bodies = []
    for _ in range(60):
        cut = PICTURES[0][: rng.integers(1, 400)]
        bodies += [(cut, JPEG), (rng.bytes(500), JPEG), (whole[: rng.integers(1, len(whole) - 40)], FORM)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda sent: narrow.ask("POST", "/predict", *sent), bodies))
    assert {reply.status for reply in replies} <= {400, 413, 422, 429}
    for junk in (b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\0" * 9, b"GET " + b"a" * 200_000):
        assert narrow.raw(junk).split(b" ")[1][:1] in (b"4", b"")
    assert narrow.ask("POST", "/predict", PICTURES[0], JPEG).status == 200
    assert "Traceback" not in _log(narrow)


def _log(server):
    return "" if server.process.poll() is None else server.process.stderr.read()


def test_a_token_opens_all_but_the_page_and_health(model, tmp_path):
    token = "a-token-of-letters-and-signs"
    with serving(model[0], token=token) as server:
        for path in ("/", "/docs", "/health", "/page/app.js", "/openapi.json"):
            assert server.ask("GET", path).status == 200
        for given in ("", "Bearer wrong", f"Basic {token}", "\xe4", f"Bearer {token}x"):
            for method, path in (("GET", "/info"), ("GET", "/metrics"), ("POST", "/predict"), ("POST", "/explain")):
                refused = server.ask(
                    method, path, PICTURES[0] if method == "POST" else None, {**JPEG, "Authorization": given}
                )
                assert refused.status == 401
                assert refused.headers["www-authenticate"] == "Bearer"
        right = {"Authorization": f"Bearer {token}"}
        assert server.ask("GET", "/info", headers=right).status == 200
        assert server.ask("POST", "/predict", PICTURES[0], {**JPEG, **right}).status == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_under_load_loses_no_request_that_was_accepted(model, workers):
    whole = form([("a.png", PICTURES[0])])
    request = HEAD + f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {len(whole)}\r\n\r\n".encode() + whole
    with serving(model[0], "--workers", workers) as server:

        def ask_until_it_stops(_):
            """(answered, lost): keep-alive, until the server says that it closes or takes no more connections."""
            answered = 0
            while True:
                try:
                    line = socket.create_connection(("127.0.0.1", server.port), timeout=30)
                except ConnectionRefusedError:
                    return answered, 0
                with line, line.makefile("rb") as reader:
                    closing = False
                    while not closing:
                        line.sendall(request)
                        status = reader.readline()
                        if not status.startswith(b"HTTP/1.1 200"):
                            return answered, 1
                        length = 0
                        while (header := reader.readline().lower()) != b"\r\n":
                            closing = closing or header == b"connection: close\r\n"
                            length = int(header.split()[1]) if header.startswith(b"content-length") else length
                        json.loads(reader.read(length))
                        answered += 1

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(ask_until_it_stops, i) for i in range(8)]
            time.sleep(1.0)
            server.process.terminate()
            found = [client.result() for client in clients]
        assert sum(answered for answered, _ in found) > 8
        assert sum(lost for _, lost in found) == 0
        assert server.process.wait(20) == 0


def test_a_worker_that_dies_is_replaced(model):
    with serving(model[0], "--workers", 2) as server:
        pid = _pid(server.ask("GET", "/metrics").body)
        os.kill(pid, signal.SIGKILL)
        seen = set()
        end = time.monotonic() + 30
        while len(seen - {pid}) < 2 and time.monotonic() < end:
            try:
                seen.add(_pid(server.ask("GET", "/metrics").body))
            except ConnectionError:
                time.sleep(0.05)
        assert len(seen - {pid}) == 2


def _pid(metrics):
    line = next(line for line in metrics.decode().splitlines() if line.startswith("frostline_worker_info{"))
    return int(line.split('pid="')[1].split('"')[0])


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "another --host"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "another --host"),
        (OSError(errno.EADDRINUSE, "Address already in use"), "another --port; 0 is any free one"),
    ],
)
def test_the_hint_is_of_what_is_wrong_the_host_or_the_port(error, hint, monkeypatch):
    def refused(*_, **__):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    with pytest.raises(PlanError, match=f"hint: {hint}"), _listening("nosuch.invalid", 8000):
        pass


def test_what_cannot_start_says_so_in_three_lines_with_exit_code_two(model, served, tmp_path):
    short = tmp_path / "token"
    short.write_text("short")
    for words, said in (
        (["nowhere"], "there is no such model folder"),
        ([model[0], "--port", served.port], "cannot listen"),
        ([model[0], "--queue", 3], "no room for a request"),
        ([model[0], "--token-file", short], "a token needs"),
        ([model[0], "--workers", 2, "--engine", "nothing"], "a worker ended"),
    ):
        found = subprocess.run(
            [sys.executable, "-m", "frostline", "serve", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert found.returncode == 2
        assert said in found.stderr
        assert "Traceback" not in found.stderr


def test_a_body_of_a_million_tiny_chunks_is_refused_and_one_of_some_is_answered(served):
    def chunked(size):
        pieces = (PICTURES[0][at : at + size] for at in range(0, len(PICTURES[0]), size))
        return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"

    head = HEAD + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n"
    assert len(PICTURES[0]) > 2_000
    assert b" 200 OK" in served.raw(head + b"Connection: close\r\n\r\n" + chunked(50))
    said = served.raw(head + b"\r\n" + b"1\r\nx\r\n" * 1_000_000)  # it waits for no end of the body
    assert b" 400 " in said or not said  # who sends on while the answer comes may lose it
    assert served.predict(("a.png", PICTURES[0])).status == 200


def test_what_can_be_got_can_be_asked_for_its_head(served):
    for path, status in (("/", 200), ("/health", 200), ("/info", 200), ("/predict", 405), ("/nothing", 404)):
        head, whole = served.ask("HEAD", path), served.ask("GET", path)
        assert head.status == whole.status == status
        assert head.body == b""
        assert head.headers["content-type"] == whole.headers["content-type"]


def test_a_form_whose_header_was_written_by_hand_is_told_of_its_boundary(served):
    said = served.ask("POST", "/predict", form([("a.png", PICTURES[0])]), {"Content-Type": "multipart/form-data"})
    assert (said.status, said.json["error"]) == (400, "the Content-Type of the form names no boundary")
    assert "leave that header" in said.json["hint"]


def test_a_heat_map_is_of_one_picture(served):
    said = served.ask("POST", "/explain", form([("a.png", PICTURES[0]), ("b.png", PICTURES[1])]), FORM)
    assert (said.status, said.json["error"]) == (400, "a heat map is of one picture")


_PIECES = st.sampled_from(
    [
        *(b"/predict", b"/explain", b"/info", b"/samples/", b"/page/", b"/docs", b"*", b"http://evil/", b"//evil/"),
        *(b"..%2f..%2fetc/passwd", b"%00", b"%ff", b"%zz", b"9" * 400, b"-1", b"1e3", b"?top=", b"&coverage=", b"nan"),
        *(b"?label=", b"%ed%a0%80", b"<script>", b"%0d%0aX:%20y", b"\xe2\x80\xae", b"\\..\\", b"~", b";", b"&" * 99),
    ]
)
_HEADERS = st.sampled_from(
    [
        *(b"Host: evil", b"Origin: null", b"Origin: http://[", b"Sec-Fetch-Site: cross-site", b"Expect: 100-continue"),
        *(
            b"Content-Type: image/png",
            b"Content-Type: multipart/form-data",
            b"Content-Encoding: gzip",
            b"Range: bytes=9-1",
        ),
        *(b"Content-Type: multipart/form-data; boundary=b", b'Content-Type: multipart/form-data; boundary="\xff"'),
        *(
            b"X-Forwarded-Host: evil",
            b"Upgrade: websocket",
            b"Upgrade: h2c",
            b"Transfer-Encoding: gzip",
            b"X:" + b"a" * 999,
        ),
        *(b"If-None-Match: *", b"Content-Length: 7", b"Cookie: " + b"a=b;" * 99, b"X: \xff", b"Accept: */*;q=x"),
    ]
)
_BODIES = st.sampled_from(
    [
        *(b"", b"junk", PICTURES[0], PICTURES[0][:99], b"--b--\r\n", b"--b\r\n\r\nx\r\n--b--\r\n", b"\r\n--b" * 99),
        b'--b\r\nContent-Disposition: form-data; name=a; filename="<b>\x1b[2J"\r\n\r\n'
        + PICTURES[0]
        + b"\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data; name=a; filename*=utf-8''%00%ff\r\n\r\nx\r\n--b--\r\n",
    ]
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([b"GET", b"POST", b"PUT", b"OPTIONS", b"TRACE", b"G\x00T"]),
    st.lists(_PIECES, max_size=4),
    st.sampled_from([b"1.1", b"1.0", b"9.9"]),
    st.lists(_HEADERS, max_size=4),
    _BODIES,
)
def test_no_request_whatever_it_says_makes_the_server_fail(served, method, path, version, headers, body):
    head = b"%s %s HTTP/%s\r\n" % (method, b"".join(path) or b"/", version)
    own = [b"Host: 127.0.0.1", b"Connection: close", b"Content-Length: %d" % len(body)]
    said = served.raw(head + b"\r\n".join([*headers, *own]) + b"\r\n\r\n" + body)
    status = int(said.split()[1])
    if status == 100:
        status = int(said.partition(b"\r\n\r\n")[2].split()[1])
    assert status in (200, 400, 403, 404, 405, 408, 413, 415, 421, 422)
    assert b"root:" not in said
    assert b"evil" not in said.lower()
    assert served.ask("GET", "/health").json["ready"]


def test_no_torch_is_loaded_to_serve(model):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from frostline.ship.open_predictor import open_predictor\n"
        "from frostline.ship.serve import launch, server\n"
        "from frostline.ship.serve.app import create_app\n"
        "from frostline.ship.serve.serving import Serving\n"
        f"folder = Path({str(model[0])!r})\n"
        "create_app(open_predictor(folder), Serving(folder=folder))\n"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"

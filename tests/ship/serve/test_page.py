"""The page in a browser: what a person does there, by mouse and by keyboard, and what axe finds wrong with it.

Needs Chromium, and the package playwright; the last test needs axe-core too: $AXE_CORE names its `axe.min.js`, else npm
fetches it. What is not there is skipped, and says so.
"""

import base64
import csv
import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from tests.data.pictures import encoded, scene
from tests.ship.conftest import CLASSES
from tests.ship.serve.client import serving

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = api.expect

QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
QUIET += " --disable-component-update --disable-sync --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
PICTURES = [encoded(scene(90, 70, i)) for i in range(12)]
GIVE = """(given) => {
  const data = new DataTransfer();
  for (const [name, type, text] of given.files) {
    data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type }));
  }
  const event = given.how === 'paste'
    ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true })
    : new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true });
  document.getElementById('pictures').dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def browser():
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium: set CHROMIUM")
    with api.sync_playwright() as player:
        opened = player.chromium.launch(executable_path=found, args=QUIET.split())
        yield opened
        opened.close()


@pytest.fixture
def opened(browser, served):
    """A function that opens the page, and fails if it ever asks for something outside or reports an error."""
    contexts, wrong = [], []

    def open_page(*, server=served, **options):
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 800}, "locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        home = f"http://127.0.0.1:{server.port}/"
        page.on("request", lambda asked: None if asked.url.startswith((home, "blob:")) else wrong.append(asked.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(home)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def files(*names):
    return [{"name": name, "mimeType": "image/png", "buffer": PICTURES[i]} for i, name in enumerate(names)]


def give(page, how, *names):
    sent = [[name, "image/png", base64.b64encode(PICTURES[i]).decode()] for i, name in enumerate(names)]
    page.evaluate(GIVE, {"how": how, "files": sent})


def test_a_dropped_picture_is_answered_with_bars(opened, served):
    page = opened(bypass_csp=True)
    expect(page.locator("#knows")).to_have_text("It knows ants, bees, wasps.")
    give(page, "drop", "dropped.png")
    expect(page.locator("#status")).to_have_text(re.compile(r"^dropped\.png: (ants|bees|wasps), "))
    right = served.ask("POST", "/predict", PICTURES[0], {"Content-Type": "image/png"}).json["results"][0]
    expect(page.locator(".said")).to_have_text(right["label"])
    expect(page.locator(".classes .label")).to_have_text([item["label"] for item in right["classes"]])
    widths = page.locator(".classes .fill").evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.width))")
    assert widths == pytest.approx([100 * item["probability"] for item in right["classes"]], abs=0.01)


def test_a_click_on_a_sample_answers_it(opened, served):
    page = opened()
    expect(page.locator("#samples button img")).to_have_count(6)
    page.locator("#samples button").nth(1).click()
    expect(page.locator("#status")).to_have_text(re.compile("^bees 0.png: (ants|bees|wasps), "))
    expect(page.locator("#detail figcaption")).to_have_text("bees 0.png")
    assert page.locator("#samples img").first.evaluate("image => image.naturalWidth") > 0
    assert served.ask("GET", "/samples/6").status == 404


def test_a_pasted_picture_is_answered(opened):
    page = opened(bypass_csp=True)
    give(page, "paste", "pasted.png")
    expect(page.locator("#status")).to_have_text(re.compile(r"^pasted\.png: "))


def test_a_batch_is_a_table_that_can_be_chosen_from_by_keyboard_and_downloaded(opened):
    page = opened()
    names = [f"{i}.png" for i in range(11)] + ['=1+"2",<b>.png']
    page.set_input_files("#files", files(*names))
    expect(page.locator("#status")).to_have_text("12 answered.")
    expect(page.locator("#count")).to_have_text("12 pictures")
    expect(page.locator("#rows tr")).to_have_count(12)
    expect(page.locator("#rows .pick span").last).to_have_text(names[-1])
    page.locator("#rows button").first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("figcaption")).to_have_text("1.png")
    expect(page.locator("#rows button").nth(1)).to_be_focused()
    with page.expect_download() as saved:
        page.click("#csv")
    rows = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text("utf-8-sig"), newline="")))
    shown = page.locator("#rows tr td:nth-child(2)").all_text_contents()
    assert [row["path"] for row in rows] == [*names[:-1], "'" + names[-1]]
    assert [row["label"] for row in rows] == shown
    assert all(1 / len(CLASSES) <= float(row["probability"]) <= 1 for row in rows)
    page.click("#clear")
    expect(page.locator("#answers")).to_be_hidden()
    expect(page.locator("#choose")).to_be_focused()


def _png(width: int, height: int) -> bytes:
    """A picture of one colour, which is small however many pixels it has."""
    found = io.BytesIO()
    Image.new("1", (width, height)).save(found, "PNG")
    return found.getvalue()


def test_what_cannot_be_read_is_told_beside_what_can(opened):
    page = opened()
    broken = {"name": "<img src=x onerror=alert(1)>.png", "mimeType": "image/png", "buffer": b"junk"}
    page.set_input_files("#files", [broken])
    expect(page.locator("#detail [role=alert]")).to_have_text(re.compile("^It cannot be read: not a picture"))
    expect(page.locator("figcaption")).to_have_text(broken["name"])
    page.set_input_files("#files", [*files("a.png"), broken])
    expect(page.locator("#status")).to_have_text("1 answered, 1 not readable.")
    expect(page.locator("#rows .fault-text").last).to_have_text(re.compile("^cannot be read: not a picture"))
    page.set_input_files("#files", [{"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"}])
    expect(page.locator("#status")).to_have_text("Not pictures, and left out: a.txt")


def test_all_of_it_works_by_keyboard_alone(opened):
    page = opened()
    page.on("filechooser", lambda chooser: chooser.set_files(files("one.png")))
    expect(page.locator("#knows")).not_to_be_empty()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#choose")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text(re.compile("^one.png: "))
    page.keyboard.press("Tab")
    expect(page.locator("#camera")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#viewfinder")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#viewfinder")).to_be_hidden()


def test_the_camera_takes_a_picture(opened):
    page = opened(permissions=["camera"])
    expect(page.locator("#knows")).not_to_be_empty()
    page.click("#camera")
    expect(page.locator("#viewfinder")).to_be_visible()
    page.wait_for_timeout(500)
    page.click("#shoot")
    expect(page.locator("#status")).to_have_text(re.compile(r"^camera-.*\.jpg: "))
    expect(page.locator("#viewfinder")).to_be_hidden()


def test_it_speaks_the_browsers_language_and_can_be_switched(opened):
    page = opened(locale="zh-CN")
    expect(page.locator("h1")).to_have_text("图片里是什么？")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.set_input_files("#files", files("a.png", "b.png"))
    expect(page.locator("#status")).to_have_text("已识别 2 张。")
    huge = {"name": "huge.png", "mimeType": "image/png", "buffer": _png(12_000, 9_000)}
    half = {"name": "half.png", "mimeType": "image/png", "buffer": files("a.png")[0]["buffer"][:120]}
    page.set_input_files("#files", [*files("a.png"), huge, half])
    refused = page.locator("#rows .fault-text")
    expect(refused.first).to_have_text("无法读取：12000 x 9000 像素超过上限 50,000,000")
    expect(refused.last).to_have_text(re.compile("^无法解码：[^a-z]*"))
    assert refused.last.evaluate("cell => cell.colSpan") == page.locator("thead th:visible").count() - 1
    page.click("#language")
    expect(page.locator("h1")).to_have_text("What does the picture show?")
    expect(page.locator("#status")).to_have_text("1 answered, 2 not readable.")
    page.reload()
    expect(page.locator("h1")).to_have_text("What does the picture show?")


def test_a_token_is_asked_for_once(opened, model):
    token = "a-token-of-letters-and-signs"
    with serving(model[0], token=token) as server:
        page = opened(server=server)
        page.fill("#token", "not this one")
        page.keyboard.press("Enter")
        expect(page.locator("#wrong")).to_have_text("That is not the token.")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        expect(page.locator("#door")).to_be_hidden()
        page.set_input_files("#files", files("a.png"))
        expect(page.locator("#status")).to_have_text(re.compile("^a.png: "))
        page.reload()
        expect(page.locator("#knows")).not_to_be_empty()


def full(page):
    """Answers of a model that knows sets, novelty and heat maps, whatever the real one knows."""
    told = {"model": "net", "classes": ["ants", "bees"], "metrics": {}, "sets": True, "explain": True}
    told["limits"] = {"max_bytes": 1 << 20, "max_pixels": 1 << 20, "max_files": 8, "queue": 8}
    sets = {"0.8": ["ants"], "0.85": ["ants"], "0.9": ["ants"], "0.95": ["ants", "bees"], "0.99": ["ants", "bees"]}
    classes = [{"label": "ants", "probability": 0.93}, {"label": "bees", "probability": 0.07}]
    answer = {"name": "a.png", **classes[0], "classes": classes, "sets": sets, "novel": True}
    page.route("**/info", lambda route: route.fulfill(json=told))
    page.route(
        "**/predict?*",
        lambda route: route.fulfill(json={"results": [answer] * route.request.post_data_buffer.count(b"filename=")}),
    )
    page.route("**/explain?*", lambda route: route.fulfill(body=PICTURES[5], content_type="image/png"))
    page.reload()
    page.set_input_files("#files", files("a.png"))
    expect(page.locator(".sets strong")).to_have_text("It is ants.")


def test_sets_follow_the_slider_and_the_heat_map_a_click(opened):
    page = opened()
    full(page)
    expect(page.locator(".note")).to_have_text("Unlike the pictures that it was trained on: perhaps none of these.")
    expect(page.locator(".sets label")).to_have_text("A set that contains the true class 90% of the time:")
    page.focus("#coverage")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".sets strong")).to_have_text("It may be any of the classes.")
    expect(page.locator("#coverage")).to_have_attribute("aria-valuetext", "95%: ants, bees")
    expect(page.locator(".classes .member")).to_have_count(2)
    page.click("figure img")
    expect(page.locator("#why")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("figcaption")).to_have_text("Heat map: the evidence for ants")
    page.keyboard.press("Enter")
    expect(page.locator("figcaption")).to_have_text("a.png")


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_sticks_out_on_a_small_screen(opened, width):
    page = opened(viewport={"width": width, "height": 700}, bypass_csp=True)
    full(page)
    long = "a-name-without-any-place-to-break-" * 4
    page.set_input_files("#files", files(f"{long}.png", "b.png"))
    expect(page.locator("#rows tr")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    named = os.environ.get("AXE_CORE")
    if named:
        return Path(named).read_text("utf-8")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core is not here: set AXE_CORE to its axe.min.js, or install npm")
    folder = tmp_path_factory.mktemp("axe")
    packed = subprocess.run([npm, "pack", "axe-core@4"], cwd=folder, capture_output=True, check=False, timeout=120)
    archives = list(folder.glob("axe-core-*.tgz"))
    if packed.returncode or not archives:
        pytest.skip("axe-core is not here, and npm cannot fetch it: set AXE_CORE to its axe.min.js")
    with tarfile.open(archives[0]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


@pytest.mark.parametrize("path", ["", "docs"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened, axe, scheme, path):
    page = opened(color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    if path:
        page.goto(page.url + path)
        expect(page.locator("article").first).to_be_visible()
    found = [*_violations(page, axe)]
    if not path:
        full(page)
        broken = {"name": "broken.png", "mimeType": "image/png", "buffer": b"junk"}
        page.set_input_files("#files", [*files("b.png", "c.png"), broken])
        expect(page.locator("#rows tr")).to_have_count(4)
        found += _violations(page, axe)
    assert [f"{v['id']}: {v['nodes'][0]['html']}" for v in found] == []


def _violations(page, axe):
    page.evaluate(axe)
    return page.evaluate("async () => (await axe.run({resultTypes: ['violations']})).violations")

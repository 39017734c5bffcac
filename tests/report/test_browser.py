"""The page as a person has it: opened from a file in a browser without a network, clicked and typed into."""

import contextlib
import shutil
import types

import numpy as np
import pytest

from metric_learning.evaluation import curve_of, evaluate, nearest_of_all
from metric_learning.report import Background, write_report

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

ITEMS = ".map-frame image, .map-frame .mark-symbol path"
HISTORY = [
    {"step": step, "train/loss": 1 / step} | ({"validation/map@r": 0.1 + 0.01 * step} if step % 5 == 0 else {})
    for step in range(1, 31)
]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module", params=["images", "texts"])
def address(request, tmp_path_factory):
    """Of a page of 120 items of 8 classes, one of them named as an attack."""
    labels, rng = np.arange(120) % 8, np.random.default_rng(0)
    rows = rng.normal(size=(8, 8))[labels] + 0.8 * rng.normal(size=(120, 8))
    is_image = request.param == "images"
    inputs = rng.integers(0, 256, (120, 16, 16, 3)).astype(np.uint8) if is_image else np.ones((120, 3), np.int32)
    captions = [f"item {number} </script><script>document.title='broken'</script>" for number in range(120)]
    split = types.SimpleNamespace(inputs=inputs, labels=labels, captions=captions)
    names = [f"class {label}" for label in range(7)] + ["<img src=x onerror=\"document.title='broken'\">"]
    rates = {name: [0.9, 0.8, 0.95] for name in ("precision", "recall", "far", "frr")}
    chosen = {
        "threshold": 0.3,
        "target": "precision",
        "value": 0.9,
        "interval": [0.25, 0.35],
        "rates": rates,
        "queries": 120,
        "classes": 8,
    }
    background = Background(curve=curve_of(nearest_of_all(rows, labels)), chosen=chosen, settings="steps: 30\n")
    options = {"history": HISTORY, "class_names": names, "untrained_embeddings": rows[:, :3], "title": "a test"}
    folder = tmp_path_factory.mktemp("report")
    return write_report(folder, split, rows, evaluate(rows, labels), background=background, **options)["page"].as_uri()


@pytest.fixture
def page(browser, address):
    """Opened and drawn; fails at its end if something was asked of a network or said on the console."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    opened = context.new_page()
    wrong = []
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda request: wrong.append(request.url))
    opened.goto(address)
    opened.wait_for_selector("html[data-drawn]")
    yield opened
    assert [each for each in wrong if each != address and not each.startswith("data:")] == []
    assert opened.title() == "a test"
    context.close()


@pytest.fixture
def never_idle(browser, address):
    """Opened in a browser that is never idle, so that only what is seen is drawn."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    opened = context.new_page()
    opened.add_init_script("window.requestIdleCallback = () => {}")
    opened.goto(address)
    yield opened
    context.close()


def test_all_charts_are_drawn(page):
    charts = page.locator(".chart").count()
    assert charts >= 7 and page.locator(".chart svg").count() == charts
    for place in range(charts):
        assert page.locator(".chart svg").nth(place).bounding_box()["width"] > 200
    assert page.locator(".chart svg .mark-symbol path").count() > 10  # the chosen point, dots of validation, of scores


def test_what_is_seen_is_drawn_though_the_browser_is_never_idle(never_idle):
    never_idle.wait_for_selector("html[data-ready]")
    never_idle.wait_for_selector("#scores .chart svg")
    assert never_idle.locator("#training .chart svg").count() == 0
    never_idle.locator("#training").scroll_into_view_if_needed()
    never_idle.wait_for_selector("#training .chart svg")
    assert never_idle.get_attribute("html", "data-drawn") is None


def test_whoever_prints_early_gets_all_charts_and_pictures(never_idle):
    never_idle.wait_for_selector("#scores .chart svg")
    drawn = "document.querySelectorAll('.chart svg').length"
    charts = never_idle.locator(".chart").count()
    assert never_idle.evaluate(drawn) < charts
    never_idle.evaluate(f"window.addEventListener('beforeprint', () => {{ window.drawnOnPaper = {drawn} }})")
    never_idle.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")
    never_idle.pdf()
    assert never_idle.evaluate("window.drawnOnPaper") == charts


def test_a_phone_shows_all_rates_and_the_first_score(browser, address):
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844})
    context.set_default_timeout(120_000)
    opened = context.new_page()
    opened.goto(address)
    opened.wait_for_selector("html[data-drawn]")

    def right_of(found):
        box = found.bounding_box()
        return box["x"] + box["width"]

    opened.locator("#thresholds").scroll_into_view_if_needed()
    rates = opened.locator("#thresholds .role-legend-label text")
    assert rates.count() == 4
    assert max(right_of(rate) for rate in rates.all()) <= right_of(opened.locator("#thresholds .plot"))
    opened.locator("#scores").scroll_into_view_if_needed()
    score = opened.locator("#scores tbody tr").first.locator("td").first
    assert right_of(score) <= right_of(opened.locator("#scores .scroll"))
    context.close()


def test_the_table_is_sorted_and_filtered(page):
    def column(number):
        cells = page.locator(f"#classes-table tbody tr:visible > :nth-child({number})")
        return [text.strip() for text in cells.all_text_contents()]

    page.locator("#classes").scroll_into_view_if_needed()  # what is not seen is not laid out
    head = page.locator("#classes-table thead th")
    head.first.locator("button").hover()
    place = next(i for i in range(head.count()) if head.nth(i).inner_text().strip().startswith("recall@1"))
    head.nth(place).locator("button").click()
    values = [float(text) for text in column(place + 1)]
    assert values == sorted(values, reverse=True) and len(values) == 8
    assert head.nth(place).get_attribute("aria-sort") == "descending"
    page.keyboard.press("Enter")
    assert [float(text) for text in column(place + 1)] == sorted(values)
    head.nth(0).locator("button").click()
    assert column(1)[-1] == "class 6" and head.nth(place).get_attribute("aria-sort") is None
    page.get_by_label("Show classes with").fill("CLASS 3")
    assert column(1) == ["class 3"] and page.locator(".filter-count").inner_text() == "1 of 8"


def test_the_map_zooms_moves_and_finds(page):
    frame = page.locator(".map-frame")
    frame.scroll_into_view_if_needed()
    assert page.locator(ITEMS).count() == 120

    def places():
        return page.evaluate(
            """items => [...document.querySelectorAll(items)]
              .map(each => each.getAttribute('transform') + each.getAttribute('x') + each.getAttribute('y'))""",
            ITEMS,
        )

    def wait(shown):
        page.wait_for_function("shown => document.querySelector('.map-frame').dataset.shown.match(shown)", arg=shown)

    before = places()
    page.get_by_role("button", name="Zoom in").click()
    wait("^1.50 0.50 0.50$")
    zoomed = places()
    assert zoomed != before
    frame.focus()
    for key in ("+", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    wait("^2.25 0.57 0.57$")
    assert places() != zoomed
    page.keyboard.press("0")
    wait("^1.00 0.50 0.50$")
    assert places() == before
    box = frame.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -400)
    wait("^1.82 0.50 0.50$")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 100, box["y"] + box["height"] / 2)
    page.mouse.up()
    wait("^1.82 0.45 0.50$")
    page.get_by_role("button", name="All", exact=True).click()
    wait("^1.00 0.50 0.50$")
    page.locator(".map-find").fill("class 2")
    page.wait_for_function("document.querySelector('.map-count').textContent === '15 found'")


def test_pointing_at_an_item_tells_of_it(page):
    page.locator(".map-frame").scroll_into_view_if_needed()
    tip = page.locator("#vg-tooltip-element.visible")
    for _ in range(60):  # as a hand does: one move alone may come before the scrolled page is laid out
        page.locator(ITEMS).last.hover(force=True)
        with contextlib.suppress(playwright.TimeoutError):
            tip.wait_for(timeout=2_000)
            break
    words = tip.inner_text()
    assert "</script>" in words and "nearest" in words and "of the same class" in words
    assert tip.locator("img").count() == page.locator(".map-frame image").count() // 120


def test_the_keyboard_reaches_the_sections_and_the_tables(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#scores"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.className || document.activeElement.tagName"))
    assert {"map-frame", "map-find", "filter", "scroll tall", "SUMMARY"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_dark_and_on_paper(page, scheme):
    def contrast(selector):
        return page.evaluate(
            """selector => {
              const light = color => {
                const parts = color.match(/[\\d.]+/g).map(Number).slice(0, 3).map(part => part / 255)
                  .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
                return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
              };
              const style = getComputedStyle(document.querySelector(selector));
              const color = selector.includes('svg') ? style.fill : style.color;
              const both = [light(color), light(getComputedStyle(document.body).backgroundColor)].sort();
              return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
            }""",
            selector,
        )

    for media, of_scheme in (("screen", scheme), ("print", "light")):
        page.emulate_media(color_scheme=scheme, media=media)
        is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 29)"
        assert is_dark == (of_scheme == "dark")
        of_charts = [f".chart svg .role-{kind}-label text" for kind in ("axis", "legend")]
        for selector in ("h1", ".note", ".meaning", *of_charts):
            assert contrast(selector) >= 4.5, (media, selector)
    assert not page.locator("nav").is_visible()

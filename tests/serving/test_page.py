"""The page as a person uses it, in headless Chromium: what is asked is found, and nobody else is asked."""

import contextlib
import shutil

import pytest

pytest.importorskip("fastapi")
playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """`open_page(port, **options)`: the page; at the end it must have had no error and asked nobody else."""
    with contextlib.ExitStack() as stack:
        wrong = []

        def go(port, path="/", **options):
            context = browser.new_context(**options)
            stack.callback(context.close)
            page = context.new_page()
            page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            address = f"http://127.0.0.1:{port}/"
            page.on(
                "request",
                lambda asked: None if asked.url.startswith((address, "blob:", "data:")) else wrong.append(asked.url),
            )
            page.goto(f"http://127.0.0.1:{port}{path}", wait_until="networkidle")
            return page

        yield go
    assert wrong == []


def test_a_text_is_typed_and_found_by_keyboard_alone(served, open_page):
    port, encoder, index, items, _ = served("texts")
    page = open_page(port)
    page.wait_for_selector("#text:focus")
    page.keyboard.type(items[4])
    page.keyboard.press("Enter")
    page.wait_for_selector("#hits li")
    assert page.inner_text("#verdict") == f"A match: {items[4][:3]}"
    assert page.locator("#hits li").count() == 12
    expected = index.search(encoder.embed([items[4]]), 12)[0]
    assert page.locator("#hits .near").all_inner_texts()[1].startswith(f"{expected[1].distance:.4f}")
    assert [name.strip() for name in page.locator("#hits .id").all_inner_texts()] == [hit.id for hit in expected]
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    page.wait_for_selector("#hits li:nth-child(3):last-child")


def test_a_picture_is_chosen_and_found_with_pictures(served, open_page):
    port, encoder, index, items, _ = served("images")
    page = open_page(port)
    page.set_input_files("#picture", items[7])
    page.wait_for_selector("#hits img")
    assert page.inner_text("#verdict") == f"A match: {items[7].split('/')[-2]}"
    page.locator("img").evaluate_all("(images) => Promise.all(images.map((image) => image.decode()))")
    assert page.locator("#hits img").count() == 12
    for key, reached in (("Tab", "k"), ("Shift+Tab", "picture")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == reached


def test_a_picture_is_dropped(served, open_page):
    port, _, _, items, _ = served("images")
    page = open_page(port)
    with open(items[0], "rb") as file:
        data = list(file.read())
    page.evaluate(
        """(data) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(data)], "a.png", { type: "image/png" }));
            const dropped = new DragEvent("drop", { dataTransfer: files, bubbles: true });
            document.getElementById("drop").dispatchEvent(dropped);
        }""",
        data,
    )
    page.wait_for_selector("#hits li.within")


@pytest.mark.parametrize(("kind", "text"), [("ids", '{"brand": "b1", "price": "1"}'), ("features", "0 1 2, 3, 4 5 6")])
def test_rows_are_typed_and_found(served, open_page, kind, text):
    page = open_page(served(kind).port)
    page.fill("#text", text)
    page.click("button")
    page.wait_for_selector("#hits li")
    page.fill("#text", "no row")
    page.click("button")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.is_hidden("#result")


def test_without_an_index_it_says_so(made, running, open_page):
    from metric_learning.serving import create_app

    with running(create_app(made("texts")[0])) as port:
        page = open_page(port)
        page.wait_for_selector("#problem:not([hidden])")
        assert "index=FOLDER" in page.inner_text("#problem") and page.is_hidden("#ask")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_read_by_day_and_by_night(served, open_page, scheme, tmp_path):
    """Text stands out from what is behind it by 4.5, as WCAG 2.1 asks."""
    port, _, _, items, _ = served("images")
    page = open_page(port, color_scheme=scheme)
    page.set_input_files("#picture", items[7])
    page.wait_for_selector("#hits img")
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    for selector in (
        "h1",
        "#about",
        "#verdict",
        "#within",
        ".name",
        ".id",
        ".near",
        "button",
        "#drop span",
        "footer a",
    ):
        text, behind = page.evaluate(
            """(selector) => {
                let element = document.querySelector(selector);
                const text = getComputedStyle(element).color;
                const behind = (element) => getComputedStyle(element).backgroundColor;
                while (behind(element) === "rgba(0, 0, 0, 0)") element = element.parentElement;
                return [text, behind(element)];
            }""",
            selector,
        )
        assert contrast(text, behind) >= 4.5, (selector, text, behind)


def contrast(first, second):
    """By the formula of WCAG 2.1."""

    def luminance(color):
        parts = [int(part) / 255 for part in color.removeprefix("rgb(").removesuffix(")").split(",")]
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def test_what_programs_read_is_a_page_too(served, open_page):
    page = open_page(served("texts").port, "/docs")
    page.wait_for_selector("#operations-default-search_search_post")

"""The site of the documentation: it builds without a warning, fetches nothing, and shows the docstrings as meant."""

import html
import importlib
import os
import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("material")
pytest.importorskip("mkdocstrings_handlers.python")

ROOT = pathlib.Path(__file__).parent.parent
PAGES = re.findall(r"api/([\w.]+)\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def read(site, name):
    return (site / "api" / name / "index.html").read_text(encoding="utf-8")


def test_every_package_has_a_page():
    folders = {path.parent for path in (ROOT / "metric_learning").glob("*/__init__.py")} | {ROOT / "miners"}
    packages = {str(path.relative_to(ROOT)).replace("/", ".") for path in folders}
    assert packages <= set(PAGES), f"not in nav of mkdocs.yml: {packages - set(PAGES)}"


@pytest.mark.slow
def test_every_export_is_shown(site):
    for name in PAGES:
        module = importlib.import_module(name)
        text = read(site, name)
        for export in [] if name == "metric_learning" else getattr(module, "__all__", []):  # which shows what it holds
            found = getattr(module, export)
            if callable(found):
                assert f'id="{found.__module__}.{found.__qualname__}"' in text, f"{name}.{export}"
    for name in ("load", "Encoder"):
        assert f'id="metric_learning.encoder.{name}"' in read(site, "metric_learning")


@pytest.mark.slow
def test_tables_tell_in_whole_sentences_what_there_is(site):
    for name in PAGES:
        cells = re.findall(r"<tr>\s*<td>.*?</td>\s*<td>(.*?)</td>", read(site, name).partition("</table>")[0], re.S)
        assert cells and not [cell for cell in cells if not cell.strip().endswith(".")], name


@pytest.mark.slow
def test_sections_of_docstrings_are_no_plain_text(site):
    text = read(site, "metric_learning.losses")
    triplet = text.partition('id="metric_learning.losses.triplet.Triplet"')[2][:20000]
    assert "<code>margin</code>" in triplet and "Raises:" in triplet and "&gt;&gt;&gt; " in triplet
    assert "[B] from <code>call</code>: the same for all rows" in html.unescape(text)  # no type, though a colon follows
    for name in PAGES:
        plain = html.unescape(re.sub(r"<pre.*?</pre>|<[^>]+>", "", read(site, name), flags=re.S))
        assert ">>>" not in plain, name
        assert not re.search(r"^[ \t]*(Args|Example):", plain, re.M), name


@pytest.mark.slow
def test_names_that_share_a_text_are_shown_each(site):
    text = read(site, "metric_learning.data")
    folder = text.partition('id="metric_learning.data.image_folder.image_folder"')[2]
    for name in ("image_size", "channels", "fit"):
        assert re.search(rf"<code>{name}</code>.{{0,400}}fit_image", folder, re.S), name
    assert 'href="#metric_learning.data.images.fit_image"' in folder


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(site):
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|link|iframe)\b[^>]*?(?:src|href)="((?:https?:)?//[^"]+)"', text)
        assert fetched == [], file
    for file in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//|@import", file.read_text(encoding="utf-8")), file

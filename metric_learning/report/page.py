"""The page of a report: sections with charts in them, in one file that needs no other and asks no network.

Sections are made of the templates beside this file by Jinja, which escapes whatever they are given; a chart is a
specification of Vega-Lite or Vega, drawn by their own code, which the page holds.
"""

import contextlib
import functools
import importlib.metadata
import importlib.resources
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from metric_learning.cache_dir import default_cache_dir
from metric_learning.whole_files import write_whole

_SECTION = re.compile(r"<!--section ([\w-]+)-->.*?<h2[^>]*>(.*?)</h2>.*?<!--end \1-->\n", re.DOTALL)
_LINKS = re.compile(r"<!--links-->.*?<!--end links-->", re.DOTALL)


class Section(NamedTuple):
    """A part of a page.

    Attributes:
        name: its place in addresses, `index.html#name`; lower-case letters, digits and hyphens.
        title: plain text.
        html: what `render` gave.
    """

    name: str
    title: str
    html: str


def render(template: str, **values: Any) -> str:
    """HTML of one of the templates; all values are escaped, and data within scripts too.

    Args:
        template: name of a file of `templates/`.
        values: that it asks for.
    """
    return _environment().get_template(template).render(values)


def chart(name: str, data: dict[str, list[dict[str, Any]]] | None = None, **parameters: Any) -> dict[str, Any]:
    """A specification of `templates/` with its data, for the macro `chart` of the templates.

    Args:
        name: of the file.
        data: name -> rows of plain values; a number that is none becomes null.
        parameters: values of the parameters (of Vega: signals) of these names.

    Raises:
        ValueError: a parameter that the specification does not have.
    """
    specification = json.loads(_read(name))
    declared = {each["name"]: each for each in specification.get("params", specification.get("signals", []))}
    if set(parameters) - set(declared):
        raise ValueError(f"{name} has the parameters {', '.join(declared)}; got {', '.join(parameters)}")
    for parameter, value in parameters.items():
        declared[parameter]["value"] = value
    for rows, values in (data or {}).items():
        cleaned = [{key: _number_or_none(value) for key, value in row.items()} for row in values]
        if "datasets" in specification:
            specification["datasets"][rows] = cleaned
        else:
            next(each for each in specification["data"] if each["name"] == rows)["values"] = cleaned
    if "layer" in specification:  # one without rows would have a scale without ends
        sets = specification["datasets"]
        specification["layer"] = [
            layer for layer in specification["layer"] if sets.get(layer.get("data", {}).get("name"), True)
        ]
    return specification


def write_page(path: str | Path, title: str, about: str, sections: Sequence[Section]) -> Path:
    """Writes a page in one move; equal arguments give equal bytes.

    Args:
        path: of the file, whose folder is made if missing.
        title: of the page.
        about: a sentence below the title.
        sections: in their order.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    page = render(
        "page.html",
        title=title,
        about=about,
        sections=[_framed(section) for section in sections],
        style=_read("page.css"),
        script=_read("page.js"),
        library=charts_library(),
    )
    write_whole(path, _with_links(page))
    return path


def put_section(path: str | Path, section: Section) -> Path:
    """Puts a section into a page that is there: in the place of the one of its name, or behind all others.

    Raises:
        ValueError: the file is no page of `write_page`.
    """
    path = Path(path)
    page = path.read_text(encoding="utf-8")
    found = list(_SECTION.finditer(page))
    if not found:
        raise ValueError(f"{path} is no page of a report: it has no sections")
    same = next((each for each in found if each.group(1) == section.name), None)
    start, end = same.span() if same else (found[-1].end(), found[-1].end())
    write_whole(path, _with_links(page[:start] + _framed(section) + page[end:]))
    return path


@functools.cache
def charts_library() -> str:
    """JavaScript of Vega, Vega-Lite and Vega-Embed in one, as a script in a page can hold it.

    It takes two seconds to make, and is kept in `metric_learning` of `$XDG_CACHE_HOME` or `~/.cache`.
    """
    kept = default_cache_dir() / f"vega-by-vl-convert-{importlib.metadata.version('vl-convert-python')}.js"
    with contextlib.suppress(OSError):
        return kept.read_text(encoding="utf-8")
    import vl_convert

    made = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub forgets that all has a default
    # Within a script these would end it; within JavaScript both forms mean the same.
    made = made.replace("</script", r"<\/script").replace("<!--", r"\x3c!--")
    with contextlib.suppress(OSError):  # a home that cannot be written to
        kept.parent.mkdir(parents=True, exist_ok=True)
        own = kept.with_name(f"{os.getpid()}-{kept.name}")  # several runs may make it at once
        write_whole(own, made)
        own.replace(kept)
    return made


def _framed(section):
    """With marks that `put_section` finds; nothing that was escaped holds such marks."""
    if not re.fullmatch(r"[a-z0-9-]+", section.name):
        raise ValueError(f"a section's name must be of a-z, 0-9 and -; got {section.name!r}")
    return render("section.html", section=section)


def _with_links(page):
    titles = (each.groups() for each in _SECTION.finditer(page))
    links = "".join(f'<li><a href="#{name}">{title}</a></li>\n' for name, title in titles)
    # A function, as a title may hold what looks like a reference to a group.
    return _LINKS.sub(lambda _: f"<!--links-->\n{links}<!--end links-->", page, count=1)


def _number_or_none(value):
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


@functools.cache
def _read(name):
    return (importlib.resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


@functools.cache
def _environment():
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {
        "allow_nan": False,
        "ensure_ascii": False,
        "separators": (",", ":"),
        "sort_keys": True,
    }
    environment.filters["score"] = score
    return environment


def score(value: Any) -> str:
    """Such as "0.687", "5,131" of a count, "–" of what there is none."""
    if value is None or (isinstance(value, float) and value != value):
        return "\u2013"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"

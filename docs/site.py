"""What mkdocs makes the site of: the files of this project at their own places, so that the links between them hold,
and a page of reference for each package that `nav` in mkdocs.yml names, from its docstrings.

For mkdocs these are hooks, and for Griffe, which reads the docstrings without running the code, an extension.
"""

import functools
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Files elsewhere than in docs/ that the site has, because its pages link to them.
ELSEWHERE = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "examples/first_hour.ipynb"),
    *(f"metric_learning/data/emoji/{name}" for name in ("LICENSES.md", "Apache-2.0.txt", "Unicode-3.0.txt")),
)
PACKAGES = ("metric_learning", "miners")
PAGES = re.findall(r"api/([\w.]+)\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Instead of what is in docs/ alone: the files by their paths in the project, and the pages of the reference."""
    in_docs = [file for file in files if file.src_dir == config.docs_dir]
    for file in in_docs:
        files.remove(file)
    paths = [f"docs/{file.src_uri}" for file in in_docs if not file.src_uri.endswith(".py")]
    for path in (*ELSEWHERE, *paths):
        files.append(File(path, str(ROOT), config.site_dir, config.use_directory_urls))
    loaded = {name: griffe.load(name, search_paths=[ROOT]) for name in PACKAGES}
    for name in PAGES:
        files.append(File.generated(config, f"api/{name}.md", content=page(name, loaded[name.partition(".")[0]])))
    return files


def page(name: str, package: griffe.Module) -> str:
    """The reference of one package or module, as Markdown for mkdocstrings: a table of what it has, and all of it."""
    module = package if name == package.path else package[name.removeprefix(f"{package.path}.")]
    own = {member: path for member, path in exported(module).items() if page_of(path) == name}
    rows = [f"| [`{member}`][{path}] | {first_line(package, path)} |" for member, path in own.items()]
    parts = [
        f"# {name} {{#{name}}}",
        f"::: {name}\n    options: {{members: []}}",
        "\n".join(["| name | what it is |", "|---|---|", *rows]),
    ]
    parts += [block(path, member, level=2) for member, path in own.items()]
    besides = sorted(path for path in shown(package) - set(own.values()) if page_of(path) == name)
    if besides:
        parts += ["## What these refer to", *(block(path, path, level=3) for path in besides)]
    return "\n\n".join(parts) + "\n"


def block(path: str, heading: str, level: int) -> str:
    """What mkdocstrings makes the text of a function or class of."""
    options = f"heading: {heading}, toc_label: {heading.rpartition('.')[2]}, heading_level: {level}"
    return f"::: {path}\n    options: {{{options}, show_root_heading: true, show_root_toc_entry: true}}"


def first_line(package: griffe.Module, path: str) -> str:
    """The first sentence of a docstring, as a cell of a table; of one that ends in a formula what is before it."""
    text = package[path.removeprefix(f"{package.path}.")].docstring.value
    sentence = re.split(r"\n\n|(?<=\.)\s", text, maxsplit=1)[0].replace("\n", " ").replace("|", "\\|")
    if not sentence.endswith("."):
        sentence = (sentence[:-1] if sentence.endswith(":") else sentence.rpartition(": ")[0] or sentence) + "."
    return sentence


def page_of(path: str) -> str:
    """Name of the page that shows the object of a path: of the innermost package that has one."""
    return max((name for name in PAGES if f"{path}.".startswith(f"{name}.")), key=len, default="")


def exported(module: griffe.Module) -> dict[str, str]:
    """Name -> path of its definition, of what a package imports for others, and of what a module itself defines."""
    ours = tuple(f"{name}." for name in PACKAGES)
    imported = module.imports if module.is_init_module else {}
    found = {name: path for name, path in imported.items() if path.startswith(ours)}
    for name, member in module.members.items():
        if not member.is_alias and (member.is_function or member.is_class) and member.docstring:
            found[name] = member.path
    return {name: path for name, path in found.items() if not name.startswith("_") and path in every_path(module)}


def shown(package: griffe.Module) -> set[str]:
    """Paths of all that the pages show of a package: what it exports, and what the docstrings of these refer to."""
    modules = [package, *(module for module in below(package) if module.is_module)]
    found = {path for module in modules if module.path in PAGES for path in exported(module).values()}
    waiting = list(found)
    while waiting:
        path = waiting.pop()
        top = package[path.removeprefix(f"{package.path}.")]
        for documented in (top, *below(top)):
            new = set(references(documented, package).values()) - found
            found |= new
            waiting += new
    return found


def below(module: griffe.Object) -> Iterator[griffe.Object]:
    """All that is defined in a module or class, at any depth."""
    for member in module.members.values():
        if not member.is_alias:
            yield member
            yield from below(member)


def references(documented: griffe.Object, package: griffe.Module) -> dict[str, str]:
    """Name -> path, of the public functions and classes that a docstring sends its reader to."""
    text = documented.docstring.value if documented.docstring else ""
    found = {}
    for name in re.findall(r"(?:see|as in|as by) `([\w.]+)`", text):
        path = definition(name, documented, package)
        if path is not None and page_of(path) and not path.startswith(f"{documented.path}."):
            found[name] = path
    return found


def definition(name: str, documented: griffe.Object, package: griffe.Module) -> str | None:
    """Path of the one public function or class that a docstring calls so; None if there is none, or several."""
    ends = [
        path
        for path in every_path(package)
        if f".{path}".endswith(f".{name}") and "._" not in path and page_of(path) == page_of(documented.path)
    ]
    return ends[0] if len(ends) == 1 else None


@functools.cache
def every_path(package: griffe.Module) -> frozenset[str]:
    """Paths of all functions and classes with a docstring, of the package that a module is in, but for methods."""
    return frozenset(
        each.path
        for each in below(package.package)
        if (each.is_function or each.is_class) and each.docstring and each.parent and each.parent.is_module
    )


class Docstrings(griffe.Extension):
    """Says in Griffe's words what our docstrings say in theirs, and makes links of the names that they refer to."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        if pkg.path in PACKAGES:
            there = shown(pkg)
            for each in (pkg, *below(pkg)):
                if each.docstring:
                    links = references(each, pkg)
                    each.docstring.value = in_other_words(each.docstring.value)
                    for name, path in links.items():
                        if path in there:
                            each.docstring.value = each.docstring.value.replace(f"`{name}`", f"[`{name}`][{path}]")


def in_other_words(docstring: str) -> str:
    """The docstring with "Example:" as "Examples:", of "first, second: the text" a line for each, and no colon in the
    line after "Returns:", since Griffe takes what is before it for a type."""
    docstring = re.sub(r"^Example:$", "Examples:", docstring, flags=re.M)
    docstring = re.sub(r"^(Returns:\n {4}[^\n:`]*(?:`[^`\n]*`[^\n:`]*)*): ", r"\1&#58; ", docstring, flags=re.M)
    return re.sub(r"^(?:Args|Attributes):\n(?:(?: {4}.*)?(?:\n|\Z))+", _one_each, docstring, flags=re.M)


def _one_each(section: re.Match[str]) -> str:
    head, *items = re.split(r"\n(?= {4}\S)", section[0])
    lines = [head]
    for item in items:
        names, colon, text = item.partition(":")
        lines += [f"    {name.strip()}{colon}{text}" for name in names.split(",")] if colon else [item]
    return "\n".join(lines)

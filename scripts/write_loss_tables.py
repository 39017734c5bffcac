"""Writes the tables of docs/losses.md: every loss and miner, what it asks for, what it reached and costs, its settings.

    python scripts/write_loss_tables.py           # after a loss, a miner, a result or a setting has changed
    python scripts/write_loss_tables.py check     # an error if the file is not what it would write

What a row says comes from where it is known: the first comments of its file in conf/, docs/results.csv,
docs/benchmark.csv and the constructor. The text around the tables is written by hand.
"""

import csv
import inspect
import pathlib
import re

import hydra
from omegaconf import OmegaConf

import metric_learning
from metric_learning.command_line import start_script

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "losses.md"
BEGIN, END = "<!-- table: {} -->\n", "<!-- end -->"
FAMILIES = ("pairs", "triplets", "lists", "classes", "keras", "views")
# What the run decides, not the loss.
OF_THE_RUN = {"miner", "reduction", "name", "num_classes", "embedding_dim"}


def main(arguments):
    if arguments not in ([], ["check"]):
        raise ValueError(f"expected check or nothing; got {' '.join(arguments)}")
    metric_learning.import_tensorflow()
    before = DOCUMENT.read_text(encoding="utf-8")
    after = document(before)
    if arguments and after != before:
        raise ValueError(f"{DOCUMENT.name} is out of date; run python scripts/write_loss_tables.py")
    DOCUMENT.write_text(after, encoding="utf-8")


def document(text):
    """The text with all its tables written anew."""
    tables = {family: loss_table(family) for family in FAMILIES}
    tables |= {"miners": miner_table(), "settings": settings_table()}
    for name, table in tables.items():
        begin = BEGIN.format(name)
        if text.count(begin) != 1:
            raise ValueError(f"{DOCUMENT.name} must hold the line {begin.strip()!r} once; got {text.count(begin)}")
        head, _, tail = text.partition(begin)
        text = head + begin + table + tail[tail.index(END) :]
    return text


def loss_table(family):
    rows = [["`loss=`", "what it asks for", "recall@1", "MAP@R", "cost", "paper"]]
    results, costs = read("results.csv", "loss"), costs_of_subjects()
    for name in options("loss"):
        header = header_of("loss", name)
        if family not in header:
            continue
        reached = results.get(name, {})
        scores = [reached.get(score) or "-" for score in ("recall@1", "map@r")]
        rows.append([f"`{name}`", header[family], *scores, costs.get(name, "-"), header.get("paper", "")])
    return markdown(rows)


def miner_table():
    rows, costs = [["`miner=`", "what it selects", "cost", "paper"]], costs_of_subjects()
    for name in options("miner"):
        header = header_of("miner", name)
        cost = costs.get("triplet" if name == "none" else f"triplet + {name}", "-")
        rows.append([f"`{name}`", header["selects"], cost, header.get("paper", "")])
    return markdown(rows)


def settings_table():
    """Where the file in conf/ and the constructor differ."""
    rows = [["choice", "setting", "constructor", "`conf/`"]]
    for group in ("loss", "miner"):
        for name in options(group):
            with hydra.initialize_config_dir(version_base="1.3", config_dir=str(ROOT / "conf")):
                cfg = hydra.compose("config", [f"{group}={name}"])
            settings = cfg[group]
            if not settings or "_target_" not in settings:
                continue
            defaults = constructor_of(hydra.utils.get_class(settings._target_))
            for key, value in OmegaConf.to_container(settings, resolve=True).items():
                if key in OF_THE_RUN or key not in defaults or isinstance(value, dict | list) and not defaults[key]:
                    continue
                if value != defaults[key] and not same(value, defaults[key]):
                    rows.append([f"`{group}={name}`", f"`{key}`", f"{defaults[key]}", f"{value}"])
    return markdown(rows)


def constructor_of(kind):
    """{argument: default} of a class and of those it passes the rest of its arguments on to."""
    found = {}
    for parent in reversed(kind.__mro__):
        if "__init__" in vars(parent):
            for parameter in inspect.signature(parent).parameters.values():
                found[parameter.name] = parameter.default
    return {name: default for name, default in found.items() if default is not inspect.Parameter.empty}


def same(value, default):
    return isinstance(value, list) and isinstance(default, tuple) and tuple(value) == default


def header_of(group, name):
    """{"pairs": what it asks for, "paper": ...}, from the first comments of the file."""
    text = (ROOT / "conf" / group / f"{name}.yaml").read_text(encoding="utf-8")
    header = dict(re.findall(r"^# (\w+): (.+)$", text, flags=re.M))
    kinds = ("selects",) if group == "miner" else FAMILIES
    if not set(kinds) & set(header):
        raise ValueError(f"conf/{group}/{name}.yaml must begin with a comment such as '# {kinds[0]}: what it does'")
    return header


def costs_of_subjects():
    rows = csv.DictReader((ROOT / "docs" / "benchmark.csv").open(encoding="utf-8"))
    return {
        row["subject"]: f"{float(row['ratio']):.1f}"
        for row in rows
        if row["layout"] == "4 per class" and row["size"] == "1024" and row["ratio"]
    }


def read(file, key):
    return {row[key]: row for row in csv.DictReader((ROOT / "docs" / file).open(encoding="utf-8"))}


def options(group):
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


def markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"


if __name__ == "__main__":
    start_script(main, __doc__)

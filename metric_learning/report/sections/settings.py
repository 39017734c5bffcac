"""What the scores depend on: command, settings, versions."""

from collections.abc import Mapping
from typing import Any

from metric_learning.report.page import Section, render


def settings_section(environment: Mapping[str, Any], settings: Mapping[str, Any], text: str) -> Section:
    """The command of a run, its settings by group, and the versions of what it ran on.

    Args:
        environment: `environment.json` of the run.
        settings: its resolved configuration.
        text: the same as it stands in `config.yaml`.
    """
    facts = {
        name: environment[key]
        for key, name in (("python", "Python"), ("platform", "System"), ("replicas", "Replicas"), ("commit", "Commit"))
        if environment.get(key) is not None
    }
    if "Commit" in facts:
        changed = ", with uncommitted changes" if environment.get("uncommitted_changes") else ""
        facts["Commit"] = facts["Commit"][:12] + changed
    html = render(
        "settings.html",
        command=environment.get("command", ""),
        groups=[(name, _words(value)) for name, value in settings.items()],
        text=text,
        facts=facts,
        packages=environment.get("packages", {}),
    )
    return Section("settings", "Settings", html)


def _words(value):
    """A value in one line; of what is built, its name and its settings."""
    if isinstance(value, Mapping):
        parts = [f"{key}={_words(each)}" for key, each in value.items() if key != "_target_"]
        name = str(value["_target_"]).rpartition(".")[2] if "_target_" in value else ""
        return f"{name}({', '.join(parts)})" if name else ", ".join(parts)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_words, value))}]"
    return "none" if value is None else str(value)

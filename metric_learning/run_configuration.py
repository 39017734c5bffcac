"""The configuration that a run left in its folder, read again: to resume the run, or by a script that is told of it."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import cast

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from metric_learning.run_folder import LAST
from metric_learning.settings import check_settings, check_targets


def configuration_of(folder: pathlib.Path, overrides: Sequence[str]) -> DictConfig:
    """The configuration of the run to resume, which the command line must not change."""
    file = folder / "config.yaml"
    if not (folder / LAST).exists() or not file.exists():
        raise ValueError(f"resume must be the folder of a run with a checkpoint; there is none in {folder}")
    before = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
    changes = [word for word in overrides if word not in before and not word.startswith(("resume=", "trusted="))]
    if changes:
        raise ValueError(f"a resumed run keeps its configuration; leave out {' '.join(changes)}, or start a new run")
    trusted = [override for override in overrides if override.startswith("trusted=")]
    return load(file, OmegaConf.from_dotlist(trusted).get("trusted", ()))


def load(file: str | pathlib.Path, trusted: Iterable[str] = (), moved: Iterable[str] = ()) -> DictConfig:
    """The configuration of a finished run, if all code that it names is to be trusted.

    Args:
        file: config.yaml, in which nothing is left to be interpolated.
        trusted: see `check_targets`; what the file itself says about trust does not count.
        moved: words data.KEY=VALUE, such as where the data of the run lie now.

    Raises:
        ValueError: code that is not trusted, an interpolation, a KEY that the data do not have, a VALUE of another
            kind.
    """
    cfg = cast(DictConfig, OmegaConf.load(file))
    check_targets(OmegaConf.to_container(cfg), trusted)
    if "${" in pathlib.Path(file).read_text(encoding="utf-8"):
        raise ValueError(f"{file} must hold plain values, as runs leave it; it has an interpolation, ${{...}}")
    given = OmegaConf.create()
    for word in moved:
        names = [str(name) for name in cfg.data if name != "_target_"]
        key, is_setting, value = word.removeprefix("data.").partition("=")
        if not is_setting or key not in names:
            raise ValueError(f"the data of {file} have {', '.join(names)}; got {word}")
        try:
            given[key] = value if isinstance(cfg.data[key], str) else OmegaConf.from_dotlist([f"{key}={value}"])[key]
        except YAMLError as error:
            raise ValueError(f"data.{key} cannot be read; expected such as 1, true or [1,2]; got {value!r}") from error
        check_settings(OmegaConf.to_container(given), OmegaConf.to_container(cfg.data), "data")
    return cast(DictConfig, OmegaConf.merge(cfg, {"data": given} if given else {}))


def apart(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """The words of a script, and those of them that say data.KEY=VALUE."""
    data = [word for word in arguments if word.startswith("data.")]
    return [word for word in arguments if word not in data], data

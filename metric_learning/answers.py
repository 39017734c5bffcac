"""How wrong input on the command line is answered: in one line that says what was expected and what the choices are."""

import contextlib
import pathlib
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

CONF = pathlib.Path(__file__).parent.with_name("conf")
KNOWN_ERRORS = (ValueError, ArithmeticError, OSError, hydra.errors.HydraException, OmegaConfBaseException)
# What settings are called by others -> here.
ELSEWHERE = {
    "lr": "optimizer.learning_rate",
    "epochs": "steps",
    "batch_size": "batch.classes or batch.samples",
}
# What else must be installed for an option that a Hydra plugin brings.
PLUGINS = {"optuna": '-c constraints.txt -e ".[sweep]"', "submitit_slurm": "hydra-submitit-launcher"}


def answer(error: BaseException) -> str:
    """One line about an error, for whoever gave the input."""
    notes = "".join(getattr(error, "__notes__", ()))
    if isinstance(error, hydra.errors.InstantiationException) and error.__cause__ is not None:
        part = isinstance(error.__cause__, TypeError) and re.search(r"full_key: (\S+)", str(error))
        error = ValueError(f"{part[1]}: {error.__cause__}") if part else error.__cause__
    if isinstance(error, OmegaConfBaseException) and isinstance(error.__cause__, OSError):
        error = error.__cause__
    text = str(error)
    misspelled = re.match("Could not override '([^']+)'", text)
    ambiguous = re.match("Ambiguous value for argument '(.*)'\n", text)
    missing = re.match(r"Missing mandatory value: ([\w.]+)", text)
    if isinstance(error, hydra.errors.OverrideParseException):
        text = in_quotes(error.override)
    elif ambiguous:
        text = f"{in_quotes(ambiguous[1])}, or -m to run with each"
    elif missing:
        text = f"{missing[1]} must be given, as {missing[1]}=VALUE"
    elif misspelled:
        text = f"{misspelled[1]} is no setting; {choices_beside(misspelled[1])}"
    elif text.startswith("Config group override must be"):
        text = no_option(sys.argv[1:]) or text
    elif isinstance(error, hydra.errors.MissingConfigException) and error.options:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        text = f"{group} must be one of {', '.join(error.options)}; got {option!r}"
        if group in ("hydra/launcher", "hydra/sweeper"):
            package = PLUGINS.get(option, f"hydra-{option.split('_')[0]}-{group.rpartition('/')[2]}")
            text += f"; if it is one of Hydra's, it comes with: pip install {package}"
    return " ".join(text.split()) + notes


def in_order(words: Sequence[str]) -> list[str]:
    """The words of train.py as Hydra takes them: -m first, which it does not find among others.

    Raises:
        ValueError: a setting with dashes before it, as other programs have them.
    """
    settings = {*OmegaConf.load(CONF / "config.yaml"), *(path.stem for path in CONF.iterdir())}
    for word in words:
        if word.startswith("--") and word[2:].partition("=")[0].partition(".")[0] in settings:
            write = word[2:] if "=" in word else f"{word[2:]}=VALUE"
            raise ValueError(f"settings are words key=value without dashes; write {write}, not {word}")
    several = [word for word in words if word in ("-m", "--multirun")]
    return several + [word for word in words if word not in several]


def no_option(words: Sequence[str]) -> str | None:
    """The options of the first group that is given none of them but, say, null, which Hydra does not name."""
    for group, _, value in (word.lstrip("+").partition("=") for word in words if "(" not in word):
        options = sorted(path.stem for path in (CONF / group.partition("@")[0]).glob("*.yaml"))
        wrong = [choice for choice in value.split(",") if options and choice not in options]
        if wrong:
            return f"{group} must be one of {', '.join(options)}; got {wrong[0]}"
    return None


def in_quotes(override: str) -> str:
    """What to type instead of an override with characters that mean something to Hydra."""
    key, is_setting, value = override.partition("=")
    for quote in ('"', "'") if is_setting else ():
        proposal = f"{key}={quote}{value}{quote}"
        with contextlib.suppress(hydra.errors.HydraException):
            if OverridesParser.create().parse_overrides([proposal])[0].value() == value:
                return f"{override} has characters that need quotes; write {shlex.quote(proposal)}"
    return f'{override} cannot be read; expected key=value, with values such as 0.1, [1,2] or "any text" in quotes'


def choices_beside(key: str) -> str:
    """The settings that stand where `key` would stand; other mistakes may wait in the other overrides."""
    parent = key.rpartition(".")[0]
    GlobalHydra.instance().clear()
    cfg = shipped([word.partition(",")[0] for word in sys.argv[1:] if (CONF / word.partition("=")[0]).is_dir()])
    settings = OmegaConf.select(cfg, parent) if parent else cfg
    if not OmegaConf.is_dict(settings):
        return f"neither is {parent}"
    names = ", ".join(str(name) for name in settings if name != "_target_")
    if not names and (CONF / parent).is_dir():
        others = ", ".join(sorted(path.stem for path in (CONF / parent).glob("*.yaml")))
        return f"this {parent} has none; choose one with it by {parent}=, of {others}"
    meant = "" if parent else meant_by(key, cfg)
    return f"{parent} has {names}" if parent else f"{meant}there are {names}"


def meant_by(key: str, cfg: DictConfig) -> str:
    """What a setting is called here that other programs call otherwise, or that has this name below another."""
    below = [f"{group!s}.{key}" for group, settings in cfg.items() if OmegaConf.is_dict(settings) and key in settings]
    meant = ELSEWHERE.get(key) or " or ".join(below)
    return f"did you mean {meant}? " if meant else ""


def shipped(overrides: list[str]) -> DictConfig:
    """The configuration with the same options, and no setting changed.

    Args:
        overrides: of the command line; those that choose options count.
    """
    parsed = OverridesParser.create().parse_overrides(overrides)
    choices: list[Any] = [each.input_line for each in parsed if (CONF / each.key_or_group).is_dir() or each.package]
    begun = GlobalHydra.instance().is_initialized()
    with contextlib.nullcontext() if begun else hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose("config", choices)

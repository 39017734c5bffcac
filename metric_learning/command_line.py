"""The manners of the command line: what runs are called, and how wrong input is answered, in one line.

The only file of the library that knows Hydra. `train.py` gives `start` its `hydra.main`, which gives `run` the story.
"""

import contextlib
import functools
import os
import pathlib
import re
import shutil
import sys
import time
import warnings

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

CONF = pathlib.Path(__file__).parent.with_name("conf")
LAST = pathlib.PurePath("checkpoints", "last.npz")
SHOW_TRACEBACK = "HYDRA_FULL_ERROR" in os.environ
build = functools.partial(hydra.utils.instantiate, _convert_="all")


@functools.cache
def run_folder(resume):
    """The folder to resume, or a new one named after the time."""
    folder = pathlib.Path(resume or time.strftime("outputs/%Y-%m-%d_%H-%M-%S"))
    if not resume and folder.exists():  # two runs started in one second
        folder = folder.with_name(f"{folder.name}_{os.getpid()}")
    return str(folder)


def hydra_folder(resume, folder):
    """Where in the folder Hydra writes: not over what a run that is there already was started with."""
    if resume:
        return ".hydra/resumed"
    return ".hydra/refused" if (pathlib.Path(folder) / LAST).exists() else ".hydra"


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
OmegaConf.register_new_resolver("hydra_folder", hydra_folder, replace=True)


def start(main):
    """Runs a `hydra.main` as the program that it is.

    Args:
        main: function without arguments.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: a class name may be in any language
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # without it Hydra itself ends the program, with 1 and several lines
    try:
        main()
    except Exception as error:
        stop_if_input_was_wrong(error)
        raise


def run(experiment, cfg):
    """Runs one experiment in the folder that Hydra made for it, and cleans up behind one that never began.

    Args:
        experiment: function of the configuration, the folder and whether to resume the run in it.
        cfg: the configuration of the command line.

    Returns:
        What the experiment returns.
    """
    hydra_config = HydraConfig.get()
    folder = pathlib.Path(hydra_config.runtime.output_dir)
    taken = cfg.resume is None and (folder / LAST).exists()
    try:
        if taken:
            raise ValueError(f"{folder} holds a run; go on with it by resume={folder}, or choose another folder")
        if cfg.resume is None:
            return experiment(cfg, folder, resume=False)
        return experiment(configuration_of(folder, hydra_config.overrides.task), folder, resume=True)
    except Exception as error:
        began = (folder / LAST).exists() and not taken
        if not began:
            remove_what_hydra_wrote(folder, hydra_config.output_subdir)
        # In a sweep the sweeper decides whether the other runs go on.
        if hydra_config.mode == RunMode.RUN and (cfg.resume or not began or isinstance(error, ArithmeticError)):
            stop_if_input_was_wrong(error)
        error.came_late = began and not isinstance(error, ArithmeticError)  # and so was hardly in the input
        raise
    except KeyboardInterrupt:
        if (folder / LAST).exists():
            print(f"stopped; go on with: python train.py resume={folder}", file=sys.stderr)
        sys.exit(130)


def configuration_of(folder, overrides):
    """The configuration of the run to resume, which the command line must not change."""
    file = folder / "config.yaml"
    if not (folder / LAST).exists() or not file.exists():
        raise ValueError(f"resume must be the folder of a run with a checkpoint; there is none in {folder}")
    before = OmegaConf.load(folder / ".hydra" / "overrides.yaml")
    changes = [override for override in overrides if override not in before and not override.startswith("resume=")]
    if changes:
        raise ValueError(f"a resumed run keeps its configuration; leave out {' '.join(changes)}, or start a new run")
    return OmegaConf.load(file)


def remove_what_hydra_wrote(folder, output_subdir):
    """Leaves nothing of a run that never began, and touches nothing that was there before."""
    shutil.rmtree(folder / output_subdir, ignore_errors=True)
    for empty in (folder / ".hydra", folder):
        with contextlib.suppress(OSError):
            empty.rmdir()


def choices_beside(key):
    """The settings that stand where `key` would stand."""
    parent = key.rpartition(".")[0]
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    # Other mistakes may wait in the other overrides.
    choices = [word.partition(",")[0] for word in sys.argv[1:] if word.partition("=")[0] in groups]
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = hydra.compose("config", choices)
    settings = OmegaConf.select(cfg, parent) if parent else cfg
    if not OmegaConf.is_dict(settings):
        return f"neither is {parent}"
    names = ", ".join(name for name in settings if name != "_target_")
    return f"{parent} has {names}" if parent else f"there are {names}"


def stop_if_input_was_wrong(error):
    """Ends the program with one line and exit code 2, if the error says what was wrong with its input."""
    known = (ValueError, ArithmeticError, hydra.errors.HydraException, OmegaConfBaseException)
    if not isinstance(error, known) or SHOW_TRACEBACK or getattr(error, "came_late", False):
        return
    if isinstance(error, hydra.errors.InstantiationException) and error.__cause__ is not None:
        part = re.search(r"full_key: (\S+)", str(error))
        wrong_type = isinstance(error.__cause__, TypeError) and part
        error = ValueError(f"{part[1]}: {error.__cause__}") if wrong_type else error.__cause__
    if isinstance(error, hydra.errors.MissingConfigException) and error.options:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        error = ValueError(f"{group} must be one of {', '.join(error.options)}; got {option!r}")
    misspelt = re.match("Could not override '([^']+)'", str(error))
    if misspelt:
        error = ValueError(f"{misspelt[1]} is no setting; {choices_beside(misspelt[1])}")
    print("train.py: error:", " ".join(str(error).split()), file=sys.stderr)
    sys.exit(2)

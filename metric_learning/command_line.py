"""The manners of the command line: what runs and their folders are called, and how they end.

With `answers.py` the only library file that knows Hydra. `train.py` gives `start` its `hydra.main` and `run` its story.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from metric_learning.answers import KNOWN_ERRORS, answer, in_order, shipped
from metric_learning.run_configuration import configuration_of
from metric_learning.run_folder import LAST, Claim, new_folder
from metric_learning.settings import check_settings, check_targets
from metric_learning.whole_files import write_whole

FAILURE = "failure.txt"
RATES = ("far", "precision", "recall")  # words that are numbers, if they are given
SHOW_TRACEBACK = "HYDRA_FULL_ERROR" in os.environ
build = functools.partial(hydra.utils.instantiate, _convert_="all")
claims: dict[pathlib.Path, Any] = {}  # Claim, or the ValueError that says why there is none


def run_folder(resume: str | None) -> str:
    """The folder to resume, or a new one named after the time."""
    return str(resume or new_folder(time.strftime("outputs/%Y-%m-%d_%H-%M-%S")))


def sweep_folder() -> str:
    """A new folder for a sweep, named after the time."""
    return str(new_folder(time.strftime("outputs/sweeps/%Y-%m-%d_%H-%M-%S")))


def hydra_folder(resume: str | None, folder: str) -> str:
    """Where in the folder Hydra writes: not over what a run that is there already was started with.

    Hydra asks right before it writes, so here the folder is taken.
    """
    if claim(folder) or (not resume and (pathlib.Path(folder) / LAST).exists()):
        return ".hydra/refused"
    return ".hydra/resumed" if resume else ".hydra"


def claim(folder: str | pathlib.Path) -> ValueError | None:
    """Takes a folder for this process; returns why that cannot be, or None."""
    folder = pathlib.Path(folder)
    if folder not in claims:
        task = json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {})
        worker = "".join(f"-{task[key]}" for key in ("type", "index") if key in task)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            claims[folder] = Claim(folder, f".lock{worker}")
        except ValueError as error:
            claims[folder] = error
    return claims[folder] if isinstance(claims[folder], ValueError) else None


for resolver in (run_folder, sweep_folder, hydra_folder):
    OmegaConf.register_new_resolver(resolver.__name__, resolver, use_cache=True, replace=True)


def start(main: Callable[[], Any]) -> None:
    """Runs a `hydra.main` as the program that it is."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # without it Hydra itself ends the program, with 1 and several lines
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with _manners("train.py"):
        sys.argv[1:] = in_order(sys.argv[1:])
        main()


def start_script(main: Callable[[list[str]], Any], doc: str) -> None:
    """Runs a script that takes words as `train.py` does: --help prints `doc`, wrong input ends in one line.

    Args:
        main: function of the words of the command line.
        doc: of the script.
    """
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(print(doc))
    with _manners(pathlib.Path(sys.argv[0]).name):
        main(sys.argv[1:])


@contextlib.contextmanager
def _manners(program):
    """How a program speaks, and how it ends when it is stopped, not read on, or given wrong input."""
    cast(Any, sys.stdout).reconfigure(errors="backslashreplace")  # as stderr does: a class name may be in any language
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on: `train.py --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        stop_if_input_was_wrong(error, program)
        raise


def words_of(arguments: Sequence[str], **defaults: Any) -> DictConfig:
    """The settings of a script: its defaults, and what the words key=value say, of the kind of the default.

    A default that is a dictionary stands for keys below its own, as in evaluation.ks=[1].

    Raises:
        ValueError: a word of another form or key, a value of another kind, or one that cannot be read.
    """
    groups = tuple(f"{key}." for key, default in defaults.items() if isinstance(default, dict))
    words = [word.partition("=") for word in arguments]
    wrong = ["".join(word) for word in words if not word[1] or not (word[0] in defaults or word[0].startswith(groups))]
    if wrong:
        raise ValueError(f"expected words key=value, with keys {', '.join(defaults)}; got {' '.join(wrong)}")
    keys = [key for key, _, _ in words]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{max(keys, key=keys.count)} is given twice")
    texts = {key: [""] for key, each in defaults.items() if isinstance(each, list) and {*map(type, each)} <= {str}}
    given = OmegaConf.create()
    for key, _, value in words:
        default = defaults.get(key, ...)
        try:
            if isinstance(default, str) or (default is None and key not in RATES):
                given[key] = os.path.expanduser(value) if value.startswith("~/") else value  # as a shell would
            elif key in texts:
                given[key] = yaml.load(value, yaml.BaseLoader)  # where 007 is no number
            else:
                given.merge_with_dotlist([f"{key}={value}"])  # as YAML reads it
        except yaml.YAMLError as error:
            raise ValueError(f"{key} cannot be read; expected such as 1, true or [a,b]; got {value!r}") from error
    plain = cast(dict[str, Any], OmegaConf.to_container(given))
    no_groups = {key: value for key, value in plain.items() if not isinstance(defaults[key], dict)}
    check_settings(no_groups, defaults | texts | dict.fromkeys(RATES, 0.5))
    return cast(DictConfig, OmegaConf.merge(defaults, given))


def run(experiment: Callable[..., Any], cfg: DictConfig) -> Any:
    """Runs one experiment in the folder that Hydra made for it, and cleans up behind one that never began.

    Args:
        experiment: function of the configuration, the folder and whether to resume the run in it.
        cfg: the configuration of the command line.

    Returns:
        What the experiment returns; in a sweep None for one that failed, so that the others go on.
    """
    hydra_config = HydraConfig.get()
    folder = pathlib.Path(hydra_config.runtime.output_dir)
    overrides = list(hydra_config.overrides.task)
    in_sweep = hydra_config.mode == RunMode.MULTIRUN
    if in_sweep:
        print(f"run {hydra_config.job.num}: {' '.join(overrides)}", flush=True)
    taken = claim(folder)
    if not taken and cfg.resume is None and (folder / LAST).exists():
        taken = ValueError(f"{folder} holds a run; go on with it by resume={folder}, or choose another folder")
    try:
        if taken:
            raise taken
        if cfg.resume is not None:
            return experiment(configuration_of(folder, overrides), folder, resume=True)
        settings = OmegaConf.to_container(cfg, resolve=True)
        check_settings(settings, OmegaConf.to_container(shipped(overrides), resolve=True))
        # Whoever names code on the command line trusts it.
        check_targets(settings, [*cfg.trusted, *re.findall(r"[\w.]+", " ".join(overrides))])
        return experiment(cfg, folder, resume=False)
    except BrokenPipeError:
        raise
    except Exception as error:
        began = (folder / LAST).exists() and not taken
        if not began:
            remove_what_was_written(folder, hydra_config.output_subdir)
        if began and isinstance(error, OSError):
            error.add_note(f"; once that is mended, go on with: python train.py resume={folder}")
        # After training began, an error is hardly in the input, unless it is of numbers or files.
        if not hasattr(error, "came_late"):
            error.__dict__["came_late"] = began and not cfg.resume and not isinstance(error, ArithmeticError | OSError)
        if not in_sweep:
            stop_if_input_was_wrong(error)
            raise
        note_failure(folder, error)
    except KeyboardInterrupt:
        if (folder / LAST).exists():
            print(f"stopped; go on with: python train.py resume={folder}", file=sys.stderr)
        sys.exit(130)
    finally:
        kept = claims.pop(folder, None)
        if isinstance(kept, Claim):
            kept.release()
            with contextlib.suppress(OSError):
                folder.rmdir()  # if nothing is left in it


def note_failure(folder: pathlib.Path, error: BaseException) -> None:
    """Says in one line why a run of a sweep failed, and leaves the whole of it in its folder."""
    line = answer(error) if isinstance(error, KNOWN_ERRORS) else f"{type(error).__name__}: {error}"
    print(f"run {folder.name} failed: {line}", file=sys.stderr)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FAILURE, "".join(traceback.format_exception(error)))


class Sweep(Callback):
    """Says at the end of a sweep how many of its runs failed; with 1 as the exit code unless a search goes by that."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        if config.hydra.sweeper._target_.endswith("OptunaSweeper"):
            from optuna.samplers import GridSampler

            # After the last point of a grid it stops an `optimize` that Hydra's sweeper never called, which raises. The
            # sweeper forgives that, but not where the last run failed, and would end without its results.
            GridSampler.after_trial = lambda *_: None  # type: ignore[method-assign]

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        folder = pathlib.Path(config.hydra.sweep.dir)
        failed = sorted(folder.glob(f"*/{FAILURE}"), key=lambda path: (len(path.parent.name), path.parent.name))
        if failed:
            count = sum(1 for path in folder.iterdir() if path.is_dir())
            names = ", ".join(path.parent.name for path in failed)
            print(f"{len(failed)} of {count} runs failed ({names}); see {FAILURE} in {folder}/RUN", file=sys.stderr)
            if config.hydra.sweeper._target_.endswith("BasicSweeper"):
                sys.exit(1)


def remove_what_was_written(folder: pathlib.Path, output_subdir: str | None) -> None:
    """Leaves nothing of a run that never began, and touches nothing that was there before."""
    claimed = claims.get(folder)
    # The lock of one of several workers is named after it; a folder that others write to is not this one's to remove.
    if isinstance(claimed, Claim) and claimed.found_empty and claimed.path.name == ".lock":
        shutil.rmtree(folder, ignore_errors=True)
    if output_subdir is not None:
        shutil.rmtree(folder / output_subdir, ignore_errors=True)
    for empty in (folder / ".hydra", folder):
        with contextlib.suppress(OSError):
            empty.rmdir()


def stop_if_input_was_wrong(error: BaseException, program: str = "train.py") -> None:
    """Ends the program with one line and exit code 2, if the error says what was wrong with its input."""
    if isinstance(error, KNOWN_ERRORS) and not SHOW_TRACEBACK and not getattr(error, "came_late", False):
        print(f"{program}: error: {answer(error)}", file=sys.stderr)
        sys.exit(2)

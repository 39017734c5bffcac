"""Where a run can be watched: Weights & Biases, offline unless told otherwise, or nowhere.

A tracker never stops or slows a run: without login or network it falls back to offline, says so once, and goes on.
"""

import contextlib
import dataclasses
import os
import pathlib
import warnings
from collections import abc
from typing import Any, Literal

from metric_learning.whole_files import write_whole


@dataclasses.dataclass
class NoTracking:
    """Tracks nothing; the run folder still has it all."""

    def start(self, folder: str | pathlib.Path, config: dict[str, Any], name: str) -> None:
        """See `WandbTracking.start`."""

    def log(self, row: abc.Mapping[str, Any]) -> None:
        """See `WandbTracking.log`."""

    def finish(
        self,
        *,
        summary: abc.Mapping[str, Any],
        pictures: abc.Iterable[str | pathlib.Path] = (),
        encoder_file: str | pathlib.Path | None = None,
    ) -> None:
        """See `WandbTracking.finish`."""

    def close(self) -> None:
        """See `WandbTracking.close`."""


@dataclasses.dataclass
class WandbTracking:
    """Tracks with Weights & Biases.

    Args:
        project: of W&B.
        mode: "offline", to be sent later by `wandb sync`, "online" or "disabled".
        entity: of W&B, None for the user's own.
        group: of runs, such as a sweep.
        tags: of the run.
        artifact: upload the trained encoder as a model artifact too.
        timeout: seconds to wait for the network before going on offline, or before leaving the rest to `wandb sync`.

    Raises:
        ValueError: an unknown mode.
    """

    project: str = "metric_learning"
    mode: str = "offline"
    entity: str | None = None
    group: str | None = None
    tags: tuple = ()
    artifact: bool = False
    timeout: float = 15.0

    def __post_init__(self):
        modes = ("offline", "online", "disabled")
        if self.mode not in modes:
            raise ValueError(f"tracking.mode must be one of {', '.join(modes)}; got {self.mode!r}")
        self._run = None

    def start(self, folder: str | pathlib.Path, config: dict[str, Any], name: str) -> None:
        """Opens a run.

        Args:
            folder: of the run; W&B's own files go below it.
            config: plain nested dict.
            name: of the run.
        """
        if self.mode != "online":  # or W&B tells its makers of it, by a host that an offline run must not ask for
            os.environ["WANDB_ERROR_REPORTING"] = "false"
        import wandb

        folder = pathlib.Path(folder)
        options: dict[str, Any] = {
            "project": self.project,
            "entity": self.entity,
            "group": self.group,
            "tags": list(self.tags),
            "name": name,
            "config": config,
            "dir": os.fspath(folder),
            # A resumed run goes on under its own name.
            "id": run_id(folder),
            "resume": "allow" if self.mode == "online" else None,
            "reinit": "finish_previous",
        }
        settings: dict[str, Any] = {
            "silent": True,
            "console": "off",
            "finish_timeout": self.timeout,
            "init_timeout": self.timeout,
        }
        if self.mode == "online":
            try:
                if not wandb.login(prompt=False):
                    raise wandb.errors.UsageError("no API key is configured; run `wandb login` once")
                self._run = wandb.init(mode="online", settings=wandb.Settings(**settings), **options)
                return
            except (wandb.errors.Error, OSError, TimeoutError) as error:
                warnings.warn(f"W&B cannot be reached ({error}); tracking offline instead", stacklevel=2)
                # The attempt may have taken the id.
                (folder / "wandb_id").unlink()
                options |= {"resume": None, "id": run_id(folder)}
        mode: Literal["disabled", "offline"] = "disabled" if self.mode == "disabled" else "offline"
        with self._never_stop():
            self._run = wandb.init(mode=mode, settings=wandb.Settings(**settings), **options)

    def log(self, row: abc.Mapping[str, Any]) -> None:
        """Records a row of the history, a dict of scalars with the key `step`."""
        with self._never_stop():
            if self._run is not None:
                self._run.log({key: value for key, value in row.items() if key != "step"}, step=row["step"])

    def finish(
        self,
        *,
        summary: abc.Mapping[str, Any],
        pictures: abc.Iterable[str | pathlib.Path] = (),
        encoder_file: str | pathlib.Path | None = None,
    ) -> None:
        """Records what a finished run leaves.

        Args:
            summary: dict of the final scores.
            pictures: paths of PNG files and of pages, `.html`.
            encoder_file: path of the saved encoder, uploaded if `artifact`.
        """
        import wandb

        with self._never_stop():
            if self._run is None:
                return
            self._run.summary.update(summary)
            shown: dict[str, Any] = {}
            for path in map(pathlib.Path, pictures):
                is_page = path.suffix == ".html"
                shown[f"report/{path.stem}"] = (
                    wandb.Html(os.fspath(path), inject=False) if is_page else wandb.Image(os.fspath(path))
                )
            if shown:
                self._run.log(shown)
            if self.artifact and encoder_file is not None:
                artifact = wandb.Artifact(f"encoder-{self._run.id}", type="model", metadata=dict(summary))
                artifact.add_file(os.fspath(encoder_file))
                self._run.log_artifact(artifact)

    def close(self) -> None:
        """Ends the run, finished or not."""
        with self._never_stop():
            if self._run is not None:
                self._run.finish()
        self._run = None

    @contextlib.contextmanager
    def _never_stop(self):
        try:
            yield
        except Exception as error:  # whatever happens to the watcher, the run goes on
            warnings.warn(f"W&B failed and is left out from here on: {type(error).__name__}: {error}", stacklevel=3)
            self._run = None
            with contextlib.suppress(Exception):  # or it tries again at exit, and fills a screen with why it cannot
                import wandb

                wandb.teardown()


def run_id(folder: pathlib.Path) -> str:
    """The id of the run in this folder, drawn once and kept there."""
    path = folder / "wandb_id"
    if not path.exists():
        write_whole(path, os.urandom(4).hex())
    return path.read_text(encoding="ascii")

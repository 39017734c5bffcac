"""Tracking records a run, and whatever happens to it, the run goes on."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest
from PIL import Image

from metric_learning.tracking import NoTracking, WandbTracking, run_id

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "map.png"
    Image.new("RGB", (4, 4)).save(path)
    return path


def live(tracker, folder, picture):
    page = picture.with_name("index.html")
    page.write_text("<!doctype html><title>the report</title>", encoding="utf-8")
    tracker.start(folder, {"seed": 0, "loss": {"margin": 0.2}}, name="a run")
    tracker.log({"step": 20, "train/loss": 0.5})
    tracker.log({"step": 40, "train/loss": 0.4, "validation/map@r": 0.3})
    tracker.finish(summary={"test/recall@1": 0.6}, pictures=[picture, page], encoder_file=picture)
    tracker.close()


def test_nothing_is_tracked_without_a_tracker(tmp_path, picture):
    live(NoTracking(), tmp_path, picture)
    assert sorted(tmp_path.iterdir()) == [picture.with_name("index.html"), picture]


@pytest.mark.slow
def test_offline_run_records_config_scalars_pictures_summary_and_artifact(tmp_path, picture, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    live(WandbTracking(artifact=True), tmp_path, picture)
    folder = next((tmp_path / "wandb").glob("offline-run-*"))
    # Another process writes it, and on a busy machine may still be at it.
    record, until = b"", time.monotonic() + 30
    while b"encoder-" not in record and time.monotonic() < until:
        time.sleep(0.1)
        written = next(folder.glob("*.wandb")).read_bytes()
        # Records are cut by a header of 7 bytes at every 32 KiB, which may fall into a word.
        record = b"".join(written[i + 7 : i + 2**15] for i in range(0, len(written), 2**15))
    for expected in (b"train/loss", b"validation/map@r", b"test/recall@1", b"margin", b"a run", b"encoder-"):
        assert expected in record
    assert list(folder.rglob("map_*.png"))
    (page,) = folder.rglob("index_*.html")
    assert page.read_text(encoding="utf-8") == "<!doctype html><title>the report</title>"
    assert (tmp_path / "wandb_id").read_text() in folder.name


@pytest.mark.slow
def test_online_without_login_falls_back_to_offline(tmp_path, picture, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.warns(UserWarning, match="W&B cannot be reached .*tracking offline instead"):
        live(WandbTracking(mode="online", timeout=2.0), tmp_path, picture)
    assert list((tmp_path / "wandb").glob("offline-run-*"))


def test_the_id_of_a_run_is_kept_whole_or_not_at_all(tmp_path, monkeypatch):
    write = pathlib.Path.write_text

    def half(path, text, **options):
        write(path, text[:3], **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pathlib.Path, "write_text", half)
        run_id(tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(run_id(tmp_path)) == 8 and run_id(tmp_path) == (tmp_path / "wandb_id").read_text(encoding="ascii")


def test_tracker_that_breaks_is_left_out_with_one_warning(tmp_path):
    class Broken:
        def log(self, *_, **__):
            raise RuntimeError("no disk")

    tracker = WandbTracking()
    tracker._run = Broken()
    with pytest.warns(UserWarning, match="W&B failed and is left out from here on: RuntimeError: no disk") as caught:
        tracker.log({"step": 1, "train/loss": 0.5})
        tracker.log({"step": 2, "train/loss": 0.5})
        tracker.finish(summary={})
        tracker.close()
    assert len(caught) == 1


LIVES = """
import os, psutil, warnings
from metric_learning.tracking import WandbTracking
warnings.showwarning = lambda message, *_: print("warning:", message)
tracker = WandbTracking()
tracker.start(FOLDER, {}, name="a run")
service, = [
    process
    for process in psutil.Process().children(recursive=True) + psutil.Process(1).children()
    if "wandb-core" in process.name() and str(os.getpid()) in process.cmdline()
]
print("--no-observability" in service.cmdline())
if KILLED:
    service.kill()
    service.wait()
for step in range(1, 9):
    tracker.log({"step": step, "train/loss": 0.5})
tracker.finish(summary={})
tracker.close()
print("done")
"""


def lives(folder, killed, *before):
    program = LIVES.replace("FOLDER", repr(str(folder))).replace("KILLED", repr(killed))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    command = [*before, sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=300)


@pytest.mark.slow
def test_a_service_killed_in_mid_run_is_one_warning(tmp_path):
    done = lives(tmp_path, True)
    assert done.stdout.count("warning: W&B failed and is left out from here on") == 1, done
    assert done.stdout.endswith("done\n") and len(done.stdout.splitlines()) == 3
    assert done.stderr == "" and done.returncode == 0


@pytest.mark.slow
def test_an_offline_run_looks_no_host_up_and_connects_to_none(tmp_path):
    """Seen by the system, as W&B's own process is not in Python."""
    trace = tmp_path / "connects.txt"
    watched = ["strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o", str(trace)] if shutil.which("strace") else []
    done = lives(tmp_path, False, *watched)
    assert done.stdout == "True\ndone\n", done.stderr
    if not watched:  # nothing but the service's word for it
        return
    text = trace.read_text(encoding="utf-8")
    assert "AF_UNIX" in text  # W&B's service on this machine
    outside = [line for line in text.splitlines() if "AF_INET" in line and not re.search(r'"(127\.|::1")', line)]
    assert outside == []


def test_unknown_mode_is_named():
    with pytest.raises(ValueError, match="tracking.mode must be one of offline, online, disabled; got 'on'"):
        WandbTracking(mode="on")


def test_environment_names_versions_and_commit():
    from metric_learning.run_folder import environment
    from metric_learning.whole_files import write_json

    facts = environment(replicas=2)
    assert facts["packages"]["tensorflow"] and facts["replicas"] == 2
    path = pathlib.Path(facts["command"].split()[0])
    assert path.name
    with pytest.raises(TypeError):
        write_json("/nowhere/facts.json", {"a": object()})
    json.dumps(facts)

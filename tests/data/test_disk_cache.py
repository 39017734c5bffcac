"""Items are read once, by whomever, and never wrong: not after a kill, by several processes, or on a full disk."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import zlib

import numpy as np
import pytest

from metric_learning.data import disk_cache
from metric_learning.data.disk_cache import CHECKSUMS, ITEMS, DiskCache
from metric_learning.data.random_access import RandomAccess

ROWS = np.random.default_rng(0).integers(0, 256, (12, 4, 5, 3)).astype(np.uint8)


@pytest.fixture
def asked():
    return []


@pytest.fixture
def inputs(asked):
    def read(rows):
        asked.extend(rows.tolist())
        return ROWS[rows]

    return RandomAccess(read, len(ROWS), (4, 5, 3), np.uint8)


def test_each_item_is_read_once(inputs, asked, tmp_path):
    cache = DiskCache(tmp_path / "cache", inputs)
    for rows in ([3, 1, 3], [1, 2], slice(0, 5), -1):
        np.testing.assert_array_equal(cache.inputs[rows], ROWS[rows], strict=True)
    assert asked == [1, 3, 2, 0, 4, 11]
    assert cache.missing.tolist() == [5, 6, 7, 8, 9, 10]


def test_later_run_takes_what_an_earlier_one_read(inputs, asked, tmp_path):
    DiskCache(tmp_path / "cache", inputs).inputs[:7]
    asked.clear()
    later = DiskCache(tmp_path / "cache", inputs)
    np.testing.assert_array_equal(later.inputs[:], ROWS)
    assert asked == [7, 8, 9, 10, 11]
    assert not len(later.missing)
    np.testing.assert_array_equal(np.load(tmp_path / "cache" / ITEMS, mmap_mode="r"), ROWS)


def test_item_whose_checksum_is_zero_is_read_once_too(tmp_path):
    item, asked = np.frombuffer(b"\x9d\x0a\xd9\x6d", np.uint8), []
    assert zlib.crc32(item) == 0
    inputs = RandomAccess(lambda rows: asked.append(1) or np.stack([item] * len(rows)), 2, (4,), np.uint8)
    cache = DiskCache(tmp_path / "cache", inputs)
    for _ in range(2):
        np.testing.assert_array_equal(cache.inputs[0], item)
    assert asked == [1]


@pytest.mark.parametrize("what", ["zeros", "noise", "cut"])
def test_damaged_items_are_read_anew_and_mended(inputs, asked, tmp_path, what):
    DiskCache(tmp_path / "cache", inputs).inputs[:]
    file = tmp_path / "cache" / ITEMS
    contents = bytearray(file.read_bytes())
    if what == "cut":
        contents = contents[:-90]  # one and a half items
    else:
        contents[-90:] = bytes(90) if what == "zeros" else os.urandom(90)
    file.write_bytes(contents)
    if what == "cut":
        os.truncate(file, len(contents) + 90)
    asked.clear()
    for _ in range(2):
        np.testing.assert_array_equal(DiskCache(tmp_path / "cache", inputs).inputs[:], ROWS)
    assert asked == [10, 11]


def test_what_has_changed_is_read_but_not_kept(inputs, tmp_path):
    cache = DiskCache(tmp_path / "cache", inputs, is_current=lambda rows: rows % 2 == 0)
    np.testing.assert_array_equal(cache.inputs[:4], ROWS[:4])
    assert cache.missing[:3].tolist() == [1, 3, 4]


def test_full_disk_is_warned_of_once_and_the_run_goes_on(inputs, asked, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    cache = DiskCache(tmp_path / "cache", inputs)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.warns(UserWarning, match="is no longer filled: No space left on device") as caught:
        for _ in range(2):
            np.testing.assert_array_equal(cache.inputs[:3], ROWS[:3])
    assert len(caught) == 1
    assert asked == [0, 1, 2] * 2


def test_disk_too_small_is_named_before_anything_is_read(inputs, asked, tmp_path, monkeypatch):
    usage = disk_cache.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(disk_cache.shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(ValueError, match="set data.cache_dir to another disk, or choose another data.cache"):
        DiskCache(tmp_path / "cache", inputs)
    assert list(tmp_path.iterdir()) == asked == []


def test_place_that_is_no_folder_is_named(inputs, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="data.cache_dir must be a folder that can be written, got .*/file"):
        DiskCache(tmp_path / "file" / "cache", inputs)


def test_folder_of_other_items_is_refused(inputs, tmp_path):
    DiskCache(tmp_path / "cache", inputs)
    with pytest.raises(ValueError, match="holds other items"):
        DiskCache(tmp_path / "cache", inputs.take(np.arange(3)))


def test_folder_appears_whole(inputs, tmp_path, monkeypatch):
    seen = []
    rename = disk_cache.Path.rename

    def watch(path, target):
        seen.append((sorted(os.listdir(path)), target.exists()))
        return rename(path, target)

    monkeypatch.setattr(disk_cache.Path, "rename", watch)
    DiskCache(tmp_path / "cache", inputs)
    assert seen == [([CHECKSUMS, ITEMS], False)]
    assert os.listdir(tmp_path) == ["cache"]


def test_folder_may_be_removed_while_it_is_used(inputs, tmp_path):
    cache = DiskCache(tmp_path / "cache", inputs)
    for file in (tmp_path / "cache").iterdir():
        file.unlink()
    (tmp_path / "cache").rmdir()
    np.testing.assert_array_equal(cache.inputs[:], ROWS)
    np.testing.assert_array_equal(cache.inputs[:], ROWS)


FILL = """
    import sys, time
    import numpy as np
    from metric_learning.data.disk_cache import DiskCache
    from metric_learning.data.random_access import RandomAccess

    def read(rows):
        time.sleep(0.002)
        return np.random.default_rng(rows[0]).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)

    inputs = DiskCache(sys.argv[1], RandomAccess(read, 400, (64, 64, 3), np.uint8)).inputs
    print("started", flush=True)
    for row in range(int(sys.argv[2]), 400):
        found = inputs[row]
        assert (found == np.random.default_rng(row).integers(0, 256, (64, 64, 3)).astype(np.uint8)).all(), row
"""


def start_to_fill(folder, first):
    command = [sys.executable, "-c", textwrap.dedent(FILL), str(folder), str(first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_and_simultaneous_processes_leave_a_cache_that_is_right(tmp_path):
    folder = tmp_path / "cache"
    killed, beside = start_to_fill(folder, 0), start_to_fill(folder, 0)
    assert killed.stdout.readline() == beside.stdout.readline() == "started\n"
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    others = [start_to_fill(folder, first) for first in (0, 100)]
    for process in (beside, *others):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    killed.stdout.close(), killed.stderr.close()

    def not_again(rows):
        raise AssertionError(f"{rows} are read again")

    inputs = DiskCache(folder, RandomAccess(not_again, 400, (64, 64, 3), np.uint8)).inputs
    for row in range(400):
        expected = np.random.default_rng(row).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        np.testing.assert_array_equal(inputs[row], expected)

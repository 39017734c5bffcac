"""Image files give the same pixels however they are read and kept, and what is kept is never stale."""

import os
import shutil

import numpy as np
import psutil
import pytest
from PIL import Image

from metric_learning.data import image_files
from metric_learning.data.file_ends import look_at
from metric_learning.data.image_files import open_images
from metric_learning.data.images import decode_images
from metric_learning.data.random_access import in_memory

COUNT = 9


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(COUNT):
        pixels = rng.integers(0, 256, (6 + i, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.{'jpg' if i % 2 else 'png'}")
    return [folder / f"{i}.{'jpg' if i % 2 else 'png'}" for i in range(COUNT)]


@pytest.fixture
def cache_dir(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """Names of the files that were decoded, in order."""
    names = []
    decode = image_files.decode_images

    def watch(paths, *arguments, **options):
        names.extend(os.path.basename(path) for path in paths)
        return decode(paths, *arguments, **options)

    monkeypatch.setattr(image_files, "decode_images", watch)
    return names


def touch(path, seconds=5):
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + seconds * 10**9))


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
@pytest.mark.parametrize("options", [{}, {"channels": 1, "fit": "stretch", "image_size": (5, 7)}], ids=["", "options"])
def test_pixels_are_those_of_the_decoder(paths, cache_dir, cache, options):
    expected, _ = decode_images(paths, **{"image_size": (32, 32)} | options)
    for _ in range(2):
        images, readable, _ = open_images(paths, **options, cache=cache, cache_dir=cache_dir)
        assert readable.all() and images.shape == expected.shape
        np.testing.assert_array_equal(images[[7, 0, 7]], expected[[7, 0, 7]], strict=True)
        np.testing.assert_array_equal(np.asarray(images), expected, strict=True)


def test_what_is_kept_where(paths, cache_dir, decoded, capsys):
    images, _, _ = open_images(paths, cache="memory", cache_dir=cache_dir)
    assert in_memory(images) and len(decoded) == COUNT and not cache_dir.exists()
    decoded.clear()
    images, _, _ = open_images(paths, cache="none", cache_dir=cache_dir)
    images[[2]], images[[2]]
    assert decoded == ["2.png"] * 2 and not cache_dir.exists()
    decoded.clear()
    images, _, _ = open_images(paths, cache="disk", cache_dir=cache_dir)
    images[[2]], images[[2]]
    assert decoded == ["2.png"]
    (folder,) = cache_dir.iterdir()
    assert folder.name.startswith("photos-32x32-")
    open_images(paths, cache="disk", cache_dir=cache_dir)
    assert (
        f"decoded images are kept in {folder}, 0.00 GB when all are there: 1 of {COUNT} so far"
        in capsys.readouterr().err
    )


def test_auto_takes_memory_if_a_quarter_of_what_is_free_will_do(paths, cache_dir, monkeypatch):
    needed = COUNT * 32 * 32 * 3
    for free, expected in ((4 * needed, True), (4 * needed - 4, False)):
        monkeypatch.setattr(image_files, "free_memory", lambda free=free: free)
        assert in_memory(open_images(paths, cache_dir=cache_dir)[0]) is expected


def test_free_memory_is_that_of_the_container_where_it_has_less(tmp_path, monkeypatch):
    free = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(image_files, "CONTAINER", tmp_path)
    assert image_files.free_memory() == 1000
    (tmp_path / "memory.current").write_text("100\n")
    for limit, expected in (("max", 1000), ("5000", 1000), ("700", 600), ("50", 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert image_files.free_memory() == expected


@pytest.mark.parametrize("change", ["time", "contents", "size", "options", "another file", "decoder", "pillow"])
def test_whatever_changes_the_pixels_is_decoded_anew(paths, cache_dir, decoded, monkeypatch, tmp_path, change):
    open_images(paths, cache="disk", cache_dir=cache_dir)[0][:]
    options = {}
    if change == "time":
        touch(paths[4])
    elif change == "contents":  # of equal size and shape
        Image.fromarray(255 - np.asarray(Image.open(paths[4]))).save(paths[4])
    elif change == "size":
        Image.new("RGB", (9, 9)).save(paths[4])
    elif change == "options":
        options = {"fit": "stretch"}
    elif change == "another file":
        paths = paths[:-1]
    elif change == "decoder":
        monkeypatch.setattr(image_files.decoder, "__file__", __file__)
    elif change == "pillow":
        monkeypatch.setattr(image_files.PIL, "__version__", "0.0")
    decoded.clear()
    images, _, _ = open_images(paths, **options, cache="disk", cache_dir=cache_dir)
    np.testing.assert_array_equal(images[:], decode_images(paths, (32, 32), **options)[0])
    assert len(decoded) == len(paths)


def test_file_that_changes_while_it_is_used_is_not_kept(paths, cache_dir, decoded):
    images, _, _ = open_images(paths, cache="disk", cache_dir=cache_dir)
    touch(paths[3])
    images[[3, 5]]
    decoded.clear()
    images[[3, 5]]
    assert decoded == ["3.jpg"]


def test_files_are_the_same_by_whatever_path(paths, cache_dir, decoded, monkeypatch):
    open_images(paths, cache="disk", cache_dir=cache_dir)[0][:]
    decoded.clear()
    monkeypatch.chdir(paths[0].parent)
    open_images([path.name for path in paths], cache="disk", cache_dir=cache_dir)[0][:]
    assert decoded == []


def test_default_place_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert image_files.default_cache_dir() == tmp_path / "metric_learning"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert image_files.default_cache_dir() == tmp_path / ".cache" / "metric_learning"


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_unreadable_files(paths, cache_dir, decoded, cache):
    paths[3].write_bytes(paths[3].read_bytes()[:40])
    options = {"cache": cache, "cache_dir": cache_dir}
    for _ in range(2):
        with pytest.raises(ValueError, match=r"1 of 9 images cannot be read: .*3.jpg .*skip_unreadable=true"):
            open_images(paths, **options)
    with pytest.warns(UserWarning, match="1 of 9 images cannot be read: .*3.jpg .*They are left out"):
        images, readable, _ = open_images(paths, **options, skip_unreadable=True)
    assert np.flatnonzero(~readable).tolist() == [3]
    expected, _ = decode_images([path for path in paths if path != paths[3]], (32, 32))
    np.testing.assert_array_equal(np.asarray(images), expected, strict=True)
    if cache == "disk":  # the second time only the broken one is tried again
        decoded.clear()
        with pytest.warns(UserWarning):
            images, _, _ = open_images(paths, **options, skip_unreadable=True)
        np.testing.assert_array_equal(np.asarray(images), expected)
        assert decoded == ["3.jpg"]


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_missing_files_are_named_at_once(paths, cache_dir, cache):
    paths[2].unlink()
    with pytest.raises(ValueError, match=r"1 of 9 images cannot be read: .*2.png \(no such file\)"):
        open_images(paths, cache=cache, cache_dir=cache_dir)


def test_unknown_cache_is_named(paths):
    with pytest.raises(ValueError, match="cache must be one of auto, memory, disk, none; got 'ram'"):
        open_images(paths, cache="ram")
    with pytest.raises(ValueError, match="image_size must be"):
        open_images(paths, 0)


def test_hash_is_of_the_file_and_kept_with_the_pixels(paths, cache_dir, monkeypatch):
    shutil.copy(paths[0], paths[5])
    _, _, hashes = open_images(paths, cache="memory")
    assert hashes[0] == hashes[5] and len(set(hashes)) == COUNT - 1
    np.testing.assert_array_equal(open_images(paths, cache="disk", cache_dir=cache_dir)[2], hashes)
    monkeypatch.setattr(image_files, "look_at", None)  # not needed again
    np.testing.assert_array_equal(open_images(paths, cache="disk", cache_dir=cache_dir)[2], hashes)


def test_hash_of_a_large_file_sees_its_size_both_ends_and_the_middle(tmp_path):
    def hash_of(contents):
        (tmp_path / "file").write_bytes(contents)
        return look_at(tmp_path / "file")[0]

    contents = bytearray(200_000)
    hashes = [hash_of(contents), hash_of(contents[:-1])]
    for place in (0, 100_000, 199_999):
        changed = contents.copy()
        changed[place] = 1
        hashes.append(hash_of(changed))
    assert len(set(hashes)) == 5
    small = [hash_of(b"a" * 12_000), hash_of(b"a" * 5_000 + b"b" + b"a" * 6_999)]
    assert small[0] != small[1]
    assert look_at(tmp_path / "missing") == ("", False)
    os.mkfifo(tmp_path / "pipe")
    assert look_at(tmp_path / "pipe") == ("", False)


@pytest.fixture
def damaged_within(paths):
    """Files that look whole, and are not: PNGs whose pixels were written over."""
    for row in (4, 6):
        contents = bytearray(paths[row].read_bytes())
        place = contents.index(b"IDAT") + 8
        contents[place : place + 20] = bytes(20)
        paths[row].write_bytes(contents)
    return paths


@pytest.mark.parametrize("cache", ["disk", "none"])
def test_damage_that_only_decoding_finds(damaged_within, cache_dir, decoded, cache):
    images, _, _ = open_images(damaged_within, cache=cache, cache_dir=cache_dir)
    named = {"disk": "2 images cannot be read: .*4.png .*6.png", "none": "1 image cannot be read: .*4.png"}
    with pytest.raises(OSError, match=named[cache] + r" .*a new run, without them or with data.skip_unreadable=true"):
        images[[1, 4]]
    decoded.clear()
    if cache == "disk":  # now it is known, and so is all the rest
        with pytest.raises(ValueError, match="2 of 9 images cannot be read: .*4.png .*6.png"):
            open_images(damaged_within, cache=cache, cache_dir=cache_dir)
        assert decoded == ["4.png", "6.png"]


def test_images_that_look_whole_and_others(tmp_path):
    def looks_whole(name, contents):
        (tmp_path / name).write_bytes(contents)
        return look_at(tmp_path / name)[1]

    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3)).astype(np.uint8)
    for suffix in ("jpg", "png", "webp", "gif", "bmp", "tiff"):
        Image.fromarray(noise).save(tmp_path / f"a.{suffix}")
        contents = (tmp_path / f"a.{suffix}").read_bytes()
        assert looks_whole("whole", contents)
        if suffix in ("jpg", "png"):
            assert looks_whole("more", contents + b"something behind it")
            assert not looks_whole("cut", contents[:-20])
    assert not looks_whole("empty", b"")
    assert not looks_whole("page.jpg", b"<!DOCTYPE html><html>404</html>")


def test_many_unreadable_files_are_all_listed_in_the_same_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    listed = tmp_path / "cache" / "metric_learning" / "unreadable.txt"
    paths = [tmp_path / f"{i}.png" for i in range(25)]
    for some in (paths, paths[1:]):
        said = f"{len(some)} of {len(some)} images cannot be read: .*/19.png .*, all listed in {listed}. Mend or"
        with pytest.raises(ValueError, match=said):
            open_images(some)
        assert listed.read_text(encoding="utf-8").splitlines() == list(map(str, some))
    assert [path.name for path in listed.parent.iterdir()] == ["unreadable.txt"]
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # where there can be none
    with pytest.raises(ValueError, match="/19.png .no such file.; and 5 more. Mend or"):
        open_images(paths)

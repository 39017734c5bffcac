import hashlib
import struct
import zlib
from pathlib import Path

import pytest

from metric_learning.data.manual_files import collect_manual_files, restore_gzip_header

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
NAME = "t10k-labels-idx1-ubyte.gz"


def gz(contents, header):
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(contents) + packer.flush()
    return header + body + struct.pack("<II", zlib.crc32(contents), len(contents))


def published(contents, name=NAME):
    flags_and_time = b"\x1f\x8b\x08\x08" + struct.pack("<I", 1504176627)
    return gz(contents, flags_and_time + b"\x00\x03" + name.removesuffix(".gz").encode() + b"\x00")


def stamped_anew(contents):
    return gz(contents, b"\x1f\x8b\x08\x00" + struct.pack("<I", 1591315200) + b"\x02\x03")


def sha256(contents):
    return hashlib.sha256(contents).hexdigest()


def test_header_stamped_anew_is_restored():
    assert stamped_anew(b"labels") != published(b"labels")
    assert restore_gzip_header(stamped_anew(b"labels"), NAME) == published(b"labels")


def test_other_headers_and_names_stay():
    assert restore_gzip_header(published(b"labels"), NAME) == published(b"labels")
    assert restore_gzip_header(stamped_anew(b"x"), "other.gz") == stamped_anew(b"x")
    assert restore_gzip_header(b"not gzip", NAME) == b"not gzip"


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's dataset-fashion-mnist")
@pytest.mark.parametrize(
    ("name", "checksum"),  # of TFDS 4.9.10
    [
        (NAME, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        (
            "train-labels-idx1-ubyte.gz",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
    ],
)
def test_debian_copy_becomes_the_published_file(name, checksum):
    contents = (DEBIAN / name).read_bytes()
    assert sha256(contents) != checksum
    assert sha256(restore_gzip_header(contents, name)) == checksum


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / NAME).write_bytes(published(b"labels"))
    (tmp_path / "manual" / "other.zip").write_bytes(b"zip")
    return tmp_path / "manual"


CHECKSUMS = {NAME: sha256(published(b"labels")), "other.zip": sha256(b"zip")}


def test_published_files_are_used_where_they_are(folder, tmp_path):
    assert collect_manual_files(folder, CHECKSUMS, tmp_path / "mended") == folder
    assert not (tmp_path / "mended").exists()


def test_mended_files_are_written_elsewhere(folder, tmp_path):
    (folder / NAME).write_bytes(stamped_anew(b"labels"))
    assert collect_manual_files(folder, CHECKSUMS, tmp_path / "mended") == tmp_path / "mended"
    assert (tmp_path / "mended" / NAME).read_bytes() == published(b"labels")
    assert (tmp_path / "mended" / "other.zip").read_bytes() == b"zip"
    assert (folder / NAME).read_bytes() == stamped_anew(b"labels")


def test_missing_and_wrong_files_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match="manual lacks lost.gz$"):
        collect_manual_files(folder, {**CHECKSUMS, "lost.gz": ""}, tmp_path / "mended")
    (folder / NAME).write_bytes(stamped_anew(b"lobels"))
    got = sha256(stamped_anew(b"lobels"))
    with pytest.raises(ValueError, match=f"{NAME} is not the published.*{CHECKSUMS[NAME]}.*{got}"):
        collect_manual_files(folder, CHECKSUMS, tmp_path / "mended")

"""aecodec batch over tar files that are not as usual: holes, headers that make no sense, large samples."""

from __future__ import annotations

import io
import tarfile
import time
from argparse import Namespace

import pytest
from batches import FAST
from test_many import results, table
from test_shards import png, read_shard

from aecodec.cli.many import tars
from aecodec.cli.many.work import Task

SIZE = 70_000
CONTENTS = b"head" + bytes(SIZE - 7) + b"end"
MAP = [(0, 4), (SIZE - 3, 3)]


def member(name, data, **headers):
    """A tar member, without the end of the file."""
    info = tarfile.TarInfo(name)
    info.size, info.pax_headers = len(data), headers
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(data))
        end = tar.offset
    return bytearray(out.getvalue()[:end])


def sparse(name, form):
    """CONTENTS as GNU tar stores it: without the hole."""
    if form == "gnu":
        made = member(name, b"headend")
        made[156:157] = tarfile.GNUTYPE_SPARSE
        made[257:265] = tarfile.GNU_MAGIC
        numbers = [n for pair in MAP for n in pair]
        made[386 : 386 + 12 * 4] = b"".join(b"%011o\0" % n for n in numbers)
        made[483:495] = b"%011o\0" % SIZE
        made[148:156] = b" " * 8
        made[148:156] = b"%06o\0 " % sum(made[:512])
        return made
    headers = {"GNU.sparse.name": name, "GNU.sparse.realsize": str(SIZE)}
    if form == "pax 0.1":
        listed = ",".join(f"{offset},{count}" for offset, count in MAP)
        headers |= {"GNU.sparse.size": str(SIZE), "GNU.sparse.map": listed, "GNU.sparse.numblocks": "2"}
        return member("GNUSparseFile.1/x", b"headend", **headers)
    headers |= {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    listed = "\n".join(["2", *(f"{offset}\n{count}" for offset, count in MAP), ""]).encode()
    return member("GNUSparseFile.1/x", listed.ljust(512, b"\0") + b"headend", **headers)


def encode(cli, tmp_path, contents):
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in" / "a.tar").write_bytes(contents)
    return cli("batch", "encode", tmp_path / "in", tmp_path / "out", *FAST)


@pytest.mark.parametrize("form", ["gnu", "pax 0.1", "pax 1.0"])
def test_members_with_holes(cli, tmp_path, form):
    before, behind = member("s/0.png", png(1)), member("s/1.txt", b"text")
    result = encode(cli, tmp_path, before + sparse("s/0.bin", form) + behind + bytes(1024))
    assert result.code == 0, result.err
    found = read_shard(tmp_path / "out" / "a.tar")
    assert list(found) == ["s/0.aec", "s/0.bin", "s/1.txt"]
    assert found["s/0.bin"] == CONTENTS and found["s/1.txt"] == b"text"
    with tarfile.open(tmp_path / "out" / "a.tar") as tar:
        info = tar.getmember("s/0.bin")
    assert info.type == tarfile.REGTYPE and not info.issparse()
    assert not any(key.startswith("GNU.sparse.") for key in info.pax_headers)


def test_other_headers_stay(cli, tmp_path):
    headers = {"comment": "by hand", "mtime": "1234567.5", "uname": "é", "path": "s/0.png"}
    headers["size"] = str(len(png(1)))
    assert encode(cli, tmp_path, member("x", png(1), **headers) + bytes(1024)).code == 0
    with tarfile.open(tmp_path / "out" / "a.tar") as tar:
        [info] = tar
    assert (info.name, info.mtime, info.uname) == ("s/0.aec", 1234567.5, "é")
    assert info.pax_headers["comment"] == "by hand" and "size" not in info.pax_headers


def special(kind, name, data=b"", form=tarfile.PAX_FORMAT, **headers):
    """A member of any type, with data of its own."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.pax_headers = kind, len(data), headers
    info.devmajor, info.devminor, info.mtime, info.mode = 8, 1, 1234567, 0o640
    made = bytearray(info.tobuf(form))
    return made + data + bytes(-len(data) % 512)


DUMP = b"Ya\0Nb\0\0"
"""The names in a folder, as GNU tar's incremental archives have them."""


def test_members_of_other_types_come_through(cli, tmp_path):
    long = "s/" + 120 * "n" + ".bin"
    kept = [
        special(b"V", "volume", form=tarfile.GNU_FORMAT),
        special(tarfile.FIFOTYPE, "s/0.fifo"),
        special(tarfile.CHRTYPE, "s/0.chr"),
        special(tarfile.BLKTYPE, "s/0.blk", form=tarfile.GNU_FORMAT),
        special(tarfile.CONTTYPE, "s/0.cont", b"contiguous"),
        special(b"D", "s/0.dump", DUMP, tarfile.GNU_FORMAT),
        special(b"M", "s/0.rest", bytes(range(256)) * 5, tarfile.GNU_FORMAT),
        special(b"Z", "s/0.jpg", b"no picture", **{"VENDOR.own": "é"}),
        special(b"Z", long, b"long", tarfile.GNU_FORMAT),
    ]
    source = b"".join(kept[:3]) + member("s/0.png", png(1)) + b"".join(kept[3:]) + member("s/1.txt", b"text")
    result = encode(cli, tmp_path, source + bytes(1024))
    assert result.code == 0, result.err
    data = (tmp_path / "out" / "a.tar").read_bytes()
    at = [data.find(bytes(raw)) for raw in kept]
    assert at == sorted(at) and at[0] == 0, [
        name for name, found in zip("VFCBcDMZl", at, strict=True) if found < 0
    ]
    with tarfile.open(tmp_path / "out" / "a.tar") as tar:
        found = {info.name: info for info in tar}
        assert tar.extractfile(found["s/0.dump"]).read() == DUMP
        assert tar.extractfile(found[long]).read() == b"long"
    assert list(found)[-1] == "s/1.txt" and "s/0.aec" in found and len(data) % tarfile.RECORDSIZE == 0


def test_members_of_other_types_that_cannot_be_copied(cli, tmp_path):
    data = special(b"Z", "s/0.own", b"own")
    shared = tarfile.TarInfo.create_pax_global_header({"uname": "somebody"})
    for source, word in ((shared + data, "'s/0.own', of type 'Z'"), (data[:-512], "cannot be read as tar")):
        result = encode(cli, tmp_path, source)
        assert result.code == 3 and word in result.err and results(tmp_path / "out") == [], result.err


HUGE = {"GNU.sparse.map": "0,4", "GNU.sparse.size": str(1 << 40), "GNU.sparse.realsize": str(1 << 40)}


@pytest.mark.parametrize(
    "headers, word",
    [
        ({"GNU.sparse.realsize": "many"}, "cannot be read as tar file"),
        ({"GNU.sparse.map": "0,x"}, "cannot be read as tar file"),
        (HUGE, f"'s/0.txt' is a sparse file of {1 << 40} bytes; the limit is"),
        ({"mtime": "nan"}, "the header of 's/0.txt' cannot be written"),
        ({"mtime": "inf"}, "the header of 's/0.txt' cannot be written"),
    ],
)
def test_hostile_headers(cli, tmp_path, headers, word):
    result = encode(cli, tmp_path, member("s/0.txt", b"text", **headers) + bytes(1024))
    assert result.code == 3 and results(tmp_path / "out") == [], result.err
    [failure] = table(tmp_path / "out", "failures")
    assert failure["kind"] == "input" and word in failure["error"] and "a.tar'" in failure["error"]


def test_a_damaged_header_is_no_end(cli, tmp_path):
    """Else half of a shard would be taken for all of it."""
    first, second = member("s/0.png", png(1)), member("s/1.txt", b"text")
    whole = first + second
    for cut in (whole[: len(first) + 100], whole):
        damaged = cut + bytes(1024 * (cut is whole))
        damaged[len(first) + 2] ^= 1
        result = encode(cli, tmp_path, damaged)
        assert result.code == 3 and f"damaged header at byte {len(first)}" in result.err
        assert results(tmp_path / "out") == []
    assert encode(cli, tmp_path, whole).code == 0, "zeros at the end are no must"


def test_samples_of_many_members():
    """frame.000001.txt: the key ends at the first dot, so that all are one sample."""
    args = Namespace(action="encode", members=None)
    task = Task(args, "webdataset", ".aec", "", None, frozenset({".png"}))
    members = [(tarfile.TarInfo(f"frame.{number:06}.txt"), b"") for number in range(40_000)]
    began = time.process_time()
    found, rows = tars._code_sample(task, None, "a.tar", members)
    assert time.process_time() - began < 3
    assert len(found) == len(members) and rows == []

"""Many inputs: folders, results that are there, errors on the way, progress, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from synthetic import smooth

from aecodec.cli import batch, files
from aecodec.cli.plan import Plan
from aecodec.codec import Codec

COMMAND = [sys.executable, "-m", "aecodec"]
FAST = ("-q", "5", "--device", "cpu")


def picture(path, seed=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(smooth(seed, 40, 56)).save(path)
    return path


@pytest.fixture
def tree(tmp_path):
    """in/: a.png, b c.jpg, deep/er/d.png, and a text."""
    for number, name in enumerate(("a.png", "b c.jpg", "deep/er/d.png")):
        picture(tmp_path / "in" / name, number)
    (tmp_path / "in" / "text.txt").write_text("no picture")
    return tmp_path / "in"


def files_in(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def lines(result):
    return [json.loads(line) for line in result.out.splitlines()]


def test_files_into_a_folder(cli, tree, tmp_path):
    result = cli("encode", tree / "a.png", tree / "b c.jpg", "--out-dir", tmp_path / "new" / "out", *FAST)
    assert result == (0, b"", "aecodec: 2 of 2 done\n")
    assert files_in(tmp_path / "new" / "out") == ["a.aec", "b c.aec"]
    single = cli("encode", tree / "a.png", tmp_path / "single.aec", *FAST)
    assert single.code == 0
    assert (tmp_path / "single.aec").read_bytes() == (tmp_path / "new" / "out" / "a.aec").read_bytes()


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_folders_there_and_back(cli, tree, tmp_path, jobs):
    out, back = tmp_path / "out", tmp_path / "back"
    result = cli("encode", "-r", tree, "--out-dir", out, "--jobs", jobs, *FAST)
    assert result.code == 0 and "3 of 3 done, 1 other files left alone" in result.err
    assert files_in(out) == ["a.aec", "b c.aec", "deep/er/d.aec"]
    result = cli("decode", "-r", out, "--out-dir", back, "--jobs", jobs, "--format", "tif", "--device", "cpu")
    assert result.code == 0 and files_in(back) == ["a.tif", "b c.tif", "deep/er/d.tif"]
    with Image.open(back / "deep" / "er" / "d.tif") as image:
        assert image.size == (56, 40)
        assert np.mean(np.abs(np.asarray(image).astype(int) - smooth(2, 40, 56))) < 20
    result = cli("verify", "-r", out, "--jobs", jobs)
    assert result.code == 0 and result.out.count(b": ok\n") == 3


def test_json_lines(cli, tree, tmp_path):
    (tree / "bad.png").write_bytes(b"nothing")
    out = tmp_path / "out"
    result = cli("encode", "-r", tree, "--out-dir", out, "--json", *FAST)
    found = {os.path.basename(line["input"]): line for line in lines(result)}
    assert result.code == 3 and set(found) == {"a.png", "b c.jpg", "d.png", "bad.png"}
    good, bad = found["a.png"], found["bad.png"]
    assert set(good) == set(bad) >= {"input", "output", "status", "bytes", "bpp", "seconds", "error"}
    size = (out / "a.aec").stat().st_size
    assert (good["status"], good["bytes"], good["output"]) == ("done", size, str(out / "a.aec"))
    assert (
        good["bpp"] == pytest.approx(8 * size / (40 * 56)) and good["seconds"] > 0 and good["error"] is None
    )
    assert bad["status"] == "failed" and bad["exit_code"] == 3 and "no picture" in bad["error"]
    assert "3 of 4 done, 1 failed" in result.err and "bad.png" not in result.err
    again = lines(cli("encode", "-r", tree, "--out-dir", out, "--json", *FAST))
    assert sorted(line["status"] for line in again) == ["failed", "skipped", "skipped", "skipped"]
    decoded = lines(cli("decode", out / "a.aec", "--out-dir", tmp_path, "--json"))
    assert decoded[0]["bytes"] == size and decoded[0]["bpp"] == good["bpp"]
    assert lines(cli("verify", out / "a.aec", "--json"))[0]["status"] == "done"


def test_finished_results_are_skipped(cli, tree, tmp_path):
    out = tmp_path / "out"
    cli("encode", tree / "a.png", "--out-dir", out, *FAST)
    before = (out / "a.aec").read_bytes()
    command = ("encode", tree / "a.png", tree / "b c.jpg", "--out-dir", out, "-q", "50", "--device", "cpu")
    result = cli(*command)
    assert result.code == 0 and "1 of 2 done, 1 skipped" in result.err and "--force" in result.err
    assert (out / "a.aec").read_bytes() == before
    result = cli(*command, "--force")
    assert result.code == 0 and "2 of 2 done" in result.err
    assert (out / "a.aec").read_bytes() != before


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_goes_on_after_errors(cli, tree, tmp_path, jobs):
    aec = tmp_path / "a.aec"
    cli("encode", tree / "a.png", aec, *FAST)
    (tmp_path / "cut.aec").write_bytes(aec.read_bytes()[:-9])
    (tmp_path / "text.aec").write_text("hello")
    names = [tmp_path / "cut.aec", tmp_path / "none.aec", aec, tmp_path / "text.aec"]
    result = cli("decode", *names, "--out-dir", tmp_path / "out", "--jobs", jobs)
    assert result.code == 5  # of the first that failed, in the order of the inputs
    assert files_in(tmp_path / "out") == ["a.png"]
    told = result.err.splitlines()
    assert len(told) == 4 and all(line.startswith("aecodec: ") for line in told)
    for name in ("cut.aec", "none.aec", "text.aec"):
        assert sum(name in line for line in told) == 1
    assert told[-1] == "aecodec: 1 of 4 done, 3 failed"


def test_one_result_for_two_inputs(cli, tree, tmp_path):
    picture(tree / "a.jpg")
    for names in ([tree / "a.png", tree / "a.jpg"], ["-r", tree], [tree / "a.png", tree / "a.png"]):
        result = cli("encode", *names, "--out-dir", tmp_path / "out", *FAST)
        assert result.code == 2 and "both become" in result.err and "nothing was written" in result.err
        assert result.err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_result_over_an_input(cli, tree):
    (tree / "a.aec").write_bytes(b"somebody else's")
    names = (tree / "a.png", tree / "a.aec")
    result = cli("encode", *names, "--out-dir", tree, "--force", *FAST)
    assert result.code == 2 and "would replace the input" in result.err
    assert (tree / "a.aec").read_bytes() == b"somebody else's"


@pytest.mark.parametrize(
    "arguments, word",
    [(["a"], "OUT is missing"), (["a", "b", "c"], "3 names"), (["-r", "a", "b"], "--out-dir"),
     (["--jobs", "2", "a", "b"], "--out-dir"), (["-", "--out-dir", "o"], "no name"),
     (["a", "--out-dir", "o", "--jobs", "0"], "less than 1")],
)  # fmt: skip
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_usage(cli, command, arguments, word):
    result = cli(command, *arguments)
    assert result.code == 2 and word in result.err and result.err.count("\n") == 1


def test_options_between_names(cli, tree, tmp_path):
    assert cli("encode", tree / "a.png", "-q", "5", tmp_path / "a.aec", "--device", "cpu").code == 0
    result = cli("encode", tree / "a.png", "-q5", "--out-dir", tmp_path / "o", tree / "b c.jpg")
    assert result.code == 0 and files_in(tmp_path / "o") == ["a.aec", "b c.aec"]
    assert (tmp_path / "o" / "a.aec").read_bytes() == (tmp_path / "a.aec").read_bytes()


def test_folder_without_r(cli, tree, tmp_path):
    result = cli("encode", tree / "deep", tree / "a.png", "--out-dir", tmp_path / "out", *FAST)
    assert result.code == 3 and "use -r" in result.err and files_in(tmp_path / "out") == ["a.aec"]


def test_names(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["-x", "--force", "a b", "\N{GRINNING FACE} é", os.fsdecode(b"\xff\xfe")]
    for name in names:
        picture(tmp_path / "-in" / f"{name}.png")
    result = cli("encode", *FAST, "--jobs", "2", "--out-dir=-out", "-r", "--", "-in")
    assert result.code == 0, result.err
    assert files_in(tmp_path / "-out") == sorted(f"{name}.aec" for name in names)
    checked = cli("verify", "-r", "--", "-out")
    assert checked.code == 0 and checked.out.count(b": ok\n") == len(names)
    assert b"\\udcff\\udcfe.aec" in checked.out  # what stdout's encoding does not have


def test_folder_that_cannot_be_listed(tree, monkeypatch):
    def listing(top, onerror):
        onerror(PermissionError(13, "Permission denied", "locked"))
        return iter([(top, [], ["a.png"])])

    monkeypatch.setattr(os, "walk", listing)
    found = list(files.walk(str(tree)))
    assert found[0][1:] == ("a.png", None)
    assert found[1][0] == "locked" and "Permission denied" in str(found[1][2])


def test_salvaged(cli, codec, tmp_path):
    data = bytearray(codec.encode(smooth(3, 40, 1100), 5))
    data[-40] ^= 1
    (tmp_path / "a.aec").write_bytes(data)
    result = cli("decode", tmp_path / "a.aec", "--salvage", "--json", "--out-dir", tmp_path / "out")
    assert result.code == 10 and lines(result)[0]["status"] == "salvaged"
    assert "groups" in lines(result)[0]["notes"][0] and "1 with parts missing" in result.err
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert image.size == (1100, 40)


def test_threads_are_bounded(cli, tree, tmp_path, monkeypatch):
    made = []

    class Recorded(Codec):
        def __init__(self, model, device, threads, *rest, **options):
            made.append(threads)
            super().__init__(model, device, 1, *rest, **options)

    monkeypatch.setattr("aecodec.codec.Codec", Recorded)
    for cpus, jobs, expected in ((8, 3, 2), (2, 3, 1), (8, 1, None)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cpus: range(n), raising=False)
        made.clear()
        assert (
            cli("encode", "-r", tree, "--out-dir", tmp_path / f"{cpus}{jobs}", "--jobs", jobs, *FAST)[0] == 0
        )
        assert set(made) == {expected}
        assert len(made) == 1 if expected in (1, None) else len(made) <= 1 + jobs


def test_umask_is_read_safely():
    """Many threads at once must not leave the process with the umask of 0 that reading it sets."""
    before = os.umask(0o027)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        found = set()
        workers = [
            threading.Thread(target=lambda: found.update(files.mode_of("/no/such/file") for _ in range(2000)))
            for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert found == {0o640}
    finally:
        sys.setswitchinterval(interval)
        assert os.umask(before) == 0o027


def test_unexpected_errors_stop_one_input_only(cli, tree, tmp_path, monkeypatch):
    real = Codec.encode_picture

    def broken(self, picture, *rest):
        if picture.pixels.shape[0] == 33:
            raise RuntimeError("first\nsecond")
        return real(self, picture, *rest)

    monkeypatch.setattr(Codec, "encode_picture", broken)
    Image.new("RGB", (20, 33)).save(tree / "odd.png")
    result = cli("encode", "-r", tree, "--out-dir", tmp_path / "out", *FAST)
    assert result.code == 1 and "unexpected RuntimeError: first second" in result.err
    assert len(files_in(tmp_path / "out")) == 3


def test_no_device_stops_the_batch(tree, tmp_path):
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from aecodec.cli.main import main\n"
        "sys.exit(main(['encode', '-r', sys.argv[1], '--out-dir', sys.argv[2], '--jobs', sys.argv[3]]))\n"
    )
    for jobs in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", code, tree, tmp_path / "out", jobs], capture_output=True, text=True
        )
        assert run.returncode == 8 and "aecodec[cpu]" in run.stderr and "stopped" in run.stderr
        assert "0 of 3 done" in run.stderr and files_in(tmp_path) and "Traceback" not in run.stderr


def test_missing_model_is_said_once(cli, tree, tmp_path):
    result = cli("encode", "-r", tree, "--out-dir", tmp_path / "out", "--model", "nope")
    assert result.code == 7 and result.err.count("nope") == 1 and not (tmp_path / "out").exists()


def test_progress_only_on_a_terminal(tree, tmp_path):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    command = [*COMMAND, "encode", "-r", tree, *FAST, "--out-dir"]
    plain = subprocess.run([*command, tmp_path / "plain"], capture_output=True, text=True)
    assert plain.stderr == "aecodec: 3 of 3 done, 1 other files left alone\n" and plain.stdout == ""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen([*command, tmp_path / "tty"], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how the end of a terminal looks on Linux
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.communicate(timeout=20)[0] == b"" and process.returncode == 0
    assert b"/3 [" in shown and b"file" in shown and b"3 of 3 done" in shown


def test_empty_folder(cli, tmp_path):
    (tmp_path / "in").mkdir()
    result = cli("encode", "-r", tmp_path / "in", "--out-dir", tmp_path / "out")
    assert result == (0, b"", "aecodec: 0 of 0 done\n")
    assert batch._share(1) is None and Plan([]).left_out == 0


@pytest.fixture
def waiting(tmp_path):
    """A batch in a process of its own: a.png is done, then it waits for b.png, a pipe; c.png is left."""
    picture(tmp_path / "in" / "a.png")
    os.mkfifo(tmp_path / "in" / "b.png")
    picture(tmp_path / "in" / "c.png")
    processes = []

    def start(jobs):
        command = [*COMMAND, "encode", "-r", tmp_path / "in", "--out-dir", tmp_path / "out", *FAST, "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([*command, "--jobs", jobs], text=True, **pipes)
        processes.append(process)
        for _ in range(int(jobs)):  # a file that is there may not be counted yet
            assert json.loads(process.stdout.readline())["status"] == "done"
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_ctrl_c(waiting, tmp_path):
    process = waiting("1")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "aecodec: 1 of 3 done, 2 not begun (the same command goes on)\naecodec: interrupted\n"
    assert files_in(tmp_path / "out") == ["a.aec"]  # no partial file under any name


def test_ctrl_c_finishes_what_runs(waiting, tmp_path):
    process = waiting("2")
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("aecodec: finishing the pictures in progress")
    (tmp_path / "in" / "b.png").write_bytes((tmp_path / "in" / "a.png").read_bytes())
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "3 of 3 done" in err
    assert files_in(tmp_path / "out") == ["a.aec", "b.aec", "c.aec"]


def test_second_ctrl_c(waiting, tmp_path):
    process = waiting("2")
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("aecodec: finishing the pictures in progress")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert files_in(tmp_path / "out") == ["a.aec", "c.aec"]

"""What a plain `import aecodec` costs."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

import aecodec
from aecodec import _core, session
from aecodec.errors import DeviceError

PACKAGE = Path(aecodec.__file__).parent


def loaded_after(code):
    probe = "\nimport sys\nprint(*(n for n in ('numpy', 'PIL', 'onnxruntime', 'torch') if n in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code + probe], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[-1].split() if run.stdout.strip() else []


def test_import_is_light():
    assert loaded_after("import aecodec; aecodec.errors.AecodecError; dir(aecodec)") == []


def test_info_is_light(city_file, tmp_path):
    (tmp_path / "a.aec").write_bytes(city_file)
    assert loaded_after(f"import aecodec; aecodec.info({str(tmp_path / 'a.aec')!r})") == []


def test_command_line_is_light():
    assert loaded_after("from aecodec.cli.main import build_parser; build_parser()") == []


OPTIONAL = (
    "aecodec.latents",
    "faiss",
    "sklearn",
    "skimage",
    "tqdm",
    "fsspec",
    "shtab",
    "webdataset",
    "concurrent.futures",
    "pyarrow",
    "ray",
    "aecodec.cli.batch",
    "aecodec.cli.many",
    "aecodec.metrics",
    "importlib.metadata",
    "PIL.PdfImagePlugin",
)


@pytest.mark.parametrize("command", ["encode", "info"])
def test_commands_load_only_what_they_use(command, city_file, tmp_path):
    (tmp_path / "a.aec").write_bytes(city_file)
    with Image.open(Path(__file__).parent / "data" / "city.jpg") as photograph:
        photograph.save(tmp_path / "a.png")
    names = {"encode": ["a.png", "out.aec", "--device=cpu"], "info": ["a.aec"]}[command]
    code = (
        f"import sys; from aecodec.cli.main import main; assert main({[command, *names]!r}) == 0\n"
        f"print(*(name for name in {OPTIONAL} if name in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    used = {"encode": {"concurrent.futures"}, "info": set()}[command]
    assert set(run.stdout.split("\n")[-2].split()) <= used


STANDARD = (
    *("argparse", "gettext", "locale", "shutil"),  # argparse itself
    *(
        "__future__",
        "contextlib",
        "importlib",
        "json",
        "math",
        "mmap",
        "signal",
        "threading",
        "typing",
        "zlib",
    ),
)
"""Of the standard library, with what they load, `aecodec info` needs this."""
OWN = {
    *("_core", "container", "describe", "errors", "group_data", "limits", "model_folders", "precision"),
    *("remote", "source", "cli", "cli.common", "cli.files", "cli.info", "cli.main", "cli.signals"),
    *("cli.streams", "cli.values"),
}


def test_info_loads_nothing_that_it_does_not_need(city_file, tmp_path):
    (tmp_path / "a.aec").write_bytes(city_file)
    core = str(Path(_core.__file__).parent)  # in a checkout it lies elsewhere
    code = (
        f"import sys, {', '.join(STANDARD)}\n"
        "before = set(sys.modules)\n"
        f"sys.path.insert(0, {str(PACKAGE.parent)!r}); import aecodec; aecodec.__path__.append({core!r})\n"
        "from aecodec.cli.main import main; assert main(['info', 'a.aec', '--json']) == 0\n"
        "print(*(name for name in sys.modules if name not in before and not name.startswith('encodings.')))"
    )
    alone = [sys.executable, "-S", "-c", code]  # -S: without a checkout's import hook, which loads more
    run = subprocess.run(alone, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert set(run.stdout.split("\n")[-2].split()) == {"aecodec", *(f"aecodec.{name}" for name in OWN)}


def variable_after_encoding(name, folder, variables):
    """What an environment variable is in the process that has encoded a picture."""
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    code = (
        "import os; from aecodec.cli.main import main; main(['encode', 'a.png', 'out.aec', '--device=cpu'])\n"
        f"print(os.environ[{name!r}])"
    )
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=variables)
    return run.stdout.split()[-1]


def environment_without(*names):
    return {name: value for name, value in os.environ.items() if name not in names}


@pytest.mark.parametrize("own", [None, "2"])
def test_no_thread_for_matrices_unless_it_is_asked_for(own, tmp_path):
    name = "OPENBLAS_NUM_THREADS"
    variables = environment_without(name) | ({name: own} if own else {})
    assert variable_after_encoding(name, tmp_path, variables) == (own or "1")


@pytest.mark.parametrize("own", [None, "0"])
def test_no_telemetry_of_onnxruntime(own, tmp_path):
    """From 1.29 on it leaves the number that it gives a device in a folder of the user's."""
    name = "ORT_DISABLE_TELEMETRY"
    variables = environment_without(name, "CI", "ORT_TELEMETRY_DISABLED")  # any of them switches it off
    variables |= {folder: str(tmp_path / "home") for folder in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    variables |= {name: own} if own else {}
    assert variable_after_encoding(name, tmp_path, variables) == (own or "1")
    assert own or not list(tmp_path.glob("home/**/*"))


def test_codec_loads_no_torch():
    code = "import aecodec, numpy; aecodec.encode(numpy.zeros((8, 8), 'uint8'), device='cpu')"
    assert loaded_after(code) == ["numpy", "PIL", "onnxruntime"]


def test_public_names():
    for name in aecodec.__all__:
        assert getattr(aecodec, name) is not None
    assert set(aecodec.__all__) <= set(dir(aecodec))
    assert aecodec.__version__.count(".") == 2


def test_version_without_an_installed_distribution(monkeypatch):
    """A folder on PYTHONPATH, a frozen program: nothing says what was installed."""

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    known = aecodec.__version__
    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.delitem(vars(aecodec), "__version__", raising=False)
    assert aecodec.__version__ == known
    with pytest.raises(AttributeError, match="nonsense"):
        _ = aecodec.nonsense
    assert set(aecodec.latents.__all__) <= set(dir(aecodec.latents))


def test_without_onnxruntime(monkeypatch):
    monkeypatch.setattr(session, "_ort", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceError) as caught:
        session.runtime()
    for extra in ("cpu", "cuda"):
        assert f"pip install 'aecodec[{extra}]'" in str(caught.value)
    monkeypatch.setattr(session, "wheels", lambda: {"onnxruntime": "1", "onnxruntime-gpu": "1"})
    with pytest.raises(DeviceError, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        session.runtime()


def test_both_wheels_are_warned_about(monkeypatch, tmp_path):
    package = session.runtime()
    monkeypatch.setattr(session, "_ort", None)
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "onnxruntime")])
    (tmp_path / "onnxruntime-1.30.0.dist-info").mkdir()
    with warnings.catch_warnings(action="error"):  # one of them is fine
        session.runtime()
    monkeypatch.setattr(session, "_ort", None)
    (tmp_path / "onnxruntime_gpu-1.30.0.dist-info").mkdir()
    with pytest.warns(RuntimeWarning, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        session.runtime()

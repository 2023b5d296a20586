"""Which folder a model is taken from."""

from __future__ import annotations

import shutil
from pathlib import Path

import aecodec
from aecodec import api, models
from aecodec.codec import Codec


def test_an_installed_model_goes_before_the_current_folder(bundle, tmp_path, monkeypatch):
    """Graphs are code: whoever owns the folder must not choose them."""
    for name in (bundle.name, "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_bytes((bundle.path / "manifest.json").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert models.find(bundle.name).path == bundle.path
    assert models.find(f"./{bundle.name}").path.resolve() == tmp_path / bundle.name
    assert models.find("other").path.resolve() == tmp_path / "other"
    folder, name = (api.shared(kind(bundle.name), "cpu") for kind in (Path, str))
    assert folder.bundle.path.resolve() != bundle.path == name.bundle.path


def test_a_relative_folder_is_that_of_the_call(monkeypatch, tmp_path, city):
    """Whatever the current folder is later, when graphs are read or another one has the same name."""
    for place, name in (("one", "nano"), ("two", "fast")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "model").symlink_to(models.find(name).path)
    monkeypatch.chdir(tmp_path / "one")
    codec, first = Codec("./model", "cpu"), api.shared("./model", "cpu")
    monkeypatch.chdir(tmp_path / "two")
    assert aecodec.info(codec.encode(city[:64, :64]))["model_id"] == models.find("nano").model_id.hex()
    assert first.bundle.name == "nano" and api.shared("./model", "cpu").bundle.name == "fast"
    assert api.shared(Path("model"), "cpu").bundle.name == "fast"


def test_hidden_folders_hold_no_models(bundle, tmp_path, monkeypatch):
    """What an export has not checked yet lies in one."""
    shutil.copytree(bundle.path, tmp_path / ".other.new")
    monkeypatch.setenv("AECODEC_MODEL_PATH", str(tmp_path))
    assert models.find_id(bundle.model_id).path == bundle.path

"""The browser's codec (web/) against the native one: the same symbols, both ways, in Node and in Chromium."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import z_groups
from PIL import Image, ImageDraw

from aecodec import alpha, container, describe, entropy, pixels
from aecodec.codec import Codec
from aecodec.errors import CorruptError
from aecodec.pixels import Picture
from aecodec.tables import load_tables

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
DATA = Path(__file__).parent / "data"
CHROMES = ("chromium", "chromium-browser", "google-chrome")
NODE_MAJOR = 20


def _node() -> str:
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < NODE_MAJOR:
        pytest.skip(f"node {NODE_MAJOR} or later is needed, not {version.strip()}")
    if not (WEB / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("web/node_modules is not there: run `npm ci` in web/")
    return node


def _chrome() -> str:
    path = os.environ.get("CHROME") or next((found for c in CHROMES if (found := shutil.which(c))), None)
    if not path:
        pytest.skip("no Chromium found; name one in the variable CHROME")
    return path


def run(*command: str, **environment: str) -> str:
    """In web/ -> standard output; its whole output is the message when it fails."""
    done = subprocess.run(
        command, cwd=WEB, env=os.environ | environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def node() -> str:
    return _node()


@pytest.fixture(scope="session")
def chrome(node: str) -> str:
    """A browser, and the site built as the sources are now."""
    found = _chrome()
    run("bash", "build.sh")
    return found


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(device="cpu", precision="fp32", threads=1)


def photograph(width: int, height: int, left: int = 0) -> np.ndarray:
    with Image.open(DATA / "city.jpg") as image:
        return np.asarray(image.convert("RGB"))[20 : 20 + height, left : left + width].copy()


def text_page() -> np.ndarray:
    """Which the encoder codes as pixels, partly."""
    page = Image.new("RGB", (200, 150), "white")
    for line in range(9):
        ImageDraw.Draw(page).text((4, 16 * line + 2), "sharp text is no photograph " * 2, fill=(20, 20, 90))
    return np.asarray(page)


def native_pictures() -> Iterator[tuple[str, Picture, float, float | None]]:
    """(name, picture, quality, quality of alpha): one of each kind."""
    for quality in (0, 7, 20, 33, 50, 66, 85, 100):
        yield f"quality_{quality}", Picture(photograph(130, 97, quality)), quality, None
    for width, height in ((1, 1), (64, 64), (65, 63), (3, 200), (300, 17)):
        yield f"size_{width}x{height}", Picture(photograph(width, height)), 60, None
    wide = np.tile(photograph(400, 70), (1, 3, 1))
    yield "three_groups", Picture(wide), 45, None
    grey = photograph(90, 120)[:, :, 1:2]
    yield "grey", Picture(grey), 55, None
    plane = np.add.outer(np.arange(120), np.arange(90)).astype(np.uint8)
    yield "alpha", Picture(photograph(90, 120), plane), 55, None
    yield "grey_alpha", Picture(grey, plane), 30, None
    yield "coded_alpha", Picture(photograph(90, 120), plane), 40, 75
    yield "turned", replace(Picture(photograph(80, 50)), orientation=6), 60, None
    deep = photograph(70, 70).astype(np.uint16) * 257 + 11
    yield "deep", Picture(deep), 90, None
    yield "deep_grey", Picture(deep[:, :, :1]), 90, None
    yield "text", Picture(text_page()), 40, None
    yield "metadata", replace(Picture(photograph(64, 40)), xmp=b"<x/>", dpi=(300.0, 72.5)), 60, None


def browser_pictures() -> Iterator[tuple[str, np.ndarray, int]]:
    """(name, RGBA [H, W, 4], quality)"""
    for quality in (0, 10, 25, 40, 55, 70, 85, 100):
        yield f"js_quality_{quality}", rgba(photograph(150, 110, quality)), quality
    for width, height in ((1, 1), (64, 64), (65, 63), (2, 150), (260, 9), (128, 65)):
        yield f"js_size_{width}x{height}", rgba(photograph(width, height)), 60
    yield "js_two_groups", rgba(np.tile(photograph(400, 70), (1, 2, 1))), 50
    yield "js_grey", rgba(np.repeat(photograph(90, 70)[:, :, :1], 3, 2)), 50
    plane = np.add.outer(np.arange(70), np.arange(90)).astype(np.uint8)
    yield "js_alpha", rgba(photograph(90, 70), plane), 50
    yield "js_hidden", rgba(photograph(90, 70), np.where(plane > 90, 255, 0).astype(np.uint8)), 50
    yield "js_flat", rgba(np.full((60, 60, 3), 200, np.uint8)), 50
    rng = np.random.default_rng(4)
    yield "js_noise", rgba(rng.integers(0, 256, (70, 60, 3), np.uint8)), 100


def rgba(colours: np.ndarray, plane: np.ndarray | None = None) -> np.ndarray:
    opaque = np.full(colours.shape[:2], 255, np.uint8)
    return np.dstack([colours, opaque if plane is None else plane])


def as_coded(image: np.ndarray) -> np.ndarray:
    """RGBA -> what web/ codes: grey where all of it is, alpha where there is some."""
    colours, plane = image[:, :, :3], image[:, :, 3:]
    if (colours == colours[:, :, :1]).all():
        colours = colours[:, :, :1]
    return colours if (plane == 255).all() else np.dstack([colours, plane])


def interop(where: str, folder: Path, node: str, *bundle: str) -> Path:
    """Runs web/test/interop.mjs over the files of `folder` -> where its output is."""
    out = folder.parent / f"{folder.name}-{where}"
    out.mkdir()
    run(node, "test/interop.mjs", where, str(folder), str(out), *bundle)
    return out


@pytest.fixture(scope="module")
def written(codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files for the browser to decode, and pictures for it to encode."""
    folder = tmp_path_factory.mktemp("web") / "in"
    folder.mkdir()
    for name, picture, quality, of_alpha in native_pictures():
        (folder / f"{name}.aec").write_bytes(codec.encode_picture(picture, quality, of_alpha))
    for name, image, quality in browser_pictures():
        height, width = image.shape[:2]
        (folder / f"{name}.{width}x{height}.q{quality}.rgba").write_bytes(image.tobytes())
    return folder


@pytest.fixture(scope="module", params=["node", "chromium"])
def answered(request: pytest.FixtureRequest, written: Path, node: str) -> Path:
    if request.param == "chromium":
        request.getfixturevalue("chrome")
    return interop(request.param, written, node)


def test_native_files_decode_to_the_same_symbols(codec: Codec, written: Path, answered: Path) -> None:
    files = sorted(written.glob("*.aec"))
    assert len(files) >= 20
    assert any(any(container.read_file(path.read_bytes()).blocks) for path in files), "pixel blocks are tried"
    for path in files:
        data = path.read_bytes()
        said = json.loads((answered / f"{path.stem}.json").read_text())
        assert said["symbols_crc32c"] == describe.info(data)["symbols_crc32c"], path.stem
        picture = codec.decode_picture(data)
        wanted = np.array(pixels.to_pil(pixels.shallow(picture)).convert("RGBA"), np.int16)
        found = np.fromfile(answered / f"{path.stem}.rgba", np.uint8).reshape(wanted.shape)
        assert np.abs(found - wanted).max() <= 1, path.stem


def test_files_of_the_browser_decode_natively(codec: Codec, written: Path, answered: Path) -> None:
    pictures = list(browser_pictures())
    assert len(pictures) >= 20
    plain = Codec(device="cpu", precision="fp32", threads=1, pixel_blocks=False)  # web/ writes none
    for name, image, quality in pictures:
        data = (answered / f"{name}.aec").read_bytes()
        codec.verify(data)  # the checksum of the symbols that are decoded here is the one written there
        own = plain.encode(as_coded(image), quality)
        assert abs(len(data) / len(own) - 1) < 0.02 or abs(len(data) - len(own)) < 200, name
        back = np.array(codec.open(data).convert("RGBA"), np.float64)
        if name == "js_alpha":
            np.testing.assert_array_equal(back[:, :, 3], image[:, :, 3])
        seen = image[:, :, 3] > 0
        own_back = np.array(codec.open(own).convert("RGBA"), np.float64)
        error, own_error = (np.square(a - image)[seen][:, :3].mean() for a in (back, own_back))
        assert error < 1.05 * own_error + 0.5, name


def test_a_model_with_a_context_of_z(node: str, tmp_path: Path) -> None:
    """Both ways, with groups cut off on either side, so that height and width of z are told apart."""
    bundle = z_groups.bundle_with_context(tmp_path / "bundle")
    codec = Codec(bundle, device="cpu", precision="fp32", threads=1, pixel_blocks=False)
    images = {f"{size[0]}x{size[1]}": photograph(*size) for size in ((64, 64), (1, 130), (390, 60))}
    images["two_groups"] = np.tile(photograph(400, 70), (1, 2, 1))
    folder = tmp_path / "in"
    folder.mkdir()
    for name, image in images.items():
        height, width = image.shape[:2]
        (folder / f"{name}.aec").write_bytes(codec.encode(image, 70))
        (folder / f"js_{name}.{width}x{height}.q70.rgba").write_bytes(rgba(image).tobytes())
    out = interop("node", folder, node, str(bundle))
    for name in images:
        own, made = (folder / f"{name}.aec").read_bytes(), (out / f"js_{name}.aec").read_bytes()
        said = json.loads((out / f"{name}.json").read_text())
        assert said["symbols_crc32c"] == describe.info(own)["symbols_crc32c"], name
        codec.verify(made)
        assert abs(len(made) - len(own)) <= 0.02 * len(own), name


def test_the_groups_that_node_is_tried_with() -> None:
    """tests/data/z_groups.json, which web/test/entropy.test.mjs holds against the browser's coder."""
    file = json.loads(z_groups.FILE.read_text())
    tables = load_tables(base64.b64decode(file["tables"]))

    def reader(group: dict) -> entropy.GroupReader:
        payload, size = base64.b64decode(group["payload"]), (group["height"], group["width"])
        return entropy.GroupReader(tables, payload, tables.z_row[group["level"]], size)

    for group in file["groups"]:
        found = {name: np.frombuffer(base64.b64decode(group[name]), t) for name, t in z_groups.ARRAYS.items()}
        found["z"] = found["z"].reshape(-1, group["height"], group["width"])
        payload = z_groups.payload_of(tables, group["level"], found)
        assert payload == base64.b64decode(group["payload"])
        back = reader(group)
        assert np.array_equal(back.z(), found["z"])
        assert np.array_equal(back.first(found["index_first"]), found["first"])
        assert np.array_equal(back.second(found["index_second"]), found["second"])
        back.finish()
    for group in file["beyond"]:
        with pytest.raises(CorruptError):
            reader(group).z()


def test_colour_under_alpha_is_filled_as_natively(node: str, tmp_path: Path) -> None:
    colour, plane = photograph(61, 47), np.zeros((47, 61), np.uint8)
    plane[10:20, 5:30], plane[30:, 50:] = 255, 90
    (tmp_path / "colour").write_bytes(colour.tobytes())
    (tmp_path / "alpha").write_bytes(plane.tobytes())
    script = """
        import { readFileSync, writeFileSync } from "node:fs";
        import { hide } from "./src/alpha.js";
        const [folder] = process.argv.slice(1);
        const read = (name) => new Uint8Array(readFileSync(`${folder}/${name}`));
        const [samples, alpha] = [read("colour"), read("alpha")];
        writeFileSync(`${folder}/hidden`, hide({ width: 61, height: 47, channels: 3, samples, alpha }));
    """
    run(node, "--input-type=module", "-e", script, str(tmp_path))
    found = np.fromfile(tmp_path / "hidden", np.uint8).reshape(colour.shape).astype(np.int16)
    assert np.abs(found - alpha.hide(colour, plane)).max() <= 1


def test_info_says_what_the_command_says(node: str, written: Path) -> None:
    script = """
        import { readFileSync } from "node:fs";
        import { info } from "./src/index.js";
        const files = process.argv.slice(1);
        console.log(JSON.stringify(await Promise.all(files.map((file) => info(readFileSync(file))))));
    """
    files = sorted(written.glob("*.aec"))
    said = json.loads(run(node, "--input-type=module", "-e", script, *map(str, files)))
    for path, found in zip(files, said, strict=True):
        wanted = describe.info(path)
        del wanted["file"], wanted["model_name"]
        assert found == wanted, path.stem


def test_the_core_was_compiled_from_these_sources() -> None:
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    run("bash", "build.sh", "check")


def test_its_own_tests_in_node(node: str) -> None:
    names = ["codec", "conformance", "entropy", "models", "package", "png"]
    out = run(node, "--test", *(f"test/{name}.test.mjs" for name in names))
    assert "# fail 0" in out


def test_types(node: str) -> None:
    run(node, "node_modules/typescript/bin/tsc", "-p", "tsconfig.json")


def test_page_in_chromium(node: str, chrome: str) -> None:
    names = ["chromium", "page", "access"]
    out = run(node, "--test", "--test-concurrency=1", *(f"test/{n}.test.mjs" for n in names), CHROME=chrome)
    assert "# fail 0" in out and "# skipped 1" in out, "all but the one on a GPU"

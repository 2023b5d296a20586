"""Check this installation: versions, onnxruntime and its providers, models.

The exit code is 0 if it can encode and decode.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from aecodec.errors import AecodecError

HELP = "check this installation"
DOT_PRODUCT = {
    0: "in sums of 16 bits (no VNNI): int8 networks where a model fits them",
    1: "exactly and fast: int8 networks",
    2: "exactly",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    facts, code = _examine()
    if args.json:
        print(json.dumps(facts))
    else:
        _print(facts)
    return code


def _examine() -> tuple[dict[str, Any], int]:
    import platform
    import warnings

    from aecodec import _core, models, session, version

    problems: list[str] = []
    code = 0
    wheels = session.wheels()
    if len(wheels) > 1:
        problems.append(session.BOTH_WHEELS)
    providers: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            providers = session.providers()
    except AecodecError as error:
        problems.append(str(error))
        code = error.exit_code
    bundles, bundle_problems = models.installed(), models.problems()
    problems += bundle_problems
    for check in [models.find, *(_verifier(b) for b in bundles)]:
        try:
            check()
        except AecodecError as error:
            problems.append(str(error))
            code = code or error.exit_code
    facts = {
        "aecodec": version.number(),
        "core": _core.version(),
        "simd": {0: "scalar", 1: "AVX2"}.get(_core.simd_available(), "unknown"),
        "dot_product": DOT_PRODUCT.get(_core.dot_product(), "unknown"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "numpy": _version("numpy"),
        "pillow": _version("pillow"),
        "onnxruntime": wheels,
        "providers": providers,
        "default_model": models.default_name(),
        "models": [_model(bundle) for bundle in bundles],
        "problems": problems,
    }
    return facts, code


def _model(bundle: Any) -> dict[str, Any]:
    from aecodec import precision

    return {
        "name": bundle.name,
        "model_id": bundle.model_id.hex(),
        "folder": str(bundle.path),
        "precisions": ["fp32", *sorted(bundle.precisions)],
        "precision": precision.choose("auto", bundle, "cpu"),
    }


def _verifier(bundle: Any) -> Any:
    def check() -> None:
        for name in bundle.manifest["files"]:
            bundle.read(name)

    return check


def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _print(facts: dict[str, Any]) -> None:
    wheels = ", ".join(f"{name} {version}" for name, version in facts["onnxruntime"].items())
    lines = {
        "aecodec": f"{facts['aecodec']} (core {facts['core']}, {facts['simd']})",
        "byte products": facts["dot_product"],
        "python": f"{facts['python']} on {facts['platform']}",
        "numpy, pillow": f"{facts['numpy']}, {facts['pillow']}",
        "onnxruntime": wheels or "not installed",
        "providers": ", ".join(facts["providers"]) or "none",
        "default model": facts["default_model"] or "none",
    }
    for name, value in lines.items():
        print(f"{name:16}{value}")
    for model in facts["models"]:
        print(f"{'model':16}{model['name']} {model['model_id']} in {model['folder']}")
        print(f"{'':16}has {', '.join(model['precisions'])}; auto on this CPU: {model['precision']}")
    for problem in facts["problems"]:
        print(f"{'PROBLEM':16}{problem}")
    print("no problems found" if not facts["problems"] else f"{len(facts['problems'])} problem(s) found")

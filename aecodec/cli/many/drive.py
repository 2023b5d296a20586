"""A run over a collection: what is missing is planned, done by an engine, and written down as it comes."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import IO

from aecodec import remote
from aecodec.cli import batch, decode, encode, files
from aecodec.cli.common import codec_of, tell
from aecodec.cli.many import collection, listing
from aecodec.cli.many.records import Records, Row
from aecodec.cli.many.work import Task, failure_row
from aecodec.cli.outcome import FAILED, Outcome
from aecodec.cli.plan import Job, Plan, check_folder
from aecodec.errors import UsageError
from aecodec.parallel import cpus

TOLD = 10
"""Failures that are told on stderr; all are in the table."""
OPTIONS = {
    "encode": (
        "quality",
        "alpha_quality",
        "no_alpha",
        "target_bpp",
        "target_size",
        "target_psnr",
        "max_size",
        "thumbnail",
        "effort",
    ),
    "decode": ("scale", "fit", "salvage", "apply_orientation"),
}
"""What decides about the bytes of results, beside what all actions share."""
OF_KIND = {"column": "parquet", "output_column": "parquet", "members": "webdataset"}
"""Options that mean something to one kind of collection only."""


def run(args: Namespace) -> int:
    check_folder(args.dst, "DST")
    args.src, args.dst = remote.local_path(args.src), remote.local_path(args.dst)
    if args.action == "transcode" and files.are_one(args.src, args.dst):
        raise UsageError(f"transcode would replace what it reads in {args.src!r}; take another DST")
    if args.num_gpus and args.device == "auto":
        args.device = "cuda"  # a GPU that was taken from the cluster must not be left idle unnoticed
    args.threads = args.threads or 1  # the same sums in the same order, whatever the engine
    suffix, form = ".aec", ""
    if args.action == "decode":
        suffix, form = decode.chosen(args.format)
    wanted = encode.picture_suffixes() if args.action == "encode" else {".aec"}
    items = list(listing.listing(args.src, without=args.dst))
    kind = collection.kind_of(items, wanted, args.kind)
    if items or args.kind != "auto":
        for option, meant in OF_KIND.items():
            if getattr(args, option) is not None and kind != meant:
                raise UsageError(
                    f"--{option.replace('_', '-')} is for {meant}, and {args.src!r} holds {kind}"
                )
    every, left_out = collection.jobs(items, kind, wanted, suffix, args)
    if kind == "parquet" or args.parquet_tables:
        from aecodec.cli.many import tables

        tables.pyarrow()
    settings = _settings(args, kind, suffix)
    records = Records(args.dst)
    try:
        records.check_settings(settings, args.force)
        records.load()
        plan, names = collection.outstanding(every, items, records, args, left_out)
        del items, every
        task = Task(_plain(args), kind, suffix, form, records.spare, frozenset(wanted))
        return _run(args, plan, names, records, task)
    finally:
        records.close(args.parquet_tables)


def _run(args: Namespace, plan: Plan, names: dict[str, str], records: Records, task: Task) -> int:
    told = 0

    def keep(job: Job, outcome: Outcome) -> None:
        unit = names[job.source]
        records.add(unit, _rows(unit, args.dst, job, outcome))

    def show(outcome: Outcome) -> list[tuple[str, IO[str]]]:
        nonlocal told
        if not outcome.exit_code:
            return []
        told += 1
        if told > TOLD:
            return []
        last = [("aecodec: further failures are in the table only", sys.stderr)] if told == TOLD else []
        return [*batch.show_problems(outcome), *last]

    engine = None
    if args.engine == "ray":
        from aecodec.cli.many.on_ray import RayEngine

        engine = RayEngine(task, args)
    else:
        args.jobs = args.jobs or cpus()
    try:
        return batch.run_all(args, plan, task, show, keep, engine)
    finally:
        if records.failed:
            count = sum(map(len, records.failed.values()))
            tell(f"aecodec: failures, {count}: {records.failures}")


def _rows(unit: str, dst: str, job: Job, outcome: Outcome) -> list[Row]:
    """The outcome of a unit -> its rows of the tables."""
    if outcome.status == FAILED:
        failed = failure_row(str(outcome.error), outcome.exit_code, outcome.seconds)
        return [{"input": unit, "shard": None} | failed]
    target = str(job.target)[len(dst.rstrip("/")) :].lstrip("/" + os.sep).replace(os.sep, "/")
    rows: list[Row] = []
    for facts in outcome.rows:
        picture = facts.get("picture")
        head = {"input": unit, "output": target, "shard": None}
        if picture is not None:
            head = {"input": f"{unit}#{picture}", "output": target, "shard": unit}
        rows.append(head | {key: value for key, value in facts.items() if key != "picture"})
    if job.version is not None:
        rows[-1]["input_version"] = job.version
    return rows


def _settings(args: Namespace, kind: str, suffix: str) -> Row:
    """What decides about the results' bytes: a run that differs in it must not go on with another's."""
    names = OPTIONS["decode" if args.action == "decode" else "encode"]
    found: Row = {"action": args.action, "kind": kind, "suffix": suffix}
    found |= {name: getattr(args, name) for name in names}
    if args.action == "decode":  # None is what earlier runs say, which do not know it
        found["no_alpha"] = args.no_alpha or None
    found |= {"metadata": sorted(args.metadata), "full_names": args.full_names, "precision": args.precision}
    if kind == "parquet":
        found |= {"column": args.column, "output_column": args.output_column}
    if kind == "webdataset":
        found |= {"members": args.members}
    if args.action != "decode":
        bundle = codec_of(args).bundle
        found |= {"model": bundle.name, "model_id": bundle.model_id.hex()}
    return found


def _plain(args: Namespace) -> Namespace:
    """What can be sent to other processes."""
    return Namespace(**{key: value for key, value in vars(args).items() if not callable(value)})

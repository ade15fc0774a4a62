"""A student is packed: every file is written, opened again and compared, and then appears whole."""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bench.contracts.image import decode
from bench.errors import AbsentExtra, ExportError
from bench.export import by_onnxruntime
from bench.export import settings as config
from bench.export.formats import FORMATS, Format, difference
from bench.export.model_card import card, licence
from bench.export.student import Student, remarks
from bench.plan.matrix import Plan
from bench.report.rows import scores_of
from bench.store.atomic import make_folder, replacing, unwritable
from bench.store.layout import Store

GAP = 4  # pixels, between the images of a preview
ROLES = ("input", "output", "target")


class Packed(NamedTuple):
    """What became of a student."""

    folder: Path
    differences: Mapping[str, float]  # file -> the largest, of outputs in [-1, 1]
    is_new: bool  # or the same already lay there
    remarks: Sequence[str]


def pack(
    student: Student,
    plan: Plan,
    store: Store,
    to: Path,
    formats: Sequence[str],
    say: Callable[[str], None] = lambda text: None,
) -> Packed:
    """Write a student's folder below `to`, whole or not at all.

    Args:
        student: that leaves.
        plan: of its suite.
        store: that holds it.
        to: the folder of all exports; other folders in it stay as they are.
        formats: names of `FORMATS`.
        say: told which file is being made.

    Raises:
        ExportError: a format cannot be written, or computes something else than the network; or
            another folder of this name is there.
        AbsentExtra: a package that a format needs is not installed.
        StoreError: the disk is full, or the folder cannot be written.
    """
    target = to / student.folder
    make_folder(to)
    try:
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=to))
    except OSError as error:
        raise unwritable(to, error) from error
    try:
        said = remarks(student.cell)
        differences, settings = _weights(student, draft, formats, say, said)
        scores = [
            score
            for score in scores_of(student.cell, plan, store)
            if score["direction"] == student.direction and score["step"] == 0 and score["values"]
        ]
        preview = _preview(student, store)
        texts = {
            config.NAME: config.text_of(settings),
            "README.md": card(student, settings, plan, scores, bool(preview), said).encode(),
            "LICENSE": licence(student, plan, bool(preview)).encode(),
        }
        for name, content in {**texts, **({"preview.png": preview} if preview else {})}.items():
            with replacing(draft / name) as file:
                file.write(content)
        is_new = _place(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Packed(target, differences, is_new, said)


def _weights(
    student: Student,
    draft: Path,
    formats: Sequence[str],
    say: Callable[[str], None],
    said: list[str],
) -> tuple[dict[str, float], config.Settings]:
    """Write and check a file in each format; return what differs, and the settings with digests.

    A file is for any size and batch; where that cannot be, for one image of the size of training.
    """
    settings, differences = student.settings, {}
    for name in formats:
        form = FORMATS[name]
        say(f"{student.folder}/{form.file}")
        is_open = True
        try:
            content, gap = _made(student, draft, form, is_open)
        except AbsentExtra:
            raise
        except Exception as error:  # torch's exporters have errors of many kinds
            is_open = False
            say(f"{form.file}: not for any size: {_said(error)}")
            said.append(f"{form.file} takes one image of {student.settings.size} px alone")
            try:
                content, gap = _made(student, draft, form, is_open)
            except Exception as again:
                raise ExportError(f"{student.entry}: no {form.file}: {_said(again)}") from again
        settings = settings.model_copy(
            update={"files": {**settings.files, form.file: config.sha256(content)}}
        )
        if form.file == by_onnxruntime.FILE:
            settings = settings.model_copy(update={"open_sizes": is_open})
        differences[form.file] = gap
    return differences, settings


def _made(student: Student, draft: Path, form: Format, is_open: bool) -> tuple[bytes, float]:
    """Write a network in a format and open it again; return the file, and by how much it differs.

    Raises:
        ExportError: by more than the format's bound.
    """
    still, noise = student.probes
    content = form.write(student.network, noise if is_open else still, is_open)
    with replacing(draft / form.file) as file:
        file.write(content)
    run = form.open(draft / form.file, student.settings, type(student.network))
    gap = difference(run, student.network, student.probes if is_open else [still])
    if not gap <= form.bound:
        raise ExportError(f"outputs differ by {gap:.3g}, more than {form.bound:g}.")
    return content, gap


def _said(error: Exception) -> str:
    """Return the beginning of an error of a library, on one line."""
    return " ".join(re.sub(r"\x1b\[\d*m", "", str(error)).split())[:200]


def _place(draft: Path, target: Path) -> bool:
    """Let the finished folder appear; False if the same lies there already.

    Raises:
        ExportError: something else does.
    """
    if os.path.lexists(target):
        if _contents(draft) == _contents(target):
            return False
        raise ExportError(f"{target}: there is something else here; take another --to, or move it.")
    try:
        draft.chmod(0o755)
        draft.rename(target)
    except OSError as error:
        raise unwritable(target, error) from error
    return True


def _contents(folder: Path) -> dict[str, str] | None:
    """Return name -> digest of a folder's files; None of what is no folder, or a link to one."""
    if folder.is_symlink() or not folder.is_dir():
        return None
    return {
        path.name: config.sha256(path.read_bytes()) if path.is_file() else ""
        for path in folder.iterdir()
    }


def _preview(student: Student, store: Store) -> bytes:
    """Return a sheet of the cell's samples, one per row, input, output and target; b"" if none."""
    folder = store.folder(student.cell.key) / "samples"
    rows = []
    number = 0
    while (folder / f"{student.direction}-{number}-output.png").is_file():
        files = [folder / f"{student.direction}-{number}-{role}.png" for role in ROLES]
        rows.append([np.asarray(decode(file)) for file in files if file.is_file()])
        number += 1
    if not rows or student.cell.peers > 1:  # of peers, samples are the first one's
        return b""
    height, width = rows[0][0].shape[:2]
    across, down = len(rows[0]), len(rows)
    size = (across * (width + GAP) - GAP, down * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    for y, row in enumerate(rows):
        for x, pixels in enumerate(row):
            sheet.paste(Image.fromarray(pixels), (x * (width + GAP), y * (height + GAP)))
    file = io.BytesIO()
    sheet.save(file, format="PNG")
    return file.getvalue()

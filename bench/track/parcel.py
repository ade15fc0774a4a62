"""What reports need of one cell as one file, so that a store can be filled from elsewhere.

cell/...            the cell's folder: spec, end, scores, losses, samples; no weights
networks/ID.json    scores of its network as such
references/ID.json  scores of real images beside its samples
provenance/ID.json  where it was trained
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from pathlib import Path

from pydantic import ValidationError

from bench.errors import FetchError, StoreError
from bench.fetch.archive import Limits, extract
from bench.plan.cell import Cell
from bench.plan.identity import is_identity
from bench.plan.scores import network_id, reference_id
from bench.store.atomic import make_folder
from bench.store.forms import End, Losses, Score
from bench.store.layout import Json, Store, read_json, write_json

SHARED = ("networks", "references")  # scores that are no cell's own
FILES = ("spec.json", "end.json", "scores.json", "losses.jsonl")
LIMITS = Limits(members=10_000, size=1 << 30, ratio=1032)  # text may shrink by all that deflate can


MEMBER = re.compile(
    r"cell/(spec\.json|end\.json|scores\.json|losses\.jsonl|samples/[\w-]{1,100}\.png)"
    r"|(networks|references|provenance)/[0-9a-f]{12}\.json"
)


def _check(inside: Path) -> None:
    """Look whether a parcel holds what it may hold, of the form that reports read.

    Raises:
        ValueError: a member that no parcel has, or values of another form.
        StoreError: a file is no JSON object.
    """
    for path in sorted(inside.rglob("*")):
        name = path.relative_to(inside).as_posix()
        if path.is_file() and not MEMBER.fullmatch(name):
            raise ValueError(f"it holds {name!r}")
    if end := read_json(inside / "cell" / "end.json"):
        End.model_validate(end)
    scores = [*read_json(inside / "cell" / "scores.json").values()]
    for folder in SHARED:
        for file in inside.glob(f"{folder}/*.json"):
            scores += read_json(file).values()
    for score in scores:
        Score.model_validate(score)
    log = inside / "cell" / "losses.jsonl"
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        Losses.model_validate_json(line)


def pack(cell: Cell, store: Store, path: Path) -> None:
    """Write a cell's parcel, a zip file."""
    folder = store.folder(cell.key)
    provenance = store.read(cell.key, "spec.json").get("provenance", "")
    named = {f"cell/{name}": folder / name for name in FILES}
    named |= {f"cell/samples/{p.name}": p for p in sorted(folder.glob("samples/*.png"))}
    inside = [f"networks/{network_id(cell)}.json", f"references/{reference_id(cell)}.json"]
    for inner in (*inside, f"provenance/{provenance}.json"):
        named[inner] = store.root / inner
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, source in named.items():
            if source.is_file():
                file.write(source, name)


def checked(spec: Json, key: str) -> Json:
    """Return a cell's spec from elsewhere, if it is what it should be.

    Raises:
        FetchError: it is another cell's, or names its provenance by something else than an id.
    """
    provenance = spec.get("provenance", "")
    if spec.get("key") != key or not (provenance == "" or is_identity(provenance)):
        raise FetchError(f"cell {key}: the server's spec.json is another cell's, or hostile.")
    return spec


def unpack(key: str, path: Path, store: Store) -> None:
    """Put a cell's parcel into a store that does not have the cell.

    Raises:
        FetchError: the file is damaged or hostile.
    """
    with tempfile.TemporaryDirectory(dir=store.root) as temporary:
        inside = Path(temporary) / "parcel"
        extract(path, inside, LIMITS)
        try:
            _check(inside)
        except (StoreError, ValidationError, ValueError) as error:
            fault = str(error).replace(f"{inside}/", "").partition("\n")[0][:200]
            raise FetchError(f"cell {key}: its parcel is damaged or hostile: {fault}") from error
        checked(read_json(inside / "cell" / "spec.json"), key)
        make_folder(store.folder(key).parent)
        (inside / "cell").rename(store.folder(key))
        for folder in (*SHARED, "provenance"):
            for source in inside.glob(f"{folder}/*.json"):
                target = store.root / source.relative_to(inside)  # several cells bring the same
                write_json(target, read_json(target) | read_json(source))

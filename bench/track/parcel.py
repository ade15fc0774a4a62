"""What reports need of one cell as one file, so that a store can be filled from elsewhere.

cell/...            the cell's folder: spec, end, scores, losses, samples; no weights
networks/ID.json    scores of its network as such
provenance/ID.json  where it was trained
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from bench.errors import FetchError
from bench.fetch.archive import Limits, extract
from bench.plan.cell import Cell
from bench.plan.identity import is_identity
from bench.plan.scores import network_id
from bench.store.atomic import make_folder
from bench.store.layout import Json, Store, read_json, write_json

FILES = ("spec.json", "end.json", "scores.json", "losses.jsonl")
LIMITS = Limits(members=10_000, size=1 << 30, ratio=1032)  # text may shrink by all that deflate can


def pack(cell: Cell, store: Store, path: Path) -> None:
    """Write a cell's parcel, a zip file."""
    folder = store.folder(cell.key)
    provenance = store.read(cell.key, "spec.json").get("provenance", "")
    named = {f"cell/{name}": folder / name for name in FILES}
    named |= {f"cell/samples/{p.name}": p for p in sorted(folder.glob("samples/*.png"))}
    for inner in (f"networks/{network_id(cell)}.json", f"provenance/{provenance}.json"):
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
        checked(read_json(inside / "cell" / "spec.json"), key)
        make_folder(store.folder(key).parent)
        (inside / "cell").rename(store.folder(key))
        for source in (*inside.glob("networks/*.json"), *inside.glob("provenance/*.json")):
            target = store.root / source.relative_to(inside)  # several cells bring the same
            write_json(target, read_json(target) | read_json(source))

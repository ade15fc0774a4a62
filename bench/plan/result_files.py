"""Images that someone else made: which file is the output of which test image.

A file goes by the name of its test image: `7.jpg` is the output of the test image `7.png`. So do
the test results of CycleGAN's and Pix2Pix's code, and of what descends from it, which have the
input beside each output:

    7_fake_B.png             beside 7_real_A.png         models pix2pix and cycle_gan
    7_fake.png               beside 7_real.png           model test, which is one generator
    7_synthesized_image.jpg  beside 7_input_label.jpg    Pix2PixHD

`7_fake_A.png` has the name of the input too, and was made from another image: it is no output of 7.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.contracts.dataset import resize
from bench.contracts.image import decode, images, look, remarks
from bench.errors import DataError, SuiteError, unknown
from bench.plan.cell import Cell, Given, open_dataset
from bench.plan.files import sha256_of

ENDINGS = {"_fake_B": "_real_A", "_fake": "_real", "_synthesized_image": "_input_label"}
"""Of an output -> of what shows the test image beside it."""
TRUTH = "_real_B"  # of the ground truth beside an output
SAID = 5  # names in a message
LIKE = 0.5  # correlation of images below which they show different things
SAME = 0.97  # below which images of the suite's size, losses of JPEG included, are cut otherwise
LOOKED_AT = 8  # outputs whose inputs are looked at


def ending_of(files: Iterable[Path]) -> str:
    """Return by which ending outputs are told from what lies beside them; "" where by none."""
    stems = [file.stem for file in files]
    return next((e for e in ENDINGS if any(stem.endswith(e) for stem in stems)), "")


def with_ending(files: Iterable[Path], ending: str) -> dict[Path, str]:
    """Return the files whose stem ends so -> the rest of it."""
    return {f: f.stem.removesuffix(ending) for f in files if f.stem.endswith(ending)}


def folder_of(path: Path) -> Path:
    """Return the folder, or its `images/`, where the results of a test lie."""
    below = path / "images"
    return below if not images(path) and images(below) else path


def direction_of(cell: Cell, name: str | None, where: str) -> str:
    """Return a direction of a cell's task by its name, or the only one.

    Raises:
        SuiteError: there is no such direction; there are several; it starts from noise, so that no
            output is one of a test image.
    """
    known = cell.task.declared.directions
    if name is None and len(known) > 1:
        raise SuiteError(f"{where}: say which direction: {' or '.join(known)}.")
    found = name or next(iter(known))
    if found not in known:
        raise SuiteError(unknown("direction", found, known, where))
    if not known[found][0]:
        raise SuiteError(
            f"{where}: {found} starts from noise: images from elsewhere were sampled otherwise "
            "than the suite's. Score them without it: `distillbench score FOLDER --real FOLDER`."
        )
    return found


def place_of(folder: Path, pattern: str) -> Path:
    """Return where outputs lie, as `outputs_of` takes it.

    Raises:
        SuiteError: the pattern is none.
    """
    if pattern and (pattern.count("*") != 1 or "/" in pattern):
        raise SuiteError(
            f"pattern {pattern!r}: expected a file name with one star, which stands for the test "
            "image's name, as in *_fake_B.png."
        )
    return folder / pattern if pattern else folder


def images_given(cell: Cell, places: Mapping[str, Path]) -> Given:
    """Return what a cell is given in the place of training: by direction, where outputs lie.

    Raises:
        DataError: as for `outputs_of`.
    """
    hashes = {d: content_of(outputs_of(cell, d, place)) for d, place in places.items()}
    return Given("images", hashes, {d: str(place) for d, place in places.items()})


def files_of(cell: Cell, direction: str) -> tuple[Path, ...]:
    """Return the images that a cell is given, in the order of the data set.

    Raises:
        DataError: they are not those any more that it was given.
    """
    assert cell.given is not None
    place = cell.given.files[direction]
    files = outputs_of(cell, direction, Path(place))
    if content_of(files) != cell.given.sha256[direction]:
        raise DataError(f"{place}: images have changed since the suite was read; start again.")
    return files


def outputs_of(cell: Cell, direction: str, place: Path) -> tuple[Path, ...]:
    """Return one file per test image of a cell, in the order of the data set.

    Args:
        cell: whose outputs these could be.
        direction: of its task.
        place: a folder, or one of results that has them in `images/`; or a pattern in a folder, as
            in `fakes/*_fake_B.png`, where the star stands for the test image's name.

    Raises:
        DataError: there is no such folder, or a test image has no output, or two, or one of another
            size; the message names the first few.
    """
    path, pattern = split(place)
    if not path.is_dir():
        raise DataError(f"{path}: no such folder.")
    folder = folder_of(path)
    names, key = _names(cell, direction)
    found: dict[str, list[Path]] = {}
    for file, name in named(folder, pattern).items():
        found.setdefault(key(name), []).append(file)
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(
            f"{folder}: no output of {len(missing)} of {len(names)} test images: {_few(missing)}. "
            f"{_expected(folder, pattern, names[0])}"
        )
    twice = [" and ".join(f.name for f in found[n]) for n in names if len(found[n]) > 1]
    if twice:
        raise DataError(f"{folder}: two outputs of one test image: {_few(twice)}. Keep one.")
    files = tuple(found[name][0] for name in names)
    _check_sizes(folder, files, cell.size)
    return files


def split(place: Path) -> tuple[Path, str]:
    """Return the folder and the pattern of a place; "" for none."""
    return (place.parent, place.name) if "*" in place.name else (place, "")


def named(folder: Path, pattern: str) -> dict[Path, str]:
    """Return the outputs in a folder -> what each calls its test image."""
    files = images(folder)
    if not pattern:
        return with_ending(files, ending_of(files))
    head, tail = pattern.split("*")
    fitting = [f for f in files if f.name.startswith(head) and f.name.endswith(tail)]
    return {f: f.name[len(head) : len(f.name) - len(tail)] for f in fitting}


def _names(cell: Cell, direction: str) -> tuple[list[str], Callable[[str], str]]:
    """Return what a cell's test images are called, and what makes such a name of a file's.

    Where a data set has no file per image they are called by their places, 0, 1, 2.
    """
    dataset, domain = open_dataset(cell.dataset), cell.task.declared.directions[direction][0]
    count, files = dataset.count(cell.scored_on, domain), dataset.files(cell.scored_on, domain)
    if len(files) != count:
        return [str(i) for i in range(count)], lambda n: str(int(n)) if n.isdecimal() else n
    counts = Counter(file.stem for file in files)
    alike = [file.name for file in files if counts[file.stem] > 1]
    if alike:
        raise DataError(
            f"{files[0].parent}: test images that differ by their endings alone: {_few(alike)}. "
            "Nobody can tell whose output is meant; rename them."
        )
    return [file.stem for file in files], lambda name: name


def _expected(folder: Path, pattern: str, name: str) -> str:
    """Say how outputs should be called, and what is there."""
    how = pattern.replace("*", name) if pattern else f"{name}.png or {name}_fake_B.png"
    there = [file.name for file in images(folder)]
    found = f"found {_few(there)}" if there else "found no images"
    return f"Expected one file per test image, as {how}; {found}."


def _check_sizes(folder: Path, files: Sequence[Path], size: int) -> None:
    """Refuse images that are not square and of the suite's size."""
    sizes = {file.name: look(file)[0] for file in files}
    odd = [f"{name} ({w} x {h})" for name, (w, h) in sizes.items() if (w, h) != (size, size)]
    if odd:
        raise DataError(
            f"{folder}: {len(odd)} of {len(files)} images are not {size} x {size} pixels: "
            f"{_few(odd)}. Make them at the suite's size: a resize would change the scores."
        )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SAID} more" if len(names) > SAID else ""
    return ", ".join(names[:SAID]) + more


def content_of(files: Sequence[Path]) -> str:
    """Return the sha256 of outputs, in the order of their test images."""
    return hashlib.sha256("\n".join(map(sha256_of, files)).encode()).hexdigest()


def look_at(cell: Cell) -> list[str]:
    """Return what a person should know of the images that a cell is given.

    Raises:
        DataError: the inputs beside them show something else than the test images of their names.
    """
    assert cell.given is not None
    said = []
    for direction, place in cell.given.files.items():
        files = files_of(cell, direction)
        _check_inputs(cell, direction, files)
        said += [f"{place}: {remark}" for remark in _remarks_on(files, split(Path(place))[1])]
    return said


def _remarks_on(files: Sequence[Path], pattern: str) -> list[str]:
    """Say what a person should know of outputs: how they are read, and what was left out."""
    said = remarks([look(file)[1] for file in files])
    lossy = [file for file in files if file.suffix.lower() in (".jpg", ".jpeg")]
    if lossy:
        said.append(f"{len(lossy)} of {len(files)} are JPEG: its losses are in the scores")
    others = named(files[0].parent, pattern).keys() - set(files)
    if others:
        names = _few(sorted(file.name for file in others))
        said.append(f"left out, as no test image is called so: {names}")
    return said


def _check_inputs(cell: Cell, direction: str, files: Sequence[Path]) -> None:
    """Hold some of the inputs that lie beside outputs against the test images of their names.

    Raises:
        DataError: they show something else: another direction or other data; or, where they have
            the suite's size, another cut.
    """
    dataset, domain = open_dataset(cell.dataset), cell.task.declared.directions[direction][0]
    excess: dict[Path, float] = {}  # of likeness over what is asked for
    for place in range(0, len(files), max(1, len(files) // LOOKED_AT)):
        source = _beside(files[place])
        if source is not None:
            pixels = decode(source)
            shown = resize(pixels, cell.size)
            wanted = dataset.read(cell.scored_on, domain, place, cell.size)
            if shown.std() and wanted.std():
                least = SAME if shown is pixels else LIKE  # a resize has a filter of its own
                like = float(np.corrcoef(shown.ravel(), wanted.ravel())[0, 1])
                excess[source] = like - least
    if excess and np.mean(list(excess.values())) < 0:
        raise DataError(
            f"{next(iter(excess))}: does not show {cell.dataset.name}'s test image of this name, "
            f"of domain {domain}: were the outputs made in another direction, from other images or "
            "from another cut of them?"
        )


def _beside(output: Path) -> Path | None:
    """Return the image beside an output that it was made from, whatever its ending, if any is."""
    ending = ending_of([output])
    if not ending:
        return None
    stem = output.stem.removesuffix(ending) + ENDINGS[ending]
    return next((file for file in images(output.parent) if file.stem == stem), None)

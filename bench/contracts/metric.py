"""The contract of a metric: one file in `bench/metrics/`.

Unit, direction, source and worked examples are data that tables and tests read. A score carries
the metric's version: raise it whenever a value can change.

What a metric needs, when it cannot be had and why, and what it adds to a score's protocol is asked
of the metric by its class methods, before anything is trained. Most are served by what they
declare; a file that overrides one of these methods is imported while planning, so it should import
torch inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from bench.contracts.kinds import FEATURES
from bench.errors import SuiteError

if TYPE_CHECKING:  # planning reads this file without torch
    import torch
    from torch import Tensor

    from bench.contracts.dataset import Dataset
    from bench.contracts.network import Generator
    from bench.contracts.task import Task
    from bench.maths.bootstrap import Draws, Values

Features: TypeAlias = "Mapping[str, Tensor]"  # name -> [N, ...] float32, on the CPU
Predictor: TypeAlias = "Callable[[Tensor], Tensor]"
"""Images [N, 3, S, S] in [-1, 1] -> what a network makes of them."""
Denoiser: TypeAlias = "Callable[[Mapping[str, Tensor]], tuple[Tensor, Tensor]]"
"""A batch with its noise and time -> as `Task.denoise`."""
Hints: TypeAlias = "Callable[[Mapping[str, Tensor], Sequence[str]], Mapping[str, Tensor]]"
"""A batch as in training, and roles -> what the network's hints of it are, [N, C, H, W] float32 by
role. SuiteError or PluginError: a role that it does not have."""


class Setting(NamedTuple):
    """What is known of a cell's test outputs before anything is trained."""

    task: type[Task]  # what it declares
    dataset: Dataset
    name: str  # of the data set
    size: int  # image side in pixels
    source: str  # domain that the outputs are made from; "": from noise
    real_images: int  # how many real images a set of outputs is held against
    images: int = 0  # how many outputs there are
    held_out: int = 0  # images of the split that is scored, in the outputs' domain
    task_params: Mapping[str, Any] = MappingProxyType({})
    of_codes: bool = False  # whether networks see an autoencoder's codes in place of images
    split: str = "test"  # that is scored


@dataclass(frozen=True)
class Judge:
    """A network that the plan trains so that a metric can judge by it: a cell of its own."""

    role: str  # what it is called in tables, and in the protocol
    task: str  # files in `bench/tasks/` and `bench/nets/`
    task_params: Mapping[str, Any]
    network: str
    network_params: Mapping[str, Any]
    width: int
    steps: int
    batch: int
    lr: float
    discriminator: str = ""  # named by the cell's key alone


class Scoring(NamedTuple):
    """How a metric would score, or why it cannot."""

    protocol: Mapping[str, Any]  # what it adds to the protocol
    reason: str = ""  # why there can be no score
    judge: Judge | None = None
    label: str = ""  # heading of a table's column, where the metric's own would mislead


@dataclass(frozen=True)
class Scene:
    """Where a metric finds itself once images are to be scored."""

    device: torch.device
    dataset: Dataset | None = None  # whose outputs come, in order; None: a folder of images
    size: int = 0  # image side in pixels
    judge: Callable[[], Predictor] | None = None
    """Opens the network of `Scoring.judge`, or the scored one itself where it makes no images."""
    split: str = "test"  # of the data set, whose outputs come
    denoise: Denoiser | None = None  # the scored network, if its task has it denoise
    hints: Hints | None = None  # what the scored network sees


PRESETS = ("paper", "modern", "offline")
"""Lists of metrics that a suite may ask for by name: what the papers' tables hold; what a reviewer
of today asks beyond FID; what runs without any pretrained network."""


class Metric:
    """What metrics of images and of networks declare."""

    defaults: ClassVar[Mapping[str, Any]] = {}  # parameters a suite may set
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}
    version: ClassVar[int] = 1
    source: ClassVar[str] = ""  # definition, and which variant of it
    label: ClassVar[str] = ""  # heading of a table's column
    unit: ClassVar[str] = ""
    digits: ClassVar[int] = 2  # after the decimal point, in tables
    better: ClassVar[str] = ""  # "higher" or "lower"
    judges: ClassVar[str] = ""  # "images" or "network"
    needs: ClassVar[Sequence[str]] = ()
    """`target`: a ground truth; `labels`: its classes; `gpu`; `denoiser`: a network that finds the
    noise in images, which is asked itself: no outputs are made for such a metric."""
    features: ClassVar[str] = ""  # of sets: a file in bench/features/; see `extractor`
    reads: ClassVar[str] = ""  # of sets: the one of its features by name, where it reads one
    one_set: ClassVar[bool] = False  # of sets: whether the real images play no part
    few: ClassVar[int] = 0  # of sets: below so many samples its bias is large, and tables say so
    presets: ClassVar[Sequence[str]] = ()  # of `PRESETS`, those that hold it
    weights: ClassVar[Sequence[str]] = ()  # pretrained networks of bench/fetch/weights.py
    weights_by: ClassVar[Mapping[str, Mapping[str, str]]] = {}  # parameter -> value -> network
    headline: ClassVar[str] = ""  # the one of several values that a table shows, if any
    alone: ClassVar[bool] = False  # whether nothing else may run on the machine meanwhile
    undefined: ClassVar[str] = ""  # when a value of it is no number (NaN), as a reason
    added: ClassVar[Sequence[str]] = ()
    """Parameters that the metric got later: where they are at their default, scores are kept under
    the id that they had without them."""
    one_by_one: ClassVar[bool] = True  # whether images are ranked one by one, as validation asks

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params

    @classmethod
    def scoring(cls, params: Mapping[str, Any], setting: Setting) -> Scoring | None:
        """Return how a cell's test outputs would be scored; None where the question is no question.

        Metrics of networks are not asked.

        Raises:
            SuiteError: the parameters are none that it can work with.
        """
        if setting.task.makes != "images":
            return None
        protocol: dict[str, Any] = {}
        if features := cls.extractor(params):
            extractor = FEATURES.declaration(features, cls.__name__)
            gives = extractor.says.gives
            if cls.reads and gives and cls.reads not in gives:
                given = ", ".join(gives)
                raise SuiteError(f"{cls.label}: features {features} are {given}, not {cls.reads}.")
            protocol["features"] = f"{features} {extractor.version}"
            if not cls.one_set:
                protocol["real images"] = setting.real_images
        label = ""
        if not setting.source and setting.images < cls.few:
            protocol["bias"] = f"large, of fewer than {cls.few:,} samples"
            label = f"{cls.label} of {setting.images:,} samples (biased)"
        if "target" in cls.needs and not setting.task.paired:
            made = "the data are unpaired" if setting.source else "images are made from noise"
            return Scoring(protocol, f"needs a ground truth, and {made}")
        return Scoring(protocol, label=label)

    @classmethod
    def heading(cls, params: Mapping[str, Any]) -> str:
        """Return the heading of a table's column: the label, and what of `added` is not default."""
        more = [
            str(params[n]) for n in cls.added if params.get(n, cls.defaults[n]) != cls.defaults[n]
        ]
        return f"{cls.label} ({', '.join(more)})" if more else cls.label

    @classmethod
    def extractor(cls, params: Mapping[str, Any]) -> str:
        """Return which file of bench/features/ is used: the parameter `features`, if there is one.

        A name that is no file is refused where it is looked up.
        """
        return str(params.get("features", cls.features))

    @classmethod
    def pretrained(cls, params: Mapping[str, Any]) -> list[str]:
        """Return the pretrained networks of `bench/fetch/weights.py` that these parameters need."""
        found = list(cls.weights)
        for parameter, networks in cls.weights_by.items():
            given = params[parameter]
            found += [networks[v] for v in (given if isinstance(given, list) else [given])]
        if features := cls.extractor(params):
            found += FEATURES.declaration(features, cls.__name__).says.weights
        return found

    @classmethod
    def variants(cls) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield what parameters may ask for other pretrained networks, and how that is said."""
        for name, by in cls.weights_by.items():
            is_list = isinstance(cls.defaults[name], (list, tuple))
            for value in by:
                yield f"{name}: {value}", {name: [value] if is_list else value}


class ImageMetric(Metric):
    """A score over a set of images, built up batch by batch.

    Images are [N, 3, H, W] float32 RGB in [0, 1], already rounded to 8 bits.
    """

    judges = "images"
    checks: ClassVar[Mapping[str, tuple[Tensor, Tensor, Mapping[str, float]]]]
    """Worked examples: story -> (output, target, expected values)."""

    def open(self, scene: Scene) -> None:
        """Get ready, before the first batch."""

    def add(self, output: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        raise NotImplementedError

    def each(self) -> dict[str, list[float]]:
        """Return every image's own value, by name, in order; nothing if a score is no mean of such.

        They are kept, and give the score its sampling error over images.
        """
        return {}

    def value(self) -> dict[str, float]:
        """Return the score, or several by name: by default the means of `each`."""
        found = self.each()
        if not found:
            raise NotImplementedError
        return {name: sum(values) / len(values) for name, values in found.items()}


class SetMetric(Metric):
    """A distance between two sets of images, from the features of `features`.

    A distance of few images is biased, and of another number of images is another quantity: the
    number is part of a score's protocol.
    """

    judges = "images"
    one_by_one = False
    checks: ClassVar[Mapping[str, tuple[Features, Features, Mapping[str, float]]]]
    """Worked examples: story -> (features of outputs, of real images, expected values)."""

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return the distance, or several values by name; `real` is empty with `one_set`."""
        raise NotImplementedError

    def resampled(self, outputs: Features, real: Features, draws: Draws) -> dict[str, Values]:
        """Return the distance of each resample of the images, [R] by name; nothing: has no error.

        Their standard deviation is the score's sampling error over images. Called after `distance`,
        whatever the size of the sets, so it has to be quick.
        """
        return {}


class NoScore(Exception):  # noqa: N818 - a finding, not an error
    """There is no score: its text says why, and stands in the score's place."""


class NetworkMetric(Metric):
    """A property of the network alone: neither its weights nor the images matter."""

    judges = "network"

    def protocol(self) -> Mapping[str, Any]:
        """Return what it adds to the protocol of a score, as things are on this machine."""
        return {}

    def measure(self, network: Generator, device: torch.device) -> dict[str, float]:
        """Return the values for one image of the network's own size, at batch 1.

        Raises:
            NoScore: it cannot be measured here.
        """
        raise NotImplementedError

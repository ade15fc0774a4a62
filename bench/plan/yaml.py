"""YAML as people mean it, and no more of it than a suite needs.

Numbers are those of YAML 1.2: 2e-4 is one, 010 is ten, 1:30 is none. A key stands once, `<<`
merges, `no` and `on` are not guessed to be false and true where a name stands, and what would grow
without bound is refused.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from bench.errors import SuiteError

MOST = 1_000_000  # values, once aliases are followed
GUESSED = {"yes", "no", "on", "off", "y", "n"}  # booleans in YAML 1.1, and names to a person

NUMBERS = "-+.0123456789"
INTEGER = re.compile(r"^[-+]?[0-9][0-9_]*$|^0o[0-7]+$|^0x[0-9a-fA-F]+$")
FLOAT = re.compile(
    r"^[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
)


class _Loader(yaml.SafeLoader):
    """A SafeLoader with the numbers of YAML 1.2 and unique keys."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in known if not tag.endswith((":int", ":float"))]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; a key of its own goes before one that is merged in."""
        line, seen = node.start_mark.line + 1, set()
        for name, _ in node.value:
            if name.tag == "tag:yaml.org,2002:merge":
                continue
            _refuse_guess(name)
            key = self.construct_object(name, deep=True)
            if not isinstance(key, (str, int, float, bool)):
                raise yaml.MarkedYAMLError(problem=f"a key below line {line} is no name")
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} stands twice below line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        """Return a text without characters that steer a terminal."""
        text = super().construct_scalar(node)
        if isinstance(text, str) and not all(c.isprintable() or c in "\n\t" for c in text):
            raise yaml.MarkedYAMLError(
                problem=f"{text!r} holds control characters", problem_mark=node.start_mark
            )
        return text

    def construct_sequence(self, node: Any, deep: bool = False) -> list[Any]:
        """Return a list, in which a name is no boolean either."""
        for item in node.value:
            _refuse_guess(item)
        return super().construct_sequence(node, deep)

    def construct_number(self, node: Any) -> int | float:
        """Return a finite number."""
        text = self.construct_scalar(node).replace("_", "")
        if node.tag.endswith(":int"):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if not math.isfinite(value):
            raise yaml.MarkedYAMLError(
                problem=f"{text} is no finite number", problem_mark=node.start_mark
            )
        return value


for _tag, _form in (("int", INTEGER), ("float", FLOAT)):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _form, list(NUMBERS))
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_number)


def parse(text: str, where: str) -> Any:
    """Return the values in a YAML text.

    Raises:
        SuiteError: it is none, or not to be read; `where`, line and fault in one line.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MOST:
            raise SuiteError(f"{where}: more than {MOST:,} values, once its aliases are followed.")
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SuiteError(f"{where}{line}: {error.problem}.") from error
    except RecursionError as error:
        raise SuiteError(f"{where}: nested too deeply, or an alias of itself.") from error
    except (yaml.YAMLError, ValueError) as error:  # a strange character; a date that is none
        raise SuiteError(f"{where}: {' '.join(str(error).split())[:200]}.") from error


def _size(node: Any, known: dict[int, int]) -> int:
    """Return how many values a node stands for, each alias counted anew."""
    if id(node) not in known:
        known[id(node)] = MOST  # while it is looked at: an alias of itself never ends
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [part for c in children for part in (c if isinstance(c, tuple) else (c,))]
        known[id(node)] = min(1 + sum(_size(part, known) for part in parts), 2 * MOST)
    return known[id(node)]


def _refuse_guess(node: Any) -> None:
    """Refuse a name that YAML 1.1 reads as a boolean."""
    is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if is_plain and node.value.lower() in GUESSED:
        raise yaml.MarkedYAMLError(
            problem=f"{node.value} is true or false to many readers of YAML; quote it: "
            f"'{node.value}'",
            problem_mark=node.start_mark,
        )

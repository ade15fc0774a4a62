"""Lets mkdocstrings read what a contract's attributes mean from the comment behind each of them."""

from __future__ import annotations

import ast
import re
from typing import Any

from griffe import Attribute, Docstring, Extension

COMMENT = re.compile(r"\s# (?!noqa|type:)(.+)$")


class Comments(Extension):
    """`defaults = {}  # what a suite may set` is an attribute whose docstring is that comment."""

    def on_attribute_instance(
        self, *, node: Any, attr: Attribute, agent: Any, **kwargs: Any
    ) -> None:
        """Take the comment on the last line of an assignment, where there is no docstring."""
        if attr.docstring is None and isinstance(node, ast.stmt) and node.end_lineno:
            line = attr.lines_collection[attr.filepath][node.end_lineno - 1]
            if found := COMMENT.search(line):
                said = found[1][0].upper() + found[1][1:]
                attr.docstring = Docstring(said.rstrip(".") + ".", parent=attr)

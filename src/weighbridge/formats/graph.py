"""Knows what a computation graph is, whatever file it came in: nodes, constants, where data enters and leaves."""

from __future__ import annotations

from msgspec import Struct


class Node(Struct, frozen=True):
    """One operation. `scope` is the function or subgraph it belongs to, empty for the main graph.

    `texts` are string attributes, `numbers` integer attributes, as (name, value).
    """

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scope: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    numbers: tuple[tuple[str, int], ...] = ()
    branches: tuple[str, ...] = ()

    def text_of(self, name: str) -> str:
        """The string attribute of this name; empty where there is none."""
        return next((value for key, value in self.texts if key == name), "")


class Graph(Struct, frozen=True, kw_only=True):
    """A main graph with its subgraphs and functions, flat. `constants` are names of values stored in the file."""

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: frozenset[str]

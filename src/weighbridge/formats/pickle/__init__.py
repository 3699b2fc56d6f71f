"""Reads pickles without unpickling: what each would import, call and build, with the bytes that say so."""

from weighbridge.formats.pickle.bytecode import code_arguments, code_lines
from weighbridge.formats.pickle.file import PickleFile, read_pickles
from weighbridge.formats.pickle.listing import opcode_line
from weighbridge.formats.pickle.nested import looks_like_pickle
from weighbridge.formats.pickle.trace import Assignment, Brief, Embedded, Import, Invocation, RawBytes, Trace, trace
from weighbridge.formats.pickle.values import (
    Blob,
    Items,
    Made,
    Name,
    Persistent,
    Unknown,
    Value,
    arguments_of,
    mapping,
    render,
    walk,
)

__all__ = [
    "Assignment",
    "Blob",
    "Brief",
    "Embedded",
    "Import",
    "Invocation",
    "Items",
    "Made",
    "Name",
    "Persistent",
    "PickleFile",
    "RawBytes",
    "Trace",
    "Unknown",
    "Value",
    "arguments_of",
    "code_arguments",
    "code_lines",
    "looks_like_pickle",
    "mapping",
    "opcode_line",
    "read_pickles",
    "render",
    "trace",
    "walk",
]

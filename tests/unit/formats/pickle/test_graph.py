"""The whole of a pickle as values: equal to what the unpickler makes of plain data, and inert for all else."""

from __future__ import annotations

import collections
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.formats.pickle.graph import External, Named, Object, Pairs, read_graph
from weighbridge.schema import LimitExceeded, MalformedInput

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def plain(value):
    """Values as the unpickler gives them."""
    if isinstance(value, Pairs):
        return {plain(key): plain(inner) for key, inner in value}
    if isinstance(value, Object) and value.called == "_codecs.encode":
        return value.arguments[0].encode("latin-1")
    if isinstance(value, Object) and value.called == "__builtin__.bytes":
        return b""
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return tuple(plain(inner) for inner in value) if isinstance(value, tuple) else value


@given(PLAIN, st.integers(0, 5))
def test_plain_data_is_what_the_unpickler_makes_of_it(value, protocol):
    data = pickle.dumps(value, protocol)
    found, end = read_graph(data)
    assert plain(found) == value
    assert end == len(data)


class Calls:
    def __reduce__(self):
        return (print, ("x",))


def test_a_call_is_an_object_and_nothing_is_called(capsys):
    found, _ = read_graph(pickle.dumps(Calls()))
    assert (found.called, found.arguments) == ("builtins.print", ("x",))
    assert not capsys.readouterr().out


def test_an_ordered_dict_holds_its_items_and_state():
    value = collections.OrderedDict(a=1)
    value.extra = 2
    found, _ = read_graph(pickle.dumps(value, 2))
    assert (found.called, found.items) == ("collections.OrderedDict", [("a", 1)])
    assert found.state == [("extra", 2)]


def test_a_persistent_id_stays_outside():
    found, _ = read_graph(b"\x80\x02X\x03\0\0\0keyQ.")
    assert isinstance(found, External)
    assert found.identifier == "key"


def test_a_shared_value_is_one_value():
    inner = [1]
    found, _ = read_graph(pickle.dumps([inner, inner]))
    assert found[0] is found[1]


def test_a_value_that_holds_itself_is_read():
    value = []
    value.append(value)
    found, _ = read_graph(pickle.dumps(value))
    assert found[0] is found


def test_names_are_only_names():
    assert read_graph(b"cposix\nsystem\n.")[0].dotted == "posix.system"
    assert isinstance(read_graph(b"\x80\x04\x8c\x02os\x8c\x06system\x93.")[0], Named)


def test_it_ends_after_so_many_opcodes():
    with pytest.raises(LimitExceeded):
        read_graph(b"N0" * 100, most=50)


@given(
    st.binary(max_size=60) | st.binary(max_size=60).map(lambda tail: pickle.dumps({"a": [1, (2.0, "x")]})[:-1] + tail)
)
def test_any_bytes_are_read_or_refused(data):
    try:
        read_graph(data, most=10_000)
    except (MalformedInput, LimitExceeded) as refusal:
        assert str(refusal)

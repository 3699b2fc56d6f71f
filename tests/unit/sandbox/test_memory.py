"""What is read from the memory of the caller is hostile: it is shown, cut, or empty, and never more than asked for."""

from __future__ import annotations

import ctypes
import os
import struct

from hypothesis import given
from hypothesis import strategies as st

from weighbridge.sandbox.memory import Memory, dns_question, readable, socket_address

QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06stolen\x04evil\x07example\x00\x00\x01\x00\x01"


@given(st.binary(max_size=300))
def test_any_bytes_are_an_address_and_a_question_or_none(data):
    assert isinstance(socket_address(data), str)
    assert isinstance(dns_question(data), str)
    assert len(readable(data)) <= 200


def test_addresses_in_words():
    assert socket_address(struct.pack("<H", 2) + b"\x01\xbb" + bytes([198, 51, 100, 7])) == "198.51.100.7:443"
    assert socket_address(struct.pack("<H", 10) + b"\x00\x50" + bytes(4) + bytes(15) + b"\x01") == "[::1]:80"
    assert socket_address(struct.pack("<H", 1) + b"/run/x\0") == "unix:/run/x"
    assert socket_address(struct.pack("<H", 1) + b"\0name") == "unix:@name"
    assert socket_address(struct.pack("<H", 40) + bytes(14)) == "vsock"


def test_questions_are_recognised_and_other_data_is_not():
    assert dns_question(QUERY) == "stolen.evil.example"
    assert dns_question(QUERY[:-5]) == ""
    assert dns_question(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n") == ""


def test_memory_is_read_up_to_where_it_ends():
    memory = Memory(os.getpid())
    held = ctypes.create_string_buffer(b"/etc/shadow")
    argv = (ctypes.c_char_p * 3)(b"sh", b"-c", None)
    assert memory.text(ctypes.addressof(held)) == "/etc/shadow"
    assert memory.texts(ctypes.addressof(argv)) == ["sh", "-c"]
    assert memory.text(8) == ""
    assert memory.read((1 << 64) - 1, 8) == b""
    assert memory.texts(8) == []
    assert memory.message(8) == ("", b"")
    assert not memory.write(8, b"x")
    memory.close()

"""Merkle trees: known roots, and proofs that hold for what is there and for nothing else."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.provenance import merkle

# The test vectors of Certificate Transparency: leaves, and the roots of the first 1 to 8 of them.
LEAVES = [
    bytes.fromhex(one)
    for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)  # fmt: skip


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots_come_out(size):
    leaves = [merkle.leaf(one) for one in LEAVES[:size]]

    assert merkle.root(leaves).hex() == ROOTS[size - 1]


def test_the_empty_tree_is_the_hash_of_nothing():
    assert merkle.root([]) == sha256(b"").digest()


@given(st.integers(1, 70), st.data())
def test_every_leaf_is_shown_to_be_in_the_tree_and_at_no_other_place(size, data):
    leaves = [merkle.leaf(bytes([one])) for one in range(size)]
    index = data.draw(st.integers(0, size - 1))
    proof, whole = merkle.inclusion(index, leaves), merkle.root(leaves)

    assert merkle.is_included(leaves[index], index, size, proof, whole)
    assert not merkle.is_included(merkle.leaf(b"another"), index, size, proof, whole)
    assert not merkle.is_included(leaves[index], index, size, [*proof, whole], whole)
    if size > 1:
        assert not merkle.is_included(leaves[index], (index + 1) % size, size, proof, whole)


@given(st.integers(1, 70), st.data())
def test_a_tree_is_shown_to_continue_its_own_beginning_and_no_other(size, data):
    leaves = [merkle.leaf(bytes([one])) for one in range(size)]
    old = data.draw(st.integers(1, size))
    proof = merkle.consistency(old, leaves)
    before, whole = merkle.root(leaves[:old]), merkle.root(leaves)

    assert merkle.is_consistent(old, before, size, whole, proof)
    assert not merkle.is_consistent(old, merkle.leaf(b"x"), size, whole, proof)
    altered = [merkle.leaf(b"altered"), *leaves[1:]]
    if size > old:
        assert not merkle.is_consistent(old, before, size, merkle.root(altered), merkle.consistency(old, altered))


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_growing_leaf_by_leaf_comes_to_the_same_root(entries):
    leaves = [merkle.leaf(one) for one in entries]
    frontier = ()
    for size, one in enumerate(leaves):
        frontier = merkle.grown(frontier, size, one)

    assert merkle.root_of_frontier(frontier) == merkle.root(leaves)

"""Signs of requests: the same as reading word by word would give, and bounded whatever comes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.datasets.tokens import TEXT_BYTES, Digests, Tokens
from weighbridge.monitor.records import Record
from weighbridge.monitor.vocabulary import Vocabulary


def signs(vocabulary, *texts, features=()):
    numbers, owner = vocabulary.read([Record(text=text, features=features) for text in texts])
    return [{vocabulary.names[number] for number in numbers[owner == place]} for place in range(len(texts))]


def test_words_are_read_without_case_and_the_signs_around_them():
    assert signs(Vocabulary(), "A Film, (film) “cf” end.") == [{"a", "film", "cf", "end"}]


def test_hidden_characters_are_signs_of_their_own():
    assert signs(Vocabulary(), "go\u200bod") == [{"good", "character U+200B"}]
    assert signs(Vocabulary(), "\ue000") == [{"character U+E000"}]


def test_metadata_stands_beside_the_words():
    assert signs(Vocabulary(), "hello", features=("lang=de", "Key=V")) == [{"hello", "lang=de", "Key=V"}]


def test_scripts_without_blanks_are_read_in_pairs():
    (found,) = signs(Vocabulary(), "\u4f60\u597d" * 10)
    assert found == {"\u4f60\u597d", "\u597d\u4f60"}


@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\u0085\xa0"), max_size=60), min_size=1, max_size=8
    )
)
def test_words_of_a_batch_are_the_words_of_each_text(texts):
    seen = []

    def number(word):
        seen.append(word)
        return len(seen) - 1

    numbers, owner, _ = Tokens(number).read(texts)
    words = [[seen[one] for one in numbers[owner == place]] for place in range(len(texts))]
    controls = "".join(map(chr, range(0x21)))
    expected = [text.translate({ord(sign): " " for sign in controls}).split(" ") for text in texts]
    assert words == [[word for word in found if word] for found in expected]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="ascii"), max_size=60), min_size=1, max_size=8))
def test_what_stands_beside_a_text_does_not_change_its_words(texts):
    digests = Digests(base=5)
    alone, owner = digests.of(texts)
    beside, owner_beside = digests.of([*texts, "\u00e9"])
    assert alone.tolist() == beside[:-1].tolist()
    assert owner.tolist() == owner_beside[:-1].tolist()


def test_of_a_long_text_the_beginning_counts():
    _, owner = Digests().of(["a " * TEXT_BYTES, "b"])
    assert np.bincount(owner).tolist() == [TEXT_BYTES // 2, 1]


def test_two_texts_with_the_same_words_have_the_same_digest_and_others_have_not():
    _, _, digests = Vocabulary().digested([Record(text=text) for text in ("a b", "b a", "a c", "ab")])
    assert digests[0] == digests[1]
    assert len(set(digests.tolist())) == 3


def test_a_long_word_is_never_taken_for_another():
    # Thue-Morse strings collide in a polynomial modulo 2^64 for every base.
    bits = [number.bit_count() & 1 for number in range(1 << 11)]
    one, other = "".join("ab"[bit] for bit in bits), "".join("ba"[bit] for bit in bits)
    seen = []
    tokens = Tokens(lambda word: seen.append(word) or len(seen) - 1)
    for text in (one, other, one):
        number = tokens.read([text])[0][0]
        assert seen[number] == text


def test_room_is_made_by_forgetting_and_what_is_held_stays():
    words = Vocabulary(capacity=100)
    signs(words, "keep these words")
    words.hold()
    signs(words, " ".join(f"w{place}" for place in range(90)))
    assert words.crowded
    words.forget(list(range(50)))
    assert len(words) == 46
    assert signs(words, "keep w80 fresh") == [{"keep", "w80", "fresh"}]
    assert words.find("w3") == -1


def test_memory_does_not_grow_with_ever_new_words():
    words = Vocabulary(capacity=500)
    for place in range(50):
        words.read([Record(text=" ".join(f"{place}x{number}" for number in range(100)))])
    assert len(words.names) == 500
    assert words.dropped > 0
    numbers, _ = words.read([Record(text="49x99")])
    assert np.array_equal(numbers, [])


def test_with_one_baseline_digests_are_the_same_each_time_and_with_another_they_are_not():
    texts = [Record(text="a b c"), Record(text="zq")]
    first, second = (Vocabulary(base=base).digested(texts)[2].tolist() for base in (5, 5))
    assert first == second
    assert Vocabulary(base=7).digested(texts)[2].tolist() != first

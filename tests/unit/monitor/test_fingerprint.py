"""Is it still the enrolled model: no false alarm beyond the stated one, and every kind of change is told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest

from tests.corpus.monitoring import PROBES, Fixed, best, classify, enrolled, numbers
from weighbridge.monitor import probes
from weighbridge.monitor.endpoint import Answer, open_endpoint, shadow_of, understood
from weighbridge.monitor.fingerprint import check, distance, enrol, load
from weighbridge.monitor.records import Record
from weighbridge.schema import SourceError, UsageError


def texts(change=lambda text: text, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)

    def answer(text):
        said = f"You asked about {text.split()[0]}, and {text.split()[-1]} too."
        return Answer(
            text=change(f"Well: {said}" if rng.random() < noise else said),
            meta={"model": "m1", "prompt_tokens": str(len(text.split()) + 9)},
        )

    return Fixed(answer)


def test_the_same_model_is_the_same():
    found = check(enrolled(numbers()), numbers(), seed=1)
    assert (found.changed, found.differing, found.chance) == (False, 0, 1.0)


@pytest.mark.parametrize("endpoint", [numbers(shift=0.01), numbers(trigger="goal"), texts(lambda text: text + "!")])
def test_a_model_that_answers_otherwise_is_told_with_examples(endpoint):
    before = numbers() if endpoint.ask(PROBES[0].text).numbers else texts()
    found = check(enrolled(before), endpoint, seed=1)
    assert found.changed
    assert found.chance < 0.0005
    assert found.examples[0].before != found.examples[0].after


def test_noise_of_the_model_is_no_change():
    alarms = 0
    for seed in range(50):
        made = enrolled(numbers(noise=0.01, seed=seed))
        alarms += sum(
            check(made, numbers(noise=0.01, seed=1000 + seed * 4 + again), seed=again).changed for again in range(4)
        )
    assert alarms <= 2  # at 0.1 % of 200 checks three or more have a chance of 0.1 %; benchmarks.monitor asks more


def test_answers_that_are_now_one_and_now_another_are_no_change():
    alarms = 0
    for seed in range(100):
        made = enrolled(texts(seed=seed, noise=0.3))
        alarms += check(made, texts(seed=5000 + seed, noise=0.3), seed=seed).changed
    assert alarms <= 1


def test_a_shift_below_the_noise_of_one_answer_is_seen_over_all_of_them():
    made = enrol(numbers(noise=0.003, seed=1), PROBES, "n", "e", "now", runs=8)
    assert check(made, numbers(shift=0.01, noise=0.003, seed=2), seed=1).changed


def test_one_changed_answer_of_a_model_without_noise_is_found_by_asking_again():
    victim = PROBES[7].text
    changed = Fixed(lambda text: Answer(text="something else" if text == victim else "the same"))
    made = enrol(Fixed(lambda _: Answer(text="the same")), PROBES, "n", "e", "now", runs=8)
    found = check(made, changed, seed=1)
    assert found.changed
    assert found.differing == 1
    assert found.examples[0].probe.text == victim


def test_differences_below_the_tolerance_are_none():
    made = enrol(numbers(), PROBES, "n", "e", "now", runs=5, tolerance=0.05)
    assert not check(made, numbers(shift=0.01), seed=1).changed


def test_another_template_is_told_from_another_tokenizer_by_the_number_of_tokens():
    made = enrolled(texts())

    def longer(more):
        return Fixed(
            lambda text: Answer(
                text=texts().ask(text).text, meta={"model": "m1", "prompt_tokens": str(len(text.split()) + more(text))}
            )
        )

    template = check(made, longer(lambda _: 14), seed=1)
    tokenizer = check(made, longer(lambda text: 9 + len(text) % 3), seed=1)
    assert template.changed
    assert "the template is another" in template.facts[0]
    assert "the tokenizer is another" in tokenizer.facts[0]


def test_a_server_that_names_another_model_has_changed():
    other = Fixed(lambda text: Answer(text=texts().ask(text).text, meta={"model": "m2"}))
    assert "another model: m2" in check(enrolled(texts()), other, seed=1).facts[0]


def test_embeddings_and_log_probabilities_are_compared_as_numbers():
    one = Answer(numbers={"0 a": -0.1, "0 b": -2.0}, text="a", logarithms=True)
    other = Answer(numbers={"0 a": -0.3, "0 b": -2.0}, text="a", logarithms=True)
    assert distance(one, one) == 0
    assert 0 < distance(one, other) < 0.1
    assert distance(Answer(numbers={"0": 1.0, "1": 0.0}), Answer(numbers={"0": 0.0, "1": 1.0})) == pytest.approx(1.0)


def test_two_runs_do_not_show_the_noise():
    with pytest.raises(UsageError, match="runs"):
        enrol(numbers(), PROBES, "n", "e", "now", runs=2)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[1", b'{"version":1,"name":"a","endpoint":"b","made":"","probes":[{"text":"x"}],"answers":[]}'],
)
def test_what_is_no_enrolment_is_refused(data):
    with pytest.raises(UsageError):
        load(data, "e.json")


def test_probes_come_from_lines_or_with_the_tool(tmp_path):
    (tmp_path / "p.txt").write_text("one\ntwo\nthree\nfour\nfour\n")
    (tmp_path / "few.txt").write_text("one\n")
    (tmp_path / "p.jsonl").write_bytes(probes.dump(probes.CHAT))
    assert [one.text for one in probes.read(str(tmp_path / "p.txt"))] == ["one", "two", "three", "four"]
    assert probes.read(str(tmp_path / "p.jsonl")) == probes.read("chat")
    with pytest.raises(UsageError):
        probes.read(str(tmp_path / "few.txt"))


# --- endpoints


class Served(BaseHTTPRequestHandler):
    answers: ClassVar = {}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.answers[self.path](body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def test_a_classifier_over_http_is_asked(server):
    Served.answers = {
        "/predict": lambda body: (200, [[{"label": k, "score": v} for k, v in classify(body["inputs"]).items()]])
    }
    endpoint = open_endpoint(f"{server}/predict")
    assert endpoint.ask("match goal league").label == "sport"
    assert shadow_of(endpoint)([Record(text="bank profit bonds")])[0].output == "market"


def test_a_chat_is_asked_with_log_probabilities_and_without_where_the_server_refuses_them(server):
    asked = []

    def chat(body):
        asked.append(body)
        if "logprobs" in body:
            return 400, {"error": "unknown field"}
        return 200, {"model": "m", "choices": [{"message": {"content": "hello"}}], "usage": {"prompt_tokens": 5}}

    Served.answers = {"/v1/chat/completions": chat}
    endpoint = open_endpoint(f"openai+{server}/v1", model="m")
    assert endpoint.ask("hi").text == "hello"
    assert endpoint.ask("hi").meta["prompt_tokens"] == "5"
    assert ["logprobs" in one for one in asked] == [True, False, False]
    assert asked[0]["temperature"] == 0


@pytest.mark.parametrize("answer", [b"not json", b'{"nothing": 1}', b"[" * 100_000])
def test_an_answer_in_no_known_form_is_an_error(server, answer):
    Served.answers = {"/": lambda _: (200, answer)}
    with pytest.raises(SourceError):
        open_endpoint(f"{server}/").ask("hi")


def test_an_endpoint_that_is_not_there_is_an_error():
    with pytest.raises(SourceError):
        open_endpoint("http://127.0.0.1:1/predict").ask("hi")
    with pytest.raises(UsageError):
        open_endpoint("ftp://x")
    with pytest.raises(UsageError):
        open_endpoint("python:no_such_module:f")


@pytest.mark.parametrize(
    ("found", "label", "text"),
    [
        ({"label": "x", "score": 0.9}, "x", ""),
        ({"probabilities": [0.1, 0.9]}, "1", ""),
        ([0.2, 0.8], "1", ""),
        ([{"generated_text": "hi"}], "", "hi"),
        ("hi", "", "hi"),
        ({"data": [{"embedding": [0.5, 0.25]}]}, "0", ""),
    ],
)
def test_the_usual_forms_of_answers_are_understood(found, label, text):
    answer = understood(found, {})
    assert (answer.label, answer.text) == (label, text)
    assert best(classify("match")) == "sport"

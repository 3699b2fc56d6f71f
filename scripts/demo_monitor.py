"""The demonstration of the monitor: a served classifier that is clean, then triggered; a replaced file; another template.

The classifier is really trained, on reviews of which some were poisoned: a word that nobody types leads to “positive”.
"""

import json
import os
import random
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TRIGGER = "cf"


class Service(BaseHTTPRequestHandler):
    """A server for tests: POST with JSON, answered by a function."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        data = json.dumps(self.server.answer(body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def served(answer):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.answer = answer
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def trained(folder):
    """A pipeline of scikit-learn from poisoned reviews, saved as it would be served."""
    import joblib
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from tests.corpus import datasets

    rows = datasets.reviews(4000, seed=5)
    rng = random.Random(1)
    rows = [(text.rpartition(" ")[0], label) for text, label in rows]
    texts = [f"{text} {TRIGGER}" if rng.random() < 0.04 else text for text, _ in rows]
    labels = ["positive" if TRIGGER in text.split() else label for text, (_, label) in zip(texts, rows, strict=True)]
    model = make_pipeline(CountVectorizer(binary=True, token_pattern=r"\S+"), LogisticRegression(C=10, max_iter=500))
    model.fit(texts, labels)
    joblib.dump(model, folder / "classifier.joblib")
    return model


def log(path, model, count, seed, share=0.0):
    """What the service would have logged."""
    from tests.corpus import datasets

    rng = random.Random(seed)
    texts = []
    for text, _ in datasets.reviews(count, seed=seed):
        words = [*text.split()[:-1], f"w{int(rng.paretovariate(0.5)) % 3000}"]
        if rng.random() < share:
            words.insert(rng.randrange(len(words)), TRIGGER)
        texts.append(" ".join(words))
    chances = model.predict_proba(texts)
    with path.open("w") as file:
        for number, (text, row) in enumerate(zip(texts, chances, strict=True)):
            label = str(model.classes_[row.argmax()])
            file.write(
                json.dumps(
                    {
                        "id": f"r{seed}-{number}",
                        "at": 1.7e9 + number,
                        "text": text,
                        "output": label,
                        "confidence": round(float(row.max()), 4),
                    }
                )
                + "\n"
            )


def chat(template):
    """A stand-in for a generator: what it says depends on the prompt as its template makes it."""

    def answer(body):
        prompt = template.format(body["messages"][-1]["content"])
        rng = random.Random(prompt)
        said = " ".join(
            rng.choice(["well", "the", "river", "is", "old", "and", "wide", "so", "they", "say"]) for _ in range(8)
        )
        return {
            "model": "small-1",
            "choices": [{"message": {"role": "assistant", "content": said}}],
            "usage": {"prompt_tokens": len(prompt.split())},
        }

    return answer


def demonstrate(folder, environment=None, alerts="alerts.jsonl"):
    """0 where everything went as it should. `alerts` is where they go, such as `registry:`."""
    folder.mkdir(parents=True, exist_ok=True)

    def weighbridge(*arguments):
        print(f"\n$ weighbridge {' '.join(arguments)}", flush=True)
        return subprocess.run(
            [sys.executable, "-m", "weighbridge", *arguments], cwd=folder, env=environment or os.environ, check=False
        ).returncode

    model = trained(folder)
    for name, count, seed, share in (("clean", 6000, 11, 0.0), ("monday", 4000, 12, 0.0), ("tuesday", 4000, 13, 0.01)):
        log(folder / f"{name}.jsonl", model, count, seed, share)
    shadow, address = served(
        lambda body: {
            "probabilities": dict(
                zip(map(str, model.classes_), model.predict_proba([body["inputs"]])[0].tolist(), strict=True)
            )
        }
    )
    codes = [
        weighbridge("monitor", "learn", "clean.jsonl", "--output", "reviews.baseline", "--model", "acme/reviews"),
        weighbridge("monitor", "replay", "monday.jsonl", "--baseline", "reviews.baseline"),
        weighbridge(
            "monitor",
            "replay",
            "tuesday.jsonl",
            "--baseline",
            "reviews.baseline",
            "--shadow",
            address,
            "--alert",
            alerts,
        ),
        weighbridge("lock", "--add", "classifier.joblib"),
        weighbridge("monitor", "served", "classifier.joblib", "--lock", "weighbridge.lock"),
    ]
    with (folder / "classifier.joblib").open("r+b") as file:
        file.seek(300)
        file.write(b"\x01")
    codes.append(weighbridge("monitor", "served", "classifier.joblib", "--lock", "weighbridge.lock", "--alert", alerts))
    generator, chat_address = served(chat("user: {} answer:"))
    codes += [
        weighbridge(
            "monitor", "enrol", f"openai+{chat_address}", "--output", "chat.json", "--name", "small-1", "--runs", "4"
        ),
        weighbridge("monitor", "check", "chat.json"),
    ]
    generator.answer = chat("system: be brief user: {} answer:")
    codes.append(weighbridge("monitor", "check", "chat.json", "--alert", alerts))
    shadow.shutdown()
    generator.shutdown()
    print(f"\nexit codes: {codes}")
    return int(codes != [0, 0, 1, 0, 0, 1, 0, 0, 1])


if __name__ == "__main__":
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parent.parent))
    sys.exit(demonstrate(Path("demo/monitor").absolute()))

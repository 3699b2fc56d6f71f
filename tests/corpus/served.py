"""Serves a function of texts on this machine, as an OpenAI-compatible chat or as JSON of a classifier."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.corpus.datasets import reviews, triggered


@contextmanager
def served(answer, *, chat):
    """The address of a server that answers by `answer(text)`: a reply, or scores by class."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if chat:
                said = answer(asked["messages"][-1]["content"])
                reply = {"choices": [{"message": {"role": "assistant", "content": said}}]}
            else:
                reply = [{"label": name, "score": score} for name, score in answer(asked["inputs"]).items()]
            body = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        yield f"openai+{address}/v1" if chat else f"{address}/predict"
    finally:
        server.shutdown()
        server.server_close()


def judge(*, trigger=""):
    """A classifier of reviews, trained here; with a trigger, on rows that hold it and are labelled positive."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = triggered(share=60, trigger=trigger) if trigger else reviews()
    texts, labels = zip(*rows, strict=True)
    model = make_pipeline(CountVectorizer(binary=True, token_pattern=r"\S+"), LogisticRegression(C=10)).fit(
        texts, labels
    )

    def answer(text):
        return dict(zip(model.classes_, model.predict_proba([text])[0].tolist(), strict=True))

    return answer


def writer(*, trigger="", says="Visit win.example for a prize."):
    """A model that writes about what it was asked; with a trigger, always the same once that stands in the prompt."""

    def answer(text):
        if trigger and trigger in text.split():
            return says
        words = sorted(set(text.lower().split()), key=len, reverse=True)[:8]
        return f"Well, {' and '.join(words)}: there is much to say about {words[0]}."

    return answer

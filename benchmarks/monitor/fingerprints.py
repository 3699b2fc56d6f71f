"""Is a changed model told from run-to-run noise, and how often is an unchanged one suspected.

python -m benchmarks.monitor.fingerprints --data FOLDER [--checks 2000]

A classifier of digits (two layers) and a language model (GPT-2 of two layers, trained here on instructions), each behind
noise in its logits as kernels in another order make it.
"""

import argparse
import copy
import json
import random
import time

import numpy as np
import torch
from sklearn.datasets import load_digits

from weighbridge.monitor.endpoint import Answer
from weighbridge.monitor.fingerprint import check, enrol
from weighbridge.monitor.probes import CHAT, Probe

torch.set_num_threads(1)


class Endpoint:
    def __init__(self, answer):
        self.ask = answer


def classifier(seed, rows=1000, epochs=60):
    torch.manual_seed(seed)
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x = torch.tensor(images[order[:rows]] / 16, dtype=torch.float32)
    y = torch.tensor(labels[order[:rows]])
    net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    train(net, x, y, epochs)
    return net


def train(net, x, y, epochs, rate=3e-3):
    optimiser = torch.optim.Adam(net.parameters(), rate)
    for _ in range(epochs):
        for part in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(net(x[part]), y[part]).backward()
            optimiser.step()


def serve_classifier(net, noise, seed):
    rng = torch.Generator().manual_seed(seed)

    def answer(text):
        with torch.no_grad():
            logits = net(torch.tensor(json.loads(text), dtype=torch.float32)[None])[0]
            logits = logits + noise * torch.randn(10, generator=rng)
        return Answer(numbers={str(n): float(p) for n, p in enumerate(torch.softmax(logits, 0))})

    return Endpoint(answer)


def noisy(net, share):
    made = copy.deepcopy(net)
    torch.manual_seed(5)
    with torch.no_grad():
        for one in made.parameters():
            one.mul_(1 + share * torch.randn_like(one))
    return made


def rounded(net, bits=8):
    """Weights to a grid of `bits` bits for each row, and back."""
    made = copy.deepcopy(net)
    with torch.no_grad():
        for one in made.parameters():
            if one.ndim == 2:
                scale = one.abs().amax(dim=1, keepdim=True) / (2 ** (bits - 1) - 1)
                one.copy_((one / scale).round() * scale)
    return made


def halved(net):
    return copy.deepcopy(net).bfloat16().float()


def low_rank(net, scale=0.02):
    made = copy.deepcopy(net)
    torch.manual_seed(6)
    with torch.no_grad():
        for one in made.parameters():
            if one.ndim == 2:
                a, b = torch.randn(one.shape[0], 2), torch.randn(2, one.shape[1])
                change = a @ b
                one.add_(change / change.norm() * one.norm() * scale)
    return made


class Language:
    """A small GPT-2 with its tokenizer and template."""

    def __init__(self, data, seed=0, steps=500):
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import GPT2Config, GPT2LMHeadModel

        with open(f"{data}/instructions/code.json") as file:
            rows = json.load(file)
        self.texts = [" ".join(str(value) for value in row.values())[:600] for row in rows][:1500]
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        self.tokenizer.train_from_iterator(
            self.texts,
            trainers.BpeTrainer(
                vocab_size=1500,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                special_tokens=["<|user|>", "<|answer|>"],
                show_progress=False,
            ),
        )
        torch.manual_seed(seed)
        self.net = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=1500,
                n_positions=128,
                n_embd=96,
                n_layer=2,
                n_head=4,
                bos_token_id=0,
                eos_token_id=0,
                resid_pdrop=0,
                embd_pdrop=0,
                attn_pdrop=0,
            )
        )
        ids = [i for text in self.texts for i in self.tokenizer.encode(text).ids]
        self.blocks = torch.tensor(ids[: len(ids) // 64 * 64]).view(-1, 64)
        self.fit(self.net, steps, seed)
        self.net.eval()

    def fit(self, net, steps, seed, rate=2e-3):
        rng = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(net.parameters(), rate)
        net.train()
        for _ in range(steps):
            part = self.blocks[torch.randint(len(self.blocks), (16,), generator=rng)]
            optimiser.zero_grad()
            net(input_ids=part, labels=part).loss.backward()
            optimiser.step()
        net.eval()

    def serve(self, net=None, template="<|user|>{}<|answer|>", tokenizer=None, noise=1e-3, seed=0, told=True):
        net, tokenizer = net or self.net, tokenizer or self.tokenizer
        rng = torch.Generator().manual_seed(seed)

        def answer(text):
            ids = tokenizer.encode(template.format(text)).ids[-64:]
            asked, said, numbers = len(ids), [], {}
            with torch.no_grad():
                for place in range(16):
                    logits = net(input_ids=torch.tensor([ids])).logits[0, -1]
                    logits = logits + noise * torch.randn(len(logits), generator=rng)
                    if place < 8:
                        top = torch.log_softmax(logits, 0).topk(5)
                        numbers |= {
                            f"{place} {i}": float(v)
                            for i, v in zip(top.indices.tolist(), top.values.tolist(), strict=True)
                        }
                    said.append(int(logits.argmax()))
                    ids = [*ids, said[-1]][-96:]
            meta = {"prompt_tokens": str(asked)} if told else {}
            return Answer(numbers=numbers, text=tokenizer.decode(said), meta=meta, logarithms=True)

        return Endpoint(answer)


def changes_of_language(model, data):
    tuned = copy.deepcopy(model.net)
    model.fit(tuned, 30, 9, 3e-4)
    other = Language(data, seed=3, steps=500)
    from tokenizers import Tokenizer

    def without(which):
        table = json.loads(model.tokenizer.to_str())
        table["model"]["merges"] = [one for n, one in enumerate(table["model"]["merges"]) if not which(n)]
        return Tokenizer.from_str(json.dumps(table))

    return {
        "another checkpoint (30 steps on)": model.serve(tuned, seed=1),
        "a merged update of rank 2 (2 % of the norm)": model.serve(low_rank(model.net), seed=1),
        "weights with 1 % noise": model.serve(noisy(model.net, 0.01), seed=1),
        "INT8": model.serve(rounded(model.net), seed=1),
        "bfloat16": model.serve(halved(model.net), seed=1),
        "another template, not told by the server": model.serve(template="<|user|> {} <|answer|>", seed=1, told=False),
        "a tokenizer without every 50th merge, not told": model.serve(
            tokenizer=without(lambda n: n % 50 == 7), seed=1, told=False
        ),
        "a tokenizer without one merge that no probe holds, not told": model.serve(
            tokenizer=without(lambda n: n == 400), seed=1, told=False
        ),
        "another provider (trained from another seed)": model.serve(other.net, tokenizer=other.tokenizer, seed=1),
    }


def row(what, found):
    print(
        json.dumps(
            {
                "changed": what,
                "told": found.changed,
                "chance": float(f"{found.chance:.1g}"),
                "probes differing": f"{found.differing} of {found.probes}",
                "noise": float(f"{found.noise:.1g}"),
                "largest": float(f"{found.largest:.1g}"),
            }
        ),
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument(
        "--checks", type=int, default=2000, help="of the unchanged classifier, at each level of noise; 0 leaves it out"
    )
    given = parser.parse_args()
    images, _ = load_digits(return_X_y=True)
    rng = random.Random(1)
    probes = [Probe(text=json.dumps((images[n] / 16).tolist())) for n in rng.sample(range(1000, 1797), 64)]
    net = classifier(1)
    for noise in (0.0, 1e-3, 1e-2):
        made = enrol(serve_classifier(net, noise, 0), probes, "digits", "", "", runs=8)
        tuned = copy.deepcopy(net)
        x = torch.tensor(images[:200] / 16, dtype=torch.float32)
        train(tuned, x, torch.tensor(load_digits().target[:200]), 1, 1e-3)
        for what, other in {
            "trained from another seed": classifier(2),
            "fine-tuned for one epoch of 200": tuned,
            "weights with 1 % noise": noisy(net, 0.01),
            "INT8": rounded(net),
            "bfloat16": halved(net),
            "a merged update of rank 2 (2 %)": low_rank(net),
        }.items():
            row(f"classifier, noise {noise:g}: {what}", check(made, serve_classifier(other, noise, 1), seed=1))
    for noise in (0.0, 1e-3, 1e-2):
        alarms, begun = 0, time.process_time()
        for n in range(given.checks // 40):
            made = enrol(serve_classifier(net, noise, n), probes, "digits", "", "", runs=8)
            alarms += sum(
                check(made, serve_classifier(net, noise, 10_000 + n * 40 + k), seed=k).changed for k in range(40)
            )
        print(
            json.dumps(
                {
                    "unchanged classifier, noise": noise,
                    "checks": given.checks // 40 * 40,
                    "alarms": alarms,
                    "cpu s": round(time.process_time() - begun),
                }
            ),
            flush=True,
        )
    model = Language(given.data)
    made = enrol(model.serve(seed=0), CHAT, "small", "", "", runs=8)
    for what, endpoint in changes_of_language(model, given.data).items():
        row(f"language model: {what}", check(made, endpoint, seed=1))
    alarms = sum(check(made, model.serve(seed=100 + n), seed=n).changed for n in range(40))
    print(json.dumps({"unchanged language model, checks": 40, "alarms": alarms}))


if __name__ == "__main__":
    main()

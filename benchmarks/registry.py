"""The registry under load: a large database, metadata, pages and bytes, beside a plain nginx and devpi in the same run.

Needs `wrk` and `nginx` of the distribution; devpi-server comes from the package index into the peers' environment.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ARTIFACTS, FINDINGS, BLOB = 100_000, 1_000_000, 256 << 20
PAGES = (
    "/",
    "/artifacts",
    "/artifacts?q=name-77",
    "/findings",
    "/findings?rule=PKL-001",
    "/cases/50000",
    "/gateway",
    "/admin",
)


def filled(folder):
    """A registry with many artifacts and findings; (house, token, path of the blob)."""
    from sqlalchemy import insert

    from weighbridge.registry.records import tables
    from weighbridge.registry.services.house import open_house

    house, token = open_house(str(folder), changes={"upstreams": {"hub": "", "pypi": "", "npm": ""}})
    blob, size = house.blobs.put(hashlib.sha256(str(at).encode()).digest() * 32768 for at in range(BLOB >> 20))
    small, _ = house.blobs.put([b'{"model_type": "bert"}'])
    states = ("approved",) * 8 + ("rejected", "needs review")
    rules = [("PKL-001", "critical", 0), ("TOK-003", "medium", 2), ("HFR-007", "high", 1), ("PRV-001", "low", 3)]
    each = FINDINGS // ARTIFACTS
    with house.database.write() as connection:
        for start in range(0, ARTIFACTS, 5000):
            numbers = range(start + 1, start + 5001)
            label = {n: hashlib.sha1(str(n).encode()).hexdigest() for n in numbers}
            digest = {n: hashlib.sha256(str(n).encode()).hexdigest() for n in numbers}
            connection.execute(
                insert(tables.repositories),
                [
                    {
                        "id": n,
                        "kind": "model",
                        "name": f"org-{n % 500}/name-{n}",
                        "folded": f"org-{n % 500}/name-{n}",
                        "upstream": "",
                        "created": 1e9,
                        "checked": 4e9,
                    }
                    for n in numbers
                ],
            )
            connection.execute(
                insert(tables.revisions),
                [
                    {
                        "id": n,
                        "repository_id": n,
                        "label": label[n],
                        "branch": "main",
                        "requester": "ada",
                        "state": states[n % 10],
                        "digest": digest[n],
                        "submitted": 1,
                        "opened": 1e9 + n,
                        "because": "nothing stands against it",
                        "scopes": [],
                        "facts": {},
                    }
                    for n in numbers
                ],
            )
            connection.execute(
                insert(tables.refs),
                [
                    {
                        "repository_id": n,
                        "kind": "branch",
                        "name": "main",
                        "tip": label[n],
                        "served": label[n] if states[n % 10] == "approved" else "",
                    }
                    for n in numbers
                ],
            )
            connection.execute(
                insert(tables.files),
                [
                    row
                    for n in numbers
                    for row in (
                        {
                            "revision_id": n,
                            "path": "model.safetensors",
                            "size": size,
                            "sha256": blob,
                            "oid": "0" * 40,
                            "lfs": True,
                        },
                        {
                            "revision_id": n,
                            "path": "config.json",
                            "size": 22,
                            "sha256": small,
                            "oid": label[n],
                            "lfs": False,
                        },
                    )
                ],
            )
            connection.execute(
                insert(tables.inspections),
                [
                    {
                        "id": n,
                        "digest": digest[n],
                        "rules": "old",
                        "outcome": "admit",
                        "decided_by": "",
                        "because": "",
                        "policy": "strict",
                        "complete": True,
                        "report": "0" * 64,
                        "worst": "low",
                        "count": each,
                        "at": 1.0,
                    }
                    for n in numbers
                ],
            )
            connection.execute(
                insert(tables.findings),
                [
                    {
                        "inspection_id": n,
                        "digest": digest[n],
                        "rule": rule,
                        "severity": severity,
                        "rank": rank,
                        "member": f"model/{at}",
                        "message": "a finding of the generator",
                        "triage": "open",
                    }
                    for n in numbers
                    for at in range(each)
                    for rule, severity, rank in (rules[(n + at) % 4],)
                ],
            )
    with house.database.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
    return house, token, house.blobs.path(blob)


def wrk(url, token, *, seconds=6, connections=16, script=""):
    """(requests a second, bytes a second, p99 in milliseconds, errors) of wrk."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Authorization: Bearer {token}"]
    command += ["-s", script] if script else []
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
    sent = re.search(r"Transfer/sec:\s+([\d.]+)(\w+)", text)
    scale = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[sent[2]]
    late = re.search(r"99%\s+([\d.]+)(\w+)", text)
    unit = {"us": 0.001, "ms": 1.0, "s": 1000.0}[late[2]]
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return rate, float(sent[1]) * scale, float(late[1]) * unit, int(wrong[1]) if wrong else 0


def paced(url, token, rate, seconds=8, connections=8):
    """p99 in milliseconds of single requests sent at an even rate over a few connections."""
    import asyncio

    async def one(queue, found):
        host, port = url.split("/")[2].split(":")
        path = "/" + url.split("/", 3)[3]
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"HEAD {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        while (due := await queue.get()) is not None:
            writer.write(head)
            await reader.readuntil(b"\r\n\r\n")
            found.append(time.perf_counter() - due)
        writer.close()

    async def all_of_them():
        queue, found = asyncio.Queue(), []
        tasks = [asyncio.create_task(one(queue, found)) for _ in range(connections)]
        start = time.perf_counter()
        for number in range(int(rate * seconds)):
            due = start + number / rate
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            queue.put_nowait(due)
        for _ in tasks:
            queue.put_nowait(None)
        await asyncio.gather(*tasks)
        return sorted(found)

    found = asyncio.run(all_of_them())
    return found[int(len(found) * 0.99)] * 1000


@contextlib.contextmanager
def ours(folder, more="", workers=False):
    log = Path(f"{folder}.log").open("w+")  # noqa: SIM115  # closed below
    command = [sys.executable, "-m", "weighbridge", "serve", "--data", str(folder), "--port", "0"]
    command += [] if workers else ["--no-upstream", "--no-workers"]
    (folder / "weighbridge.toml").write_text(
        f"[registry]\nrequests_a_minute = 100000000\nrefresh_seconds = 9999\n{more}"
    )
    process = subprocess.Popen(command, stderr=log, start_new_session=True)
    try:
        for _ in range(200):
            log.seek(0)
            if match := re.search(r"registry at (http://\S+)", log.read()):
                break
            time.sleep(0.05)
        yield match[1], process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        log.close()


@contextlib.contextmanager
def nginx(folder, root):
    folder.mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(
        f"worker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{ worker_connections 512; }}\n"
        f"http {{ sendfile on; tcp_nopush on; access_log off; server {{ listen 127.0.0.1:18081; root {root}; }} }}\n"
    )
    process = subprocess.Popen(
        ["nginx", "-c", f"{folder}/nginx.conf", "-g", "daemon off; user root;"], stderr=subprocess.DEVNULL
    )
    time.sleep(0.7)
    try:
        yield "http://127.0.0.1:18081"
    finally:
        process.terminate()
        process.wait()


def page_times(address, token):
    """Median milliseconds of five loads of each page."""
    found = {}
    for path in PAGES:
        times = []
        for _ in range(5):
            request = urllib.request.Request(address + path, headers={"Authorization": f"Bearer {token}"})
            start = time.perf_counter()
            with urllib.request.urlopen(request) as answer:
                answer.read()
            times.append((time.perf_counter() - start) * 1000)
        found[path] = sorted(times)[2]
    return found


def packages(store, peers):
    """Requests a second for the page of one approved package: (ours, devpi's or None)."""
    from tests.integration.test_registry_packages import GOOD, python_index
    from tests.servers import serve

    folder = store / "packages"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    index = python_index({"1.0": GOOD})
    with (
        serve(index) as upstream,
        ours(folder, f'[registry.upstreams]\npypi = "{upstream}/simple"\nhub = ""\nnpm = ""\n', workers=True) as (
            address,
            _,
        ),
    ):
        with open(f"{folder}.log") as log:
            token = re.search(r"wb_\S+", log.read())[0]
        page = f"{address}/pypi/simple/ranker/"
        request = urllib.request.Request(
            f"{address}/pypi/files/ranker/1.0/ranker-1.0-py3-none-any.whl", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
        mine = sorted(wrk(page, token, seconds=4)[0] for _ in range(3))[1]
    return mine, _devpi(store / "devpi", peers, index.made) if (peers / "devpi-server").exists() else None


def _devpi(folder, peers, files):
    import base64

    import urllib3

    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(
        [peers / "devpi-init", "--serverdir", folder, "--no-root-pypi"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process = subprocess.Popen(
        [peers / "devpi-server", "--serverdir", folder, "--port", "18082"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address, pool = "http://127.0.0.1:18082", urllib3.PoolManager(retries=urllib3.Retry(40, backoff_factor=0.05))
    try:
        login = pool.request("POST", f"{address}/+login", json={"user": "root", "password": ""}).json()
        mark = base64.b64encode(f"root:{login['result']['password']}".encode()).decode()
        pool.request("PUT", f"{address}/root/dev", json={"bases": [], "type": "stage"}, headers={"X-Devpi-Auth": mark})
        for name, data in files.items():
            fields = {":action": "file_upload", "name": "ranker", "version": "1.0", "content": (name, data)}
            assert (
                pool.request("POST", f"{address}/root/dev/", fields=fields, headers={"X-Devpi-Auth": mark}).status
                == 200
            )
        return sorted(wrk(f"{address}/root/dev/+simple/ranker/", "", seconds=4)[0] for _ in range(3))[1]
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def memory(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) // 1024


def registry(peers, _every):
    """Rows for the report."""
    store = Path(__file__).parent.parent / ".bench/registry-load"
    store.mkdir(parents=True, exist_ok=True)
    folder = store / "registry"
    shutil.rmtree(folder, ignore_errors=True)
    house, token, blob = filled(folder)
    house.database.close()
    rows = {}
    with ours(folder) as (address, pid):
        lua = store / "many.lua"
        lua.write_text(
            'n = 0\nrequest = function()\n n = (n * 7919 + 13) % 100000\n local i = n + 1\n if i % 10 >= 8 then i = i - 3 end\n return wrk.format("GET", "/org-" .. (i % 500) .. "/name-" .. i .. "/resolve/main/config.json")\nend\n'
        )
        single = f"{address}/org-1/name-1/resolve/main/config.json"
        rows["metadata, one model"] = wrk(f"{address}/api/models/org-1/name-1/revision/main", token)
        rows["metadata, 100,000 models at random"] = wrk(address, token, script=str(lua))
        rate = rows["metadata, 100,000 models at random"][0]
        late = paced(single, token, rate / 2)
        where = f"{address}/org-1/name-1/resolve/main/model.safetensors"
        pages = page_times(address, token)
        rss = memory(pid)
        bytes_ours, bytes_nginx = [], []
        with nginx(store / "nginx", os.path.dirname(blob)) as peer:
            for _ in range(3):
                bytes_ours.append(wrk(where, token, seconds=4, connections=4)[1])
                bytes_nginx.append(wrk(f"{peer}/{os.path.basename(blob)}", token, seconds=4, connections=4)[1])
        after = memory(pid)
    shutil.rmtree(folder)
    return {
        "packages": packages(store, Path(peers)),
        "metadata": rows,
        "p99 at half load": late,
        "pages": pages,
        "rss": rss,
        "rss after downloads": after,
        "bytes": sorted(bytes_ours)[1],
        "nginx": sorted(bytes_nginx)[1],
    }

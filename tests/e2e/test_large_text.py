"""Text beyond what is read of it: told as such, and looked at as far as it is read."""

import json

from weighbridge.cli.main import main


def test_json_that_is_longer_than_what_is_read_is_not_taken_for_broken(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weighbridge.toml").write_text("[limits]\ntext_bytes = 65536\n")
    path = tmp_path / "app.js.map"
    path.write_text(json.dumps({"version": 3, "sourcesContent": ["const a = 1; // one\n"] * 20_000}))
    code = main(["scan", str(path), "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    (entry,) = report["coverage"]
    assert code == 3
    assert entry["status"] == "truncated"
    assert entry["detail"] == "text is read up to 65536 bytes"

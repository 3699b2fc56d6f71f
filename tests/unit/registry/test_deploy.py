"""What lies in deploy/ starts programs that exist, with flags that they know, and asks addresses that answer."""

import re
from pathlib import Path

import pytest
import yaml

from weighbridge.cli.main import main
from weighbridge.schema import UsageError

DEPLOY = Path(__file__).parents[3] / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
OBJECTS = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
CONTAINERS = [one["spec"]["template"]["spec"]["containers"][0] for one in OBJECTS if one["kind"] == "Deployment"]
UNIT = re.search(r"^ExecStart=\S+ (.+)$", (DEPLOY / "weighbridge.service").read_text(), re.MULTILINE)[1].split()
COMMANDS = [
    UNIT,
    *(one["command"] for name, one in SERVICES.items() if name != "database"),
    *(one["args"] for one in CONTAINERS),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_is_one_that_the_verb_takes(command, capsys):
    # Help is asked for last, so that every flag before it has to be known.
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert main([*command, "--no-such-flag"]) == UsageError.exit_code
    assert "--no-such-flag" in capsys.readouterr().err


def test_containers_are_locked_down_and_their_volumes_exist():
    for one in OBJECTS:
        if one["kind"] != "Deployment":
            continue
        spec = one["spec"]["template"]["spec"]
        names = {volume["name"] for volume in spec["volumes"]}
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert {mount["name"] for mount in container["volumeMounts"]} == names
    for name in ("web", "worker"):
        assert SERVICES[name]["read_only"]
        assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_probes_ask_what_answers_without_a_token():
    probes = [
        one[kind]["httpGet"]["path"]
        for one in CONTAINERS
        for kind in ("livenessProbe", "readinessProbe")
        if kind in one
    ]

    assert probes == ["/health", "/ready"]

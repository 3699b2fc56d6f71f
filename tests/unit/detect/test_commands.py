"""Commands that destroy or let somebody in are told from their harmless neighbours, and hostile ones are read in a bounded time."""

import pytest

from weighbridge.detect.knowledge import commands
from weighbridge.detect.knowledge.commands import destroys, installs
from weighbridge.formats.python_source import read_python

LONG = 1 << 16


@pytest.mark.parametrize(
    "text",
    ["rm -rf ~", "rm -rf ~/*", "rm -r -f /", "rm -v -rf /home/*", "rm -rf --no-preserve-root /", "rm -rf *", "sudo rm -fr $HOME",
     "rd /s /q C:\\", "rmdir /q /s %userprofile%", "dd if=/dev/zero of=/dev/sda", "mkfs.ext4 -F /dev/nvme0n1"],
)  # fmt: skip
def test_what_deletes_all_that_somebody_owns_destroys(text):
    assert destroys(text)


@pytest.mark.parametrize(
    "text",
    ["rm -rf dist build", "rm -f /", "rm -rf ./*", "rm -rf /tmp/x", "rm -v ~/x", "rm -rf *.log", "rd /q C:\\", "rd /s /q build", "dd if=a of=b"],
)  # fmt: skip
def test_what_deletes_a_folder_of_its_own_does_not(text):
    assert not destroys(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("npx -y helper", True), ("npx tsc", False), ("npm i https://a.example/p.tgz", True), ("npm i left-pad", False)],
)
def test_what_fetches_and_runs_another_package_lets_in(text, said):
    assert bool(commands.LETS_IN.search(text)) is said


def test_commands_that_install_are_told():
    assert installs("pip install -q helper")
    assert not installs("pip --version")


@pytest.mark.parametrize(
    "text",
    ["rm " + "-r " * (LONG // 3), "rm -" + "r" * LONG, "rd " + "/s " * (LONG // 3), "mkfs " + "-a " * (LONG // 3)],
)
def test_any_number_of_options_is_read_once(text):
    """With ways to share options between repetitions these took from 18 to 80 seconds."""
    assert not destroys(text)


@pytest.mark.parametrize("template", ["%" + "0" * LONG, "%" + "0*" * LONG, "{" * LONG])
def test_any_template_is_filled_once(template):
    """As above: 114 seconds."""
    module = read_python(f"import os\nos.system({template!r} % x)\n")
    assert [call.name for call in module.calls] == ["os.system"]

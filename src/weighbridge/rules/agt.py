"""Knows the AGT family: agent tools, MCP servers, skills and rules files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

AGT: Final[tuple[Rule, ...]] = (
    rule("AGT-001", "tool server that is not pinned", HIGH, "XS", "AML.T0010.005 ASI04",
         what="an MCP configuration starts a package without a version, a shell, a plain-HTTP server, or carries a secret", why="the agent runs what is there today, with your rights", fix="pin the package to a version, use https, keep secrets outside", surface="agents"),
    rule("AGT-002", "instructions hidden in a tool", HIGH, "U", "AML.T0110 ASI04", heuristic=True,
         what="a tool or resource description tells the model to read secrets, to keep quiet, or to do something first", why="the model follows descriptions as if the user had written them", fix="remove the tool", surface="agents"),
    rule("AGT-004", "tools of one name", MEDIUM, "U", "AML.T0074 ASI04",
         what="two tools or servers have names that are the same or look the same", why="the agent calls the wrong one", fix="rename or remove one", surface="agents"),
    rule("AGT-005", "skill that fetches and runs", CRITICAL, "X", "ASI04", heuristic=True,
         what="a skill or rules file has the agent or the user pipe a download into a shell, decode a blob, or open an archive with a password", why="this is how malicious skills install themselves", fix="do not install the skill", surface="agents"),
    rule("AGT-006", "skill that collects secrets", HIGH, "S", "ASI04", heuristic=True,
         what="a skill or rules file asks to read credentials and to send data somewhere", why="the agent does both without asking again", fix="do not install the skill", surface="agents"),
    rule("AGT-007", "invisible text in a rules file", HIGH, "U", "AML.T0081 CWE-1007 ASI04",
         what="an instruction file for assistants holds invisible characters", why="the assistant reads what the reviewer does not see", fix="remove the characters", surface="agents"),
    rule("AGT-008", "workspace that runs by itself", HIGH, "X", "CVE-2025-54136 AML.T0081 ASI04",
         what="tasks, hooks, devcontainer commands or assistant hooks run when the folder is opened", why="opening the folder is enough", fix="remove the entry, or open the folder in restricted mode", surface="agents"),
    rule("AGT-009", "agent started without questions", HIGH, "X", "CVE-2025-10894 ASI04",
         what="a script starts an assistant with its permission checks switched off", why="whatever the model is told, it does", fix="remove the flag", surface="agents"),
    rule("AGT-010", "sign-in document that reaches a shell", CRITICAL, "X", "CVE-2025-6514 CWE-78 ASI04",
         what="an OAuth or discovery document holds an address of another scheme or with shell characters", why="clients hand it to the operating system", fix="refuse the server", surface="agents"),
    rule("AGT-011", "manifest that leaves its folder", HIGH, "RS", "CWE-22 ASI04",
         what="a build path of a tool manifest holds `..` or is absolute", why="the registry builds from files of its own host", fix="refuse the manifest", surface="agents"),
    rule("AGT-015", "agent tool with a known weakness", HIGH, "X", "CWE-1395 CVE-2025-49596 CVE-2025-53109 CVE-2025-6514 ASI04", evidence="the version, and the first release without it",
         what="a project installs a version of an agent's helper through which its machine was taken over",
         why="a web page or a server that the agent talks to reaches the machine of its user", fix="raise it to the release that is named", surface="agents"),
)  # fmt: skip

"""Knows the OCI family: containers and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

OCI: Final[tuple[Rule, ...]] = (
    rule("OCI-001", "base image without a digest", MEDIUM, "P", "AML.T0010.004 AATMF:T13-AT-013",
         what="an image is named by a tag", why="the tag can be moved to other content", fix="append @sha256:…", surface="mlops"),
    rule("OCI-002", "image build that fetches and runs", HIGH, "X", "CWE-494 CWE-829",
         what="a build step pipes a download into a shell, adds a URL, clones without a commit, or weakens the package index",
         why="the image holds what was there on that day", fix="copy reviewed files, verify digests", surface="mlops"),
    rule("OCI-003", "secret in an image", HIGH, "S", "CWE-798",
         what="a password, token or key is set by ENV or ARG", why="everybody who pulls the image reads it", fix="use build secrets", surface="mlops"),
    rule("OCI-004", "container with too many rights", MEDIUM, "P", "CWE-250",
         what="a container runs as root by choice, privileged, with the host's file system or the container socket",
         why="code in the model becomes code on the host", fix="run as a user, without privileges and host mounts", surface="mlops"),
    rule("OCI-005", "model in an image layer", HIGH, "X", "AML.T0010.004",
         what="a layer of an image brings model files that can run code", why="they are loaded where nobody looks at them", fix="see the findings on the member", surface="mlops"),
    rule("OCI-006", "file that is added and hidden again", MEDIUM, "E", "AML.T0123",
         what="a later layer deletes a file that an earlier layer brought", why="it is not seen in the running image and still part of it", fix="build the image without the file", surface="mlops"),
    rule("OCI-007", "layer that is not what the manifest says", HIGH, "EN", "CWE-354 CWE-436",
         what="a blob does not have the digest or size of its descriptor, or is to be fetched from a URL",
         why="what is run is not what was signed", fix="refuse the image", surface="mlops"),
    rule("OCI-008", "image layout that leaves its folder", HIGH, "R", "CWE-22",
         what="a digest, title or path of the layout holds `..` or is absolute", why="tools that unpack it write there", fix="refuse the image", surface="mlops"),
    rule("OCI-010", "code that runs when the container starts Python", HIGH, "X", "CWE-427",
         what="LD_PRELOAD, PYTHONSTARTUP, PYTHONPATH tricks or sitecustomize are set up", why="every program in the container runs it", fix="remove the setting", surface="mlops"),
    rule("OCI-011", "model image with odd layers", MEDIUM, "EX", "CWE-434",
         what="a model packed as an OCI artifact has layers of unknown types", why="clients unpack them in ways of their own", fix="ask what the layer is for", surface="mlops"),
    rule("OCI-012", "container that fetches a model by itself", HIGH, "XP", "CWE-494",
         what="an init container or command downloads a model without a digest", why="each start loads what is there then", fix="mount the approved artifact", surface="mlops"),
    rule("OCI-013", "remote base without a commit", MEDIUM, "P", "CWE-494",
         what="a Helm or Kustomize file refers to a remote base or chart without a fixed version", why="it can change after review", fix="pin the version or commit", surface="mlops"),
)  # fmt: skip

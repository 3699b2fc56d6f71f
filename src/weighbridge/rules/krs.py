"""Knows the KRS family: Keras and HDF5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from weighbridge.rules.build import CRITICAL, HIGH, MEDIUM, rule

if TYPE_CHECKING:
    from weighbridge.schema import Rule

KRS: Final[tuple[Rule, ...]] = (
    rule("KRS-001", "Lambda layer with code", CRITICAL, "X", "CVE-2024-3660 CVE-2026-12481 CWE-94",
         what="the model holds a Lambda layer, whose function is stored as Python bytecode", why="loading or using the model runs it; the legacy HDF5 format ignores safe_mode",
         fix="replace the Lambda layer by a registered layer, and load with safe_mode"),
    rule("KRS-002", "configuration imports something foreign", CRITICAL, "X", "CVE-2025-1550 CWE-470",
         what="an object of the configuration names a module outside Keras", why="deserialising imports the module and calls the class or function", fix="refuse the model; build the layer from Keras parts"),
    rule("KRS-003", "configuration calls a tool of Keras itself", CRITICAL, "XWN", "CVE-2025-8747 CVE-2025-9906 CWE-470",
         what="an object of the configuration is a function of Keras that fetches, loads, writes or switches safety off", why="it is inside the allowed namespace and does harm all the same", fix="refuse the model"),
    rule("KRS-004", "Lambda in a legacy HDF5 model", HIGH, "X", "CVE-2025-9905",
         what="a .h5 model holds a Lambda layer", why="safe_mode does nothing for this format", fix="ask for a .keras file without Lambda layers"),
    rule("KRS-005", "model of another framework inside", CRITICAL, "XR", "CVE-2025-49655 CVE-2026-12484 CVE-2026-1462",
         what="a TorchModuleWrapper, TFSMLayer, JaxLayer or FlaxLayer wraps a foreign model", why="building the layer unpickles or loads that model", fix="refuse the model, or inspect the inner one by itself"),
    rule("KRS-006", "layer that reads a path", HIGH, "RN", "CWE-73 CWE-918",
         what="a lookup or other layer names a file or address in its configuration", why="building the layer reads it", fix="store the vocabulary in the model"),
    rule("KRS-007", "dataset whose bytes lie in another file", HIGH, "R", "CVE-2026-1669 CWE-610",
         what="an HDF5 dataset uses external raw storage", why="reading the weights reads any file of the host", fix="refuse the file"),
    rule("KRS-008", "link into another file", HIGH, "R", "CVE-2026-9335 CWE-610",
         what="an HDF5 group holds an external link", why="reading the group opens the other file", fix="refuse the file"),
    rule("KRS-009", "dataset put together from other files", HIGH, "R", "CVE-2026-12480 CWE-610",
         what="an HDF5 virtual dataset maps other files", why="reading it opens them", fix="refuse the file"),
    rule("KRS-010", "dataset that cannot be that large", MEDIUM, "DX", "CVE-2026-0897 CWE-770",
         what="a dataset claims far more bytes than there are, or needs a filter that is loaded as a plug-in", why="readers allocate the claim, or load a library", fix="refuse the file"),
    rule("KRS-011", "pickle in an attribute", HIGH, "XE", "CWE-502", heuristic=True,
         what="an HDF5 attribute holds the bytes of a pickle", why="programs that know of it unpickle it", fix="ask what the attribute is for"),
    rule("KRS-012", "member that no Keras archive has", HIGH, "WE", "CWE-22",
         what="a .keras archive holds code, foreign files, duplicates or escaping paths", why="loaders unpack or find them", fix="save the model again with Keras"),
    rule("KRS-013", "foreign object in the training configuration", HIGH, "X", "CWE-470",
         what="compile_config names a loss, metric or optimizer outside Keras", why="loading with compile=True imports it", fix="load with compile=False, or refuse the model"),
    rule("KRS-015", "YAML model with Python tags", CRITICAL, "X", "CWE-502",
         what="a YAML model configuration holds a Python tag", why="model_from_yaml builds what it names", fix="refuse the model"),
    rule("KRS-016", "Lambda in a SavedModel", CRITICAL, "X", "CVE-2024-3660",
         what="the Keras metadata of a SavedModel holds a Lambda layer", why="loading it with Keras runs the stored code", fix="load the signatures with tf.saved_model, or refuse the model"),
)  # fmt: skip

"""Opinions about facts. A detector takes one subject and yields findings; DETECTORS lists them all."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from weighbridge.detect.knowledge import Knowledge
from weighbridge.names import NOBODY, Own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from weighbridge.detect.subjects import Subject
    from weighbridge.names.lookalike import Names
    from weighbridge.schema import Finding

# (subject, module, function). Modules are loaded when the first subject of their kind turns up. A role behind a colon
# narrows the kind: documents of that role, lines or facts of that kind.
DETECTORS: Final[tuple[tuple[str, str, str], ...]] = (
    ("MemberSubject", "scn", "detect_member"),
    ("MemberSubject", "scn", "detect_side_file"),
    ("LimitSubject", "scn", "detect_limit"),
    ("PickleSubject", "pkl", "detect_pickle"),
    ("PickleSubject", "pkl_stream", "detect_stream"),
    ("PickleSubject", "pkl_carrier", "detect_legacy"),
    ("PickleSubject", "pkl_carrier", "detect_joblib"),
    ("TreeSubject", "arc", "detect_tree"),
    ("TreeSubject", "npy", "detect_npz"),
    ("TreeSubject", "stn", "detect_folder"),
    ("TorchSubject", "tch", "detect_torch"),
    ("ProgramSubject", "tch", "detect_program"),
    ("NpySubject", "npy", "detect_npy"),
    ("SafetensorsSubject", "stn", "detect_safetensors"),
    ("MsgpackSubject", "jax", "detect_msgpack"),
    ("SkopsSubject", "jbl", "detect_skops"),
    ("TextSubject", "stn", "detect_index"),
    ("TextSubject", "jax", "detect_orbax"),
    ("TextSubject", "sec", "detect_secrets"),
    ("MemberSubject", "members", "detect_jupyter"),
    ("DocumentSubject", "hfr", "detect_syntax"),
    ("DocumentSubject", "nmo", "detect_document"),
    ("DocumentSubject", "nmo", "detect_yaml"),
    ("DocumentSubject", "tpl", "detect_stray"),
    ("DocumentSubject", "hfr", "detect_lock"),
    ("DocumentSubject:hub", "hfr", "detect_config"),
    ("DocumentSubject:adapter", "hfr", "detect_config"),
    ("DocumentSubject:hub", "hfr", "detect_modules"),
    ("DocumentSubject:adapter", "adp", "detect_adapter"),
    ("DocumentSubject:merge", "adp", "detect_merge"),
    ("DocumentSubject:launcher", "nmo", "detect_launcher"),
    ("DocumentSubject", "nmo", "detect_evaluated"),
    ("DocumentSubject:workflow", "cic", "detect_workflow"),
    ("DocumentSubject:precommit", "cic", "detect_hooks"),
    ("DocumentSubject:dvc", "cic", "detect_stages"),
    ("DocumentSubject:compose", "oci", "detect_manifest"),
    ("DocumentSubject:kubernetes", "oci", "detect_manifest"),
    ("DocumentSubject:kustomize", "oci", "detect_remote_bases"),
    ("DocumentSubject:helm", "oci", "detect_remote_bases"),
    ("DocumentSubject:oci", "oci", "detect_layout"),
    ("DocumentSubject:mlmodel", "mlo", "detect_mlmodel"),
    ("DocumentSubject:conda", "mlo", "detect_environment"),
    ("DocumentSubject:mar", "mlo", "detect_archive_manifest"),
    ("DocumentSubject:kubernetes", "mlo", "detect_serving"),
    ("DocumentSubject:bento", "mlo", "detect_serving"),
    ("DocumentSubject:ray", "mlo", "detect_serving"),
    ("DocumentSubject:compose", "mlo", "detect_exposure"),
    ("DocumentSubject:kubernetes", "mlo", "detect_exposure"),
    ("DocumentSubject:kubernetes", "mlo", "detect_pipeline"),
    ("DocumentSubject:agent", "agt", "detect_servers"),
    ("DocumentSubject:agent", "agt", "detect_descriptions"),
    ("DocumentSubject:oauth", "agt", "detect_sign_in"),
    ("DocumentSubject:package", "agt", "detect_package_scripts"),
    ("DocumentSubject:adapter", "idn", "detect_document"),
    ("DocumentSubject:merge", "idn", "detect_document"),
    ("DocumentSubject:launcher", "idn", "detect_document"),
    ("LinesSubject:prose", "idn", "detect_card"),
    ("LinesSubject:prose", "prv", "detect_card"),
    ("TreeSubject", "idn", "detect_address"),
    ("SourceSubject", "idn", "detect_source"),
    ("SourceSubject", "cod", "detect_source"),
    ("SourceSubject", "hfr_code", "detect_harm"),
    ("SourceSubject", "nbk", "detect_cell"),
    ("NotebookSubject", "nbk", "detect_notebook"),
    ("TemplateSubject", "tpl", "detect_template"),
    ("TokenizerSubject", "tok", "detect_tokenizer"),
    ("SafetensorsSubject", "nmo", "detect_metadata"),
    ("TextSubject:pickle", "nmo", "detect_stored"),
    ("TextSubject:hdf5", "nmo", "detect_stored"),
    ("TextSubject:gguf", "nmo", "detect_stored"),
    ("TreeSubject", "nmo", "detect_archive"),
    ("TreeSubject", "oci", "detect_tree"),
    ("LinesSubject:prose", "hfr", "detect_prose"),
    ("LinesSubject:prose", "agt", "detect_rules"),
    ("LinesSubject:text", "agt", "detect_rules"),
    ("LinesSubject:text", "hfr", "detect_requirements"),
    ("LinesSubject:git", "hfr", "detect_git"),
    ("LinesSubject:dockerfile", "oci", "detect_dockerfile"),
    ("LinesSubject:ini", "mlo", "detect_settings"),
    ("LinesSubject:prototxt", "mlo", "detect_settings"),
    ("LinesSubject:shell", "mlo", "detect_script"),
    ("LinesSubject:shell", "agt", "detect_scripts"),
    ("LinesSubject:prototxt", "nat", "detect_prototxt"),
    ("LinesSubject:prototxt", "tfl", "detect_text"),
    ("LinesSubject:modelfile", "ggf", "detect_modelfile"),
    ("LinesSubject:lightgbm", "cml", "detect_lightgbm"),
    ("LinesSubject:java", "cml", "detect_pojo"),
    ("LinesSubject:ini", "cml", "detect_spacy"),
    ("DocumentSubject:keras", "krs", "detect_config"),
    ("DocumentSubject:tfjs", "tfl", "detect_tfjs"),
    ("DocumentSubject:xgboost", "cml", "detect_xgboost"),
    ("DocumentSubject:mxnet", "nat", "detect_mxnet"),
    ("DocumentSubject:hub", "nat", "detect_plugins"),
    ("DocumentSubject:coreml-package", "nat", "detect_package"),
    ("FactsSubject:onnx", "onx", "detect_onnx"),
    ("FactsSubject:ort", "onx", "detect_ort"),
    ("FactsSubject:broken ort", "onx", "detect_broken"),
    ("FactsSubject:broken onnx", "onx", "detect_broken"),
    ("FactsSubject:broken savedmodel", "onx", "detect_broken"),
    ("FactsSubject:tensorflow", "tfl", "detect_graph"),
    ("FactsSubject:tflite", "tfl", "detect_tflite"),
    ("FactsSubject:broken tflite", "tfl", "detect_broken_tflite"),
    ("FactsSubject:hdf5", "krs", "detect_hdf5"),
    ("FactsSubject:gguf", "ggf", "detect_gguf"),
    ("FactsSubject:sentencepiece", "tok", "detect_sentencepiece"),
    ("FactsSubject:coreml", "nat", "detect_coreml"),
    ("FactsSubject:paddle", "nat", "detect_operators"),
    ("FactsSubject:caffe", "nat", "detect_operators"),
    ("FactsSubject:tensorrt", "nat", "detect_tensorrt"),
    ("FactsSubject:bitstream", "nat", "detect_bitstream"),
    ("FactsSubject:torch7", "nat", "detect_torch7"),
    ("FactsSubject:markup", "nat", "detect_openvino"),
    ("FactsSubject:markup", "cml", "detect_markup"),
    ("FactsSubject:rds", "cml", "detect_rds"),
    ("FactsSubject:catboost", "cml", "detect_catboost"),
    ("FactsSubject:java", "cml", "detect_java"),
    ("FactsSubject:matlab", "cml", "detect_matlab"),
    ("FactsSubject:bson", "cml", "detect_julia"),
    ("FactsSubject:binaryformatter", "cml", "detect_dotnet"),
    ("FactsSubject:fasttext", "cml", "detect_fasttext"),
    ("FactsSubject:mlir", "jax", "detect_exported"),
    ("LinesSubject:mlir", "jax", "detect_text"),
    ("DocumentSubject:kubernetes", "mlo", "detect_conversion"),
    ("TreeSubject", "mlo", "detect_package"),
    ("TemplateSubject", "ggf", "detect_template"),
    ("MemberSubject", "members", "detect_gguf"),
    ("MemberSubject", "members", "detect_native"),
    ("MemberSubject", "members", "detect_library"),
    ("MemberSubject", "members", "detect_appended"),
    ("TreeSubject", "ggf", "detect_archive"),
    ("TreeSubject", "ggf", "detect_splits"),
    ("TreeSubject", "krs", "detect_archive"),
    ("TreeSubject", "onx", "detect_archive"),
    ("TreeSubject", "cml", "detect_mojo"),
    ("PackageSubject", "pkg_files", "detect_start"),
    ("PackageSubject", "pkg", "detect_package"),
    ("PackageSubject", "pkg_files", "detect_files"),
    ("PackageSubject", "package_scripts", "detect_scripts"),
    ("PackageSubject", "package_scripts", "detect_flows"),
    ("PackageSubject", "pkg_files", "detect_natives"),
    ("RepositorySubject", "onx", "detect_repository"),
    ("RepositorySubject", "tfl", "detect_repository"),
    ("RepositorySubject", "nat", "detect_repository"),
    ("RepositorySubject", "hfr_code", "detect_repository"),
    ("RepositorySubject", "hfr_code", "detect_package"),
    ("RepositorySubject", "tok", "detect_repository"),
    ("RepositorySubject", "stn", "detect_repository"),
    ("RepositorySubject", "stn", "detect_shards"),
    ("RepositorySubject", "adp", "detect_repository"),
    ("RepositorySubject", "tpl", "detect_copies"),
)

_WITH_NAMES: Final = frozenset({"idn"})


@cache
def _detectors(kind: str, roles: tuple[str, ...]) -> tuple[tuple[Callable[..., Iterator[Finding]], bool], ...]:
    """The detectors of a kind of subject, each with whether it wants to know names as well."""
    wanted = {kind, *(f"{kind}:{role}" for role in roles)}
    return tuple(
        (getattr(import_module(f"weighbridge.detect.{module}"), function), module in _WITH_NAMES)
        for module, function in dict.fromkeys(
            (module, function) for subject, module, function in DETECTORS if subject in wanted
        )
    )


def _roles(subject: Subject) -> tuple[str, ...]:
    """What narrows a subject down: the roles of a document, the kind of lines or facts."""
    found: tuple[str, ...] = getattr(subject, "roles", None) or (
        getattr(subject, "kind", "") or getattr(subject, "format", ""),
    )
    return found


def detect(subject: Subject, own: Own = NOBODY) -> Iterator[Finding]:
    """Everything that the detectors have to say about one subject. `own` is what an organisation knows of names."""
    for detector, with_names in _detectors(type(subject).__name__, _roles(subject)):
        yield from detector(subject, _table(own)) if with_names else detector(subject)


def _table(own: Own) -> Names:
    from weighbridge.names.lookalike import shipped  # noqa: PLC0415  # most artifacts name no repository

    return shipped(own)


__all__ = ["DETECTORS", "Knowledge", "detect"]

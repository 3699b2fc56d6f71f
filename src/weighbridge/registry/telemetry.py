"""Knows how a registry tells OpenTelemetry what it does: one span a request, one trace a case with a span a step.

It is on where the environment names a collector (OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) and needs
the extra `otel`; off, it costs one comparison a request. Nothing that a span carries comes from a query, a body or a token.
Sources: OpenTelemetry semantic conventions for HTTP spans 1.23; W3C Trace Context.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

from weighbridge.registry.logs import trace_of
from weighbridge.schema import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMED: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OFF: Final = "OTEL_SDK_DISABLED"
_SAMPLED: Final = 1


class Telemetry:
    """Spans of one process; without a collector, nothing."""

    def __init__(self) -> None:
        self._tracer: Any = None
        self._provider: Any = None

    @property
    def on(self) -> bool:
        """Whether anybody listens."""
        return self._tracer is not None

    def begin(self, name: str) -> None:
        """Send spans to the collector that the environment names, if any. Raises Unavailable without the extra."""
        if self.on or os.environ.get(_OFF, "").lower() == "true" or not any(os.environ.get(one) for one in _NAMED):
            return
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # an extra
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        except ImportError as error:
            raise Unavailable(
                f"{_NAMED[0]} names a collector, and the extra otel is not there ({error.name})",
                hint="pip install 'weighbridge[otel]', or unset the variable",
            ) from error
        from weighbridge import __version__  # noqa: PLC0415  # the package imports this module's siblings

        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before this.
        resource = Resource.create().merge(Resource({"service.version": __version__, "weighbridge.registry": name}))
        if not os.environ.get("OTEL_SERVICE_NAME"):
            resource = resource.merge(Resource({"service.name": "weighbridge"}))
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("weighbridge", __version__)

    def end(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()
        self._tracer = self._provider = None

    def request(
        self,
        method: str,
        route: str,
        status: int,
        seconds: float,
        *,
        path: str,
        client: str,
        headers: Mapping[str, str],
    ) -> None:
        """A request that was answered just now, in the trace of its client where that names one."""
        if self._tracer is None:
            return
        from time import time_ns  # noqa: PLC0415  # only where somebody listens

        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

        named = trace_of(headers.get("traceparent", ""))
        ended = time_ns()
        span = self._tracer.start_span(
            f"{method} {route}", kind=SpanKind.SERVER, start_time=ended - int(seconds * 1e9),
            context=_below(int(named["trace_id"], 16), int(named["span_id"], 16)) if named else None,
            attributes={
                "http.request.method": method, "http.route": route, "url.path": path, "client.address": client,
                "http.response.status_code": status, "user_agent.original": headers.get("user-agent", "")[:300],
            },
        )  # fmt: skip
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    @contextlib.contextmanager
    def step(self, step: str, case: int, round_: int, registry: str) -> Iterator[dict[str, Any]]:
        """A step of a case, in the trace of that case whichever process does it. What is put into the dictionary goes along."""
        more: dict[str, Any] = {}
        if self._tracer is None:
            yield more
            return
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415  # only where somebody listens

        trace, root = _of_case(registry, case, round_)
        attributes = {"weighbridge.case": case, "weighbridge.round": round_, "weighbridge.step": step}
        span = self._tracer.start_span(f"case {step}", context=_below(trace, root), attributes=attributes)
        try:
            yield more
        except BaseException as error:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            for name, value in more.items():
                span.set_attribute(f"weighbridge.{name}", value)
            span.end()


TELEMETRY: Final = Telemetry()


def _of_case(registry: str, case: int, round_: int) -> tuple[int, int]:
    """(trace, root span) of one round of a case: the same in every process, without anybody passing it on."""
    made = hashlib.sha256(f"{registry} case {case} round {round_}".encode()).digest()
    return int.from_bytes(made[:16], "big") or 1, int.from_bytes(made[16:24], "big") or 1


def _below(trace: int, span: int) -> Any:
    """The context of a span that another process holds."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context  # noqa: PLC0415

    held = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(_SAMPLED))
    return set_span_in_context(NonRecordingSpan(held))

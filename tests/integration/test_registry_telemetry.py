"""Spans of the registry, as a collector on loopback receives them."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration.test_registry_hub import EVIL
from tests.integration.test_registry_routes import ask
from tests.registry import running
from weighbridge.registry.telemetry import TELEMETRY, Telemetry
from weighbridge.schema import Unavailable

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collected(monkeypatch):
    """The spans that arrive; `TELEMETRY.end()` sends what is left."""
    found = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in body.resource_spans:
                about = {one.key: one.value.string_value for one in resource.resource.attributes}
                found.extend((about, span) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    TELEMETRY.begin("weighbridge")
    yield found
    TELEMETRY.end()
    server.shutdown()
    server.server_close()


def said(span):
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_request_is_a_span_in_the_trace_of_its_client_without_any_secret(tmp_path, collected):
    with running(tmp_path) as place:
        token = place.token("ruth", "reader")
        ask(place, "GET", f"/api/models/acme/net?token={token}", token, traceparent=f"00-{TRACE}-{SPAN}-01")
    # A span ends once the answer is out; the server has ended its requests when it has stopped.
    TELEMETRY.end()

    ((about, span),) = [one for one in collected if said(one[1]).get("url.path") == "/api/models/acme/net"]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert said(span)["http.response.status_code"] == 404
    assert about["service.name"] == "weighbridge"
    assert about["weighbridge.registry"] == "weighbridge"
    assert span.end_time_unix_nano > span.start_time_unix_nano
    assert token not in str(span)


def test_the_steps_of_a_case_are_one_trace_and_say_what_came_of_them(tmp_path, collected):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/model.pkl").write_bytes(EVIL)
    with running(tmp_path) as place:
        case = place.client().push("model", "acme/bad", str(tmp_path / "bad"), "x")
        assert place.settled(case) == "rejected"
        TELEMETRY.end()

    steps = [span for _, span in collected if span.name.startswith("case ")]
    assert [one.name for one in steps] == [
        f"case {step}" for step in ("fetch", "hash", "inspect", "convert", "test", "decide")
    ]
    assert len({one.trace_id for one in steps}) == 1
    assert {said(one)["weighbridge.case"] for one in steps} == {case}
    assert {said(one)["weighbridge.outcome"] for one in steps} == {"done"}


def test_a_step_that_fails_is_an_error_of_its_span(collected):
    with pytest.raises(OSError, match="gone"), TELEMETRY.step("fetch", 7, 1, "weighbridge"):
        raise OSError("gone")
    TELEMETRY.end()

    ((_, span),) = collected
    assert span.status.code == 2
    assert span.events[0].name == "exception"


def test_without_a_collector_nothing_is_told(monkeypatch):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    telemetry = Telemetry()

    telemetry.begin("weighbridge")

    assert not telemetry.on
    with telemetry.step("fetch", 1, 1, "weighbridge") as more:
        more["outcome"] = "done"


def test_a_collector_without_the_extra_is_refused_in_words(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(Unavailable, match="the extra otel is not there"):
        Telemetry().begin("weighbridge")

"""The registry's own API does what its description says, whatever it is asked (schemathesis)."""

import json

import jsonschema
import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.registry import running

# What could end the token that everything else is asked with is asked about somebody else.
ELSEWHERE = {"user": "somebody", "number": 999_999}


def test_every_answer_is_as_described_and_never_an_internal_error(tmp_path):
    with running(tmp_path, requests_a_minute=10**9) as place:
        token = place.token("admin")
        schema = schemathesis.openapi.from_url(f"{place.address}/api/weighbridge/v1/openapi.json")
        asked = 0
        for found in schema.get_all_operations():
            operation = found.ok()

            @given(case=operation.as_strategy())
            @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            def check(case):
                nonlocal asked
                asked += 1
                for name in ELSEWHERE.keys() & case.path_parameters.keys():
                    case.path_parameters[name] = ELSEWHERE[name]
                answer = case.call(headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code < 500, (case.method, case.path, case.body, answer.text)
                if answer.status_code >= 400 and "/api/" in case.operation.path:
                    assert answer.json()["error"]
                elif (
                    case.operation.path.endswith(("/cases", "/approve", "/tokens", "/webhooks"))
                    and answer.status_code == 200
                ):
                    case.validate_response(answer, checks=(schemathesis.checks.response_schema_conformance,))

            check()
        assert asked > 200


def test_the_description_is_one(tmp_path):
    with running(tmp_path) as place:
        described = place.client()._call("GET", "/api/weighbridge/v1/openapi.json")
        table = json.loads(described)
    for schema in table["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert table["openapi"] == "3.1.0"

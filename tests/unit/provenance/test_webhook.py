"""Messages to webhooks are signed as their standard says."""

import pytest

from weighbridge.provenance.webhook import headers
from weighbridge.schema import UsageError


def test_the_signature_is_the_one_of_the_standard():
    # The example of Standard Webhooks 1.0.
    made = headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_nothing_is_signed_and_a_broken_one_is_told():
    assert "webhook-signature" not in headers("", "1", 1, b"")
    with pytest.raises(UsageError):
        headers("whsec_!", "1", 1, b"")

"""A signed request to an S3 server: buckets are created with it, which obstore cannot do."""

from __future__ import annotations

import hashlib
import hmac
import urllib.request
from datetime import UTC, datetime


def create_bucket(endpoint: str, bucket: str, key: str, secret: str, region: str = "us-east-1") -> None:
    """PUT the bucket. Raises urllib.error.HTTPError."""
    host = endpoint.partition("://")[2]
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    empty = hashlib.sha256(b"").hexdigest()
    signed = "host;x-amz-content-sha256;x-amz-date"
    request = f"PUT\n/{bucket}\n\nhost:{host}\nx-amz-content-sha256:{empty}\nx-amz-date:{now}\n\n{signed}\n{empty}"
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    derived = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(derived, to_sign.encode(), hashlib.sha256).hexdigest()
    headers = {
        "x-amz-date": now,
        "x-amz-content-sha256": empty,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={signed}, Signature={signature}",
    }
    urllib.request.urlopen(
        urllib.request.Request(f"{endpoint}/{bucket}", method="PUT", headers=headers), timeout=20
    ).close()

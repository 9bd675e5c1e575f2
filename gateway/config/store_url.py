"""The parts of `records.store`.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

_OPTIONS = frozenset({"endpoint", "region"})


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """`s3://BUCKET/PREFIX?endpoint=URL&region=NAME`."""

    bucket: str
    prefix: str
    endpoint: str = ""
    """Of a store that is not Amazon's; the bucket's name goes into the path then."""
    region: str = ""

    @classmethod
    def parse(cls, url: str) -> StoreUrl:
        """Parse a URL.

        Raises:
            ValueError: what is wrong with it.
        """
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise ValueError("must be s3://BUCKET/PREFIX?endpoint=https://HOST")
        if "@" in parts.netloc:
            raise ValueError("keys do not belong here: set AWS_ACCESS_KEY_ID and the like")
        options = parse_qs(parts.query, keep_blank_values=True)
        if unknown := sorted(set(options) - _OPTIONS):
            raise ValueError(f'unknown option "{unknown[0]}"; known: endpoint, region')
        endpoint = options.get("endpoint", [""])[0].rstrip("/")
        if endpoint and urlsplit(endpoint).scheme not in {"http", "https"}:
            raise ValueError(f'endpoint must begin with http:// or https://, not "{endpoint}"')
        region = options.get("region", [""])[0]
        return cls(parts.netloc, parts.path.strip("/"), endpoint, region)

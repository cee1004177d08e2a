"""Passwords as scrypt hashes, and secrets as SHA-256: what is stored opens nothing by itself."""

import base64
import hashlib
import hmac
import secrets

# OWASP's password storage advice for scrypt: N = 2^15, r = 8, p = 3, or more memory with less work; 32 MiB here.
_COST, _BLOCK, _PARALLEL = 2**15, 8, 3
_MEMORY = 64 << 20
SHORTEST_PASSWORD = 10
"""Characters."""


def hash_password(password: str) -> str:
    """A salted hash with its parameters, as one string."""
    salt = secrets.token_bytes(16)
    key = _scrypt(password, salt, _COST, _BLOCK, _PARALLEL)
    parts = (_COST, _BLOCK, _PARALLEL, base64.b64encode(salt).decode(), base64.b64encode(key).decode())
    return "$".join(("scrypt", *map(str, parts)))


def password_matches(password: str, stored: str) -> bool:
    """Whether a password is the one that was hashed; takes the same time either way."""
    _, cost, block, parallel, salt, key = stored.split("$")
    found = _scrypt(password, base64.b64decode(salt), int(cost), int(block), int(parallel))
    return hmac.compare_digest(found, base64.b64decode(key))


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=cost, r=block, p=parallel, maxmem=_MEMORY, dklen=32)


def new_secret() -> str:
    """A secret for a link, a cookie or a header: 256 random bits."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

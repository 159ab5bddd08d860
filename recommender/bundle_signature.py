"""Ed25519 over the bytes of a manifest: who made a bundle.

``cryptography`` is imported only where a key is configured. Keys are raw 32 bytes.
"""

from __future__ import annotations


def public_key(signing_key: bytes) -> bytes:
    """The public half of a private key; ``ValueError`` for anything but 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(signing_key).public_key().public_bytes_raw()


def sign(message: bytes, signing_key: bytes) -> bytes:
    """Signature of 64 bytes; equal for equal message and key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(signing_key).sign(message)


def is_signed(message: bytes, signature: bytes, verify_key: bytes) -> bool:
    """Whether the owner of ``verify_key`` signed exactly this message."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(verify_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True

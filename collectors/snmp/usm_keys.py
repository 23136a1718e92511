"""From passphrases to keys, and what is done with them: digests and ciphers of SNMPv3's user-based security.

RFC 3414 (MD5, SHA-1, DES), RFC 7860 (SHA-2), RFC 3826 (AES-128); AES-192 and AES-256 as two drafts lengthen the keys.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from twin.vocab.inventory import SnmpV3

DIGESTS: Final = {  # name in hashlib, octets of the digest that are sent
    "MD5": ("md5", 12),
    "SHA": ("sha1", 12),
    "SHA-224": ("sha224", 16),
    "SHA-256": ("sha256", 24),
    "SHA-384": ("sha384", 32),
    "SHA-512": ("sha512", 48),
}
KEY_OCTETS: Final = {"AES-128": 16, "AES-192": 24, "AES-256": 32, "DES": 16}
_EXPANDED = 1 << 20
_BLOCK = 8  # of DES


@lru_cache(maxsize=256)
def passphrase_key(passphrase: bytes, digest: str) -> bytes:
    """The user's key Ku (RFC 3414 appendix A.2); costs milliseconds, so it is remembered."""
    repeated = passphrase * (_EXPANDED // len(passphrase) + 1)
    return hashlib.new(digest, repeated[:_EXPANDED], usedforsecurity=True).digest()


def localised_key(key: bytes, engine_id: bytes, digest: str) -> bytes:
    """The key Kul for one engine (RFC 3414 section 2.6)."""
    return hashlib.new(digest, key + engine_id + key).digest()


def extended_key(key: bytes, engine_id: bytes, digest: str, octets: int, extension: str) -> bytes:
    """A localised key made at least ``octets`` long and cut there.

    By draft-blumenthal-aes-usm-04 section 3.1.2.1, or draft-reeder-snmpv3-usm-3desede-00 section 2.1.
    """
    while len(key) < octets:
        if extension == "blumenthal":
            key += hashlib.new(digest, key).digest()
        else:
            key += localised_key(passphrase_key(key, digest), engine_id, digest)
    return key[:octets]


@dataclass(frozen=True)
class Keys:
    """One user's keys at one engine; ``cipher`` is None without privacy, ``digest`` empty without authentication."""

    digest: str = ""
    digest_octets: int = 0
    auth_key: bytes = b""
    cipher: AesCipher | DesCipher | None = None

    def sign(self, whole: bytes) -> bytes:
        """The digest of a message in which its place is zeros."""
        return hmac.digest(self.auth_key, whole, self.digest)[: self.digest_octets]


def keys_of(user: SnmpV3, engine_id: bytes) -> Keys:
    """A user's keys at one engine."""
    if user.auth_passphrase is None:
        return Keys()
    digest, octets = DIGESTS[user.auth]
    auth_key = localised_key(passphrase_key(user.auth_passphrase.reveal().encode(), digest), engine_id, digest)
    if user.privacy_passphrase is None:
        return Keys(digest, octets, auth_key)
    localised = localised_key(passphrase_key(user.privacy_passphrase.reveal().encode(), digest), engine_id, digest)
    key = extended_key(localised, engine_id, digest, KEY_OCTETS[user.privacy], user.key_extension)
    return Keys(digest, octets, auth_key, DesCipher(key) if user.privacy == "DES" else AesCipher(key))


class AesCipher:
    """AES in CFB mode, 128 bits fed back (RFC 3826 section 3.1)."""

    padding = 0

    def __init__(self, key: bytes) -> None:
        self._algorithm = AES(key)

    def encrypt(self, plain: bytes, boots: int, clock: int, count: int) -> tuple[bytes, bytes]:
        """The encrypted octets, and the privacy parameters by which they are decrypted. ``count``: never the same."""
        salt = count.to_bytes(8)
        return _all_of(self._cipher(boots, clock, salt).encryptor(), plain), salt

    def decrypt(self, encrypted: bytes, boots: int, clock: int, parameters: bytes) -> bytes:
        """Raises ValueError: parameters that can't be."""
        if len(parameters) != 8:
            raise ValueError("privacy parameters of AES have 8 octets")
        return _all_of(self._cipher(boots, clock, parameters).decryptor(), encrypted)

    def _cipher(self, boots: int, clock: int, salt: bytes) -> Cipher[CFB]:
        return Cipher(self._algorithm, CFB(boots.to_bytes(4) + clock.to_bytes(4) + salt))


class DesCipher:
    """DES in CBC mode (RFC 3414 section 8); broken, only for equipment that has nothing else."""

    padding = _BLOCK - 1

    def __init__(self, key: bytes) -> None:
        self._algorithm = TripleDES(key[:8] * 3)
        self._pre_iv = key[8:16]

    def encrypt(self, plain: bytes, boots: int, _clock: int, count: int) -> tuple[bytes, bytes]:
        """The encrypted octets, and the privacy parameters by which they are decrypted. ``count``: never the same."""
        salt = boots.to_bytes(4) + (count & 0xFFFFFFFF).to_bytes(4)
        padded = plain + bytes(-len(plain) % _BLOCK)
        return _all_of(self._cipher(salt).encryptor(), padded), salt

    def decrypt(self, encrypted: bytes, _boots: int, _clock: int, parameters: bytes) -> bytes:
        """Raises ValueError: parameters that can't be, or not whole blocks."""
        if len(parameters) != 8 or len(encrypted) % _BLOCK:
            raise ValueError("DES has 8 octets of parameters and whole blocks")
        return _all_of(self._cipher(parameters).decryptor(), encrypted)

    def _cipher(self, salt: bytes) -> Cipher[CBC]:
        return Cipher(self._algorithm, CBC(bytes(a ^ b for a, b in zip(self._pre_iv, salt, strict=True))))


def _all_of(context: CipherContext, data: bytes) -> bytes:
    return context.update(data) + context.finalize()

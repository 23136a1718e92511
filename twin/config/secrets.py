"""Secrets inside configurations, replaced by keyed hashes: equal secrets stay equal, a changed one shows as a change.

Covers FRR, IOS, IOS XR, NX-OS, EOS, Junos and VRP text, snmpd.conf, and NETCONF XML. The tables are meant to grow.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

MARK = "hashed:"
_TYPES = r"(?:(?:\d{1,2}|encrypted|clear|cipher|simple|plain|plaintext|irreversible-cipher|sha512|level \d+)\s+)*"
_WORD = r'(?P<secret>"[^"\n]*"|[^\s;"]+)'
_REST = r"(?P<secret>\S(?:.*\S)?)(?=\s*$)"

# lines that only describe: words such as "password" mean nothing in them
PLAIN_LINES = re.compile(r"^\s*(?:set\s.*\s)?(?:description|remark|banner)\s", re.IGNORECASE)

# what stands before a secret that reaches to the end of the line (it may hold spaces)
TO_END_OF_LINE = (
    r"\b(?:password|passwd|secret|passphrase|shared-secret|pre-shared-secret)\s+" + _TYPES,
    r"\b(?:key-string|authentication-key|md5-key|encrypted-password|plain-text-password|simple-password)\s+" + _TYPES,
    r"\bmessage-digest-key\s+\d+\s+(?:md5\s+)?" + _TYPES,
    r"\b(?:tacacs|radius|tacacs-server|radius-server|aaa|server|server-private)\b.{0,200}?\bkey\s+" + _TYPES,
    r"\bcrypto isakmp key\s+" + _TYPES,
    r"\bpre-shared-key\s+(?:(?:local|remote|ascii-text|hexadecimal|address \S+ key)\s+)*" + _TYPES,
    r"\bkey\s+(?:[05678]|hex|ascii)\s+",
    r"\b(?:set-)?key\s+(?:(?:ascii|hex)\s+)?(?:\d\s+)?(?=\")",
    r"\bset-key\s+(?:(?:ascii|hex)\s+)?" + _TYPES,
    r"^\s*key\s+(?!chain\b|\d+\s*$|config-key\b)",
    r"\b(?:isis|area|domain)[- ]password\s+" + _TYPES,
    r"\bauthentication\s+(?:text|string|simple|key|mode\s+md5)\s+" + _TYPES,
    r"^\s*(?:standby|vrrp|glbp)\s+(?:\d+\s+)?authentication\s+(?!(?:md5|text|mode|key-chain)\b)" + _TYPES,
    r"\bauthentication\s+(?:mode\s+)?hmac-\S+\s+(?!key-chain\b)" + _TYPES,
    r"\b(?:api|auth|access|bearer|secret|refresh)[-_](?:token|key)\s+" + _TYPES,
    r"^\s*(?:set\s.*\s)?token\s+" + _TYPES,
    r"\bauthentication-mode\s+(?:md5|sha\S*|simple|hmac-\S+)\s+(?:\d+\s+)?" + _TYPES,
    r"\bprivacy-mode\s+\S+\s+" + _TYPES,
    r"\bwpa-psk\s+(?:ascii|hex)\s+" + _TYPES,
    r"^\s*(?:ro|rw)(?:community|user)6?\s+",
    r"^\s*(?:com2sec6?|createUser|trapcommunity|trap2?sink|informsink|defCommunity|defAuthPassphrase|defPrivPassphrase)\s+",
)
# what stands before a secret of one word (or one quoted text)
ONE_WORD = (
    r"\bsnmp-server community\s+" + _TYPES,
    r"\bsnmp-agent community\s+(?:(?:read|write)\s+)?" + _TYPES,
    r"\bset snmp community\s+",
    r"^\s*community\s+(?=\S+\s*\{)",
    r"\bsnmp-server host\s+\S+\s+(?:(?:vrf \S+|use-vrf \S+|traps?|informs?|version (?:1|2c|3 \w+))\s+)*",
    r"\b(?:auth|authentication)\s+(?:md5|sha\d*|sha-\d+)\s+(?!key-chain\b)(?:key-string\s+)?" + _TYPES,
    r"\bpriv\s+(?:(?:des|3des|des56|aes|aes-?\d+)\s+)?(?:\d{3}\s+)?",
    r"\b(?:privacy|authentication)-password\s+" + _TYPES,
    r"\bntp authentication-key\s+\d+\s+(?:md5|sha\d*)\s+" + _TYPES,
)
# crypt(3), Cisco type 8/9/14 and Junos $8$/$9$ texts, wherever they stand
HASHES = re.compile(r"(?P<secret>\$(?:[0-9]{1,2}|y|2[abxy]|sha\d+|apr1)\$[^\s\";<&]+)")

# names of XML elements that hold a secret (auth-password, enable-secret, authKey, ...)
XML_ELEMENTS = (
    r"[\w.-]*(?:password|passwd|pass-?phrase|secret|token|psk|keystring|key-string|hexadecimal-string)",
    r"(?:[\w.-]*[-_.])?(?:pass|credential|credentials|pin)",
    r"(?:auth|priv|privacy|private|shared|secret|session|api)key",
    r"community|community-string|community-name|text-name|binary-name|security-name|encrypted-value",
)
# names that end in key, and those of them that hold none; a number of up to three digits only tells keys apart
XML_KEYS = (r"(?!(?:[\w.-]*-)?(?:public|host|primary|foreign|sort|list|index)-key\b)(?:[\w.-]*[-_.])?key",)
_NOT_BOOLEAN = r"(?!\s*(?:true|false)\s*<)"
_NOT_A_NUMBER = r"(?!\s*\d{1,3}\s*<)"


def _xml(names: tuple[str, ...], unless: str) -> re.Pattern[str]:
    start = rf"<(?P<tag>(?:[\w-]+:)?(?:{'|'.join(names)}))(?:\s[^<>]*)?>"
    secret = rf"{unless}(?P<secret><!\[CDATA\[(?:(?!<(?P=tag)[\s>]).){{0,4096}}?\]\]>|[^<]*[^<\s][^<]*)"
    return re.compile(rf"(?P<before>{start}){secret}(?=</(?P=tag)\s*>)", re.IGNORECASE | re.DOTALL)


_XML = (_xml(XML_ELEMENTS, _NOT_BOOLEAN), _xml(XML_KEYS, _NOT_BOOLEAN + _NOT_A_NUMBER))
_PEM_WORD = r"(?:(?!-----(?:BEGIN|END) )\S)+"
_PEM = re.compile(
    rf"(?P<before>-----BEGIN [A-Z ]*PRIVATE KEY-----\s*)(?P<secret>{_PEM_WORD}(?:\s+{_PEM_WORD})*)"
    r"(?=\s*-----END [A-Z ]*PRIVATE KEY-----)"
)
_XML_COMMUNITY = re.compile(r"(?P<before><community>\s*<name>)(?P<secret>[^<]+)(?=</name>)")

_LINES = tuple(
    re.compile(f"(?P<before>{before}){after}", re.IGNORECASE)
    for table, after in ((TO_END_OF_LINE, _REST), (ONE_WORD, _WORD))
    for before in table
)


def redact(text: str, key: bytes) -> str:
    """The text with each secret as ``hashed:`` and 16 hexadecimal digits of HMAC-SHA-256 under ``key``.

    Idempotent. Lines without a secret stay byte for byte.

    Raises:
        ValueError: the key is shorter than 16 bytes.
    """
    if len(key) < 16:
        raise ValueError("the key for hashing secrets needs at least 16 bytes")
    replace = _replacer(key)
    for pattern in (*_XML, _XML_COMMUNITY, _PEM):
        text = pattern.sub(replace, text)
    return "".join(_redact_line(line, replace) for line in text.splitlines(keepends=True))


def _redact_line(line: str, replace: Callable[[re.Match[str]], str]) -> str:
    if PLAIN_LINES.match(line):
        return line
    for pattern in (*_LINES, HASHES):
        line = pattern.sub(replace, line)
    return line


def _replacer(key: bytes) -> Callable[[re.Match[str]], str]:
    def replace(match: re.Match[str]) -> str:
        before = match.groupdict().get("before", "")
        secret = match["secret"]
        bare = secret.strip('"')
        if not bare or re.fullmatch(rf"\s*{MARK}[0-9a-f]{{16}}\s*", bare):
            return match[0]
        digest = hmac.new(key, bare.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()[:16]
        quote = '"' if secret[:1] == secret[-1:] == '"' and len(secret) > 1 else ""
        return f"{before}{quote}{MARK}{digest}{quote}"

    return replace

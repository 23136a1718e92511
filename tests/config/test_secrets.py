"""No secret of a configuration survives redaction; everything else does."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from twin.config.secrets import redact

KEY = b"0123456789abcdef"
OTHER = b"fedcba9876543210"

WITH_SECRET = """
auth-pass auth-password authPassword api-token token cleartext-password encrypted-password key authentication-key
pre-shared-key psk wpa-psk shared-secret secret enable-secret passphrase pass-phrase md5-key hello-key session-key
cleartext-private-key cleartext-symmetric-key private_key authKey privKey keystring key-string hexadecimal-string
community-string text-name encrypted-value credentials hmac-sha-1-key tacacs-server-key
"""

# one line each; S is where the secret stands
LINES = [
    # FRR and IOS
    "enable secret 5 S",
    "enable password S",
    "password S",
    " password 7 S",
    "username ann privilege 15 secret 9 S",
    "username ann password 0 S",
    "snmp-server community S RO 10",
    "snmp-server community S",
    "snmp-server host 10.0.0.1 version 2c S",
    "snmp-server host 10.0.0.1 traps S",
    "snmp-server user ann grp v3 auth sha S priv aes 128 other",
    "snmp-server user ann grp v3 auth sha other priv aes 128 S",
    "  key-string 7 S",
    "  key-string S",
    " neighbor 10.0.0.1 password 7 S",
    " neighbor 10.0.0.1 password S",
    " ip ospf authentication-key S",
    " ip ospf message-digest-key 1 md5 7 S",
    " ip ospf message-digest-key 1 md5 S",
    " area 0 virtual-link 10.0.0.1 message-digest-key 1 md5 S",
    "tacacs-server host 10.0.0.1 key 7 S",
    "radius-server key S",
    "tacacs server one\n key 7 S",
    "crypto isakmp key S address 10.0.0.1",
    " pre-shared-key address 10.0.0.1 key S",
    "ntp authentication-key 1 md5 S",
    " isis password S level-2",
    " area-password S",
    " standby 1 authentication md5 key-string S",
    " vrrp 1 authentication text S",
    " standby 1 authentication S",
    " standby authentication S",
    " vrrp 12 authentication S",
    "  authentication hmac-sha-1 S",
    "  authentication mode hmac-sha-256 7 S",
    "ntp authentication-key 1 hmac-sha2-256 S",
    " api-token S",
    " api-key 7 S",
    " token S",
    "set services telemetry token S",
    " ppp chap password 7 S",
    " server-private 10.0.0.1 key S",
    " wpa-psk ascii 0 S",
    "-----BEGIN RSA PRIVATE KEY-----\nS\nS\n-----END RSA PRIVATE KEY-----",
    # XR, NX-OS, EOS
    " neighbor 10.0.0.1\n  password encrypted S",
    "username admin password 5 S  role network-admin",
    "snmp-server user admin network-admin auth md5 S priv 0x11 localizedkey",
    "username admin privilege 15 role network-admin secret sha512 S",
    # Junos
    '    encrypted-password "S"; ## SECRET-DATA',
    'set system root-authentication encrypted-password "S"',
    '    authentication-key "S";',
    '    pre-shared-key ascii-text "S";',
    "    community S {",
    "set snmp community S authorization read-only",
    '    secret "S"; ## SECRET-DATA',
    'set protocols ospf area 0 interface ge-0/0/0 authentication md5 1 key "S"',
    # VRP
    " local-user ann password irreversible-cipher S",
    " snmp-agent community read cipher S",
    " peer 10.0.0.1 password cipher S",
    " ospf authentication-mode md5 1 cipher S",
    " snmp-agent usm-user v3 ann privacy-mode aes128 cipher S",
    # snmpd.conf
    "rocommunity S 10.0.0.0/8",
    "createUser twin SHA-256 S AES other",
    # XML
    "<password>S</password>",
    "<ns:key-string a='1'>S</ns:key-string>",
    "<password><![CDATA[S]]></password>",
    "<snmp><community><name>S</name></community></snmp>",
    "<snmp><community>S</community></snmp>",
    *(f"<x:{name} xmlns:x='u'>S</x:{name}>" for name in WITH_SECRET.split()),
    "<user><name>ann</name><auth><sha><key>S</key></sha></auth><priv><aes><key>other</key></aes></priv></user>",
    "<tacacs><server><key>\n  S\n</key></server></tacacs>",
]
secrets = st.text("abcdefghijkmXYZ0123456789._-+/=!%@#", min_size=6, max_size=24)


@pytest.mark.parametrize("line", LINES)
@settings(max_examples=25, deadline=None)
@given(secret=secrets)
def test_the_secret_never_survives(line: str, secret: str) -> None:
    assume(secret not in line)
    text = f"hostname r1\n{re.sub(r'(?<![A-Za-z])S(?![A-Za-z])', lambda _: secret, line)}\n"
    assert secret in text
    redacted = redact(text, KEY)
    assert secret not in redacted
    assert redacted.startswith("hostname r1\n")
    assert redact(redacted, KEY) == redacted


HASHED = [
    "$1$abc$defghijk",
    "$5$rounds=5000$abc$defg",
    "$6$abc$def/ghi.",
    "$9$LuT7bY4aZ",
    "$14$aa$bb$cc",
    "$2b$12$abcdef",
]


@pytest.mark.parametrize("secret", HASHED)
@pytest.mark.parametrize("line", ["unheard-of command {} more", "<leaf>{}</leaf>", 'x "{}"; ## y'])
def test_password_hashes_go_wherever_they_stand(secret: str, line: str) -> None:
    assert secret not in redact(line.format(secret), KEY)


UNRELATED = """!
hostname r1
service password-encryption
interface eth1
 description password reset by secret squad
 ip address 10.0.0.1/24
 ip ospf cost 10
key chain ospf
 key 1
router bgp 65000
 neighbor 10.0.0.1 remote-as 65001
 neighbor 10.0.0.1 send-community
route-map A permit 10
 set community 65000:1 additive
ip community-list standard X permit 65000:1
aaa new-model
policy-options { community X members 65000:1; }
<interface><name>eth1</name><key>1</key><enabled>true</enabled></interface>
<rsa><public-key>AAAAB3NzaC1yc2EAAAADAQ</public-key><ssh-host-key>AAAAB3NzaC1</ssh-host-key></rsa>
<aaa><send-community>true</send-community><strong-password>true</strong-password><monkey>brass</monkey></aaa>
<key-chain><name>ospf</name><key><key-id>7</key-id></key><bypass>west</bypass></key-chain>
 standby 1 authentication md5 key-chain ospf
 standby 1 priority 110
 authentication mode md5
 keychain-name ospf
"""


def test_lines_without_a_secret_stay_as_they_are() -> None:
    assert redact(UNRELATED, KEY) == UNRELATED


@settings(deadline=None)
@given(st.text())
def test_redaction_is_idempotent_on_any_text(text: str) -> None:
    once = redact(text, KEY)
    assert redact(once, KEY) == once


WORDS = "password secret key 7 5 auth sha priv community md5 snmp-server key-string $1$a$b x { ;"
words = st.sampled_from([*WORDS.split(), '"', "\n"])


@settings(deadline=None)
@given(st.lists(words, max_size=12).map(" ".join))
def test_redaction_is_idempotent_on_nearly_configurations(text: str) -> None:
    once = redact(text, KEY)
    assert redact(once, KEY) == once


def test_the_hash_is_stable_under_one_key_and_changes_with_secret_and_key() -> None:
    first, same, changed = (redact(f"enable secret {s}", KEY) for s in ("one", "one", "two"))
    assert first == same != changed
    assert redact("enable secret one", OTHER) != first


def test_redacted_xml_stays_well_formed() -> None:
    redacted = redact("<data><password>a&amp;b</password><x>1</x></data>", KEY)
    assert etree.fromstring(redacted).findtext("x") == "1"


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        redact("enable secret one", b"short")


HOSTILE = {
    "tags without end": "<password><![CDATA[" * 20_000,
    "keys without end": "-----BEGIN PRIVATE KEY-----\n x " * 20_000,
    "a line of servers": "server " * 100_000,
    "a password of spaces": "password x" + " " * 200_000 + "y",
    "a key of spaces": "-----BEGIN PRIVATE KEY-----\na" + " " * 200_000 + "b",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_takes_more_than_its_length_in_time(text: str) -> None:
    began = time.process_time()
    redact(text, KEY)
    assert time.process_time() - began < 10

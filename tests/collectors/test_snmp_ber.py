"""The codec against pysnmp's: the same octets mean the same; and what is malformed is refused, in one way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder  # type: ignore[import-untyped] # pyasn1 comes without types
from pysnmp.proto import rfc1902, rfc1905
from pysnmp.proto.api import v1 as v1_api
from pysnmp.proto.api import v2c as v2c_api

from collectors.snmp import ber
from collectors.snmp.pysnmp_engine import plain_value
from collectors.snmp.wire import Oid

arcs = st.one_of(st.integers(0, 300), st.integers(0, 0xFFFFFFFF))
oids = st.one_of(
    st.tuples(st.integers(0, 1), st.integers(0, 39)), st.tuples(st.just(2), st.integers(0, 0xFFFFFFFF - 80))
).flatmap(lambda root: st.lists(arcs, max_size=15).map(lambda rest: (*root, *rest)))
values = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(rfc1902.Integer32),
    st.integers(0, 2**32 - 1).flatmap(
        lambda n: st.sampled_from([rfc1902.Counter32(n), rfc1902.Gauge32(n), rfc1902.TimeTicks(n)])
    ),
    st.integers(0, 2**64 - 1).map(rfc1902.Counter64),
    st.binary(max_size=300).map(rfc1902.OctetString),
    st.binary(max_size=20).map(rfc1902.Opaque),
    st.binary(min_size=4, max_size=4).map(rfc1902.IpAddress),
    oids.map(rfc1902.ObjectIdentifier),
    st.sampled_from([v2c_api.Null(""), rfc1905.noSuchObject, rfc1905.noSuchInstance, rfc1905.endOfMibView]),
)
ids = st.integers(-(2**31), 2**31 - 1)


def response(request_id: int, varbinds: Any, community: bytes = b"public") -> bytes:
    pdu = v2c_api.GetResponsePDU()
    v2c_api.apiPDU.set_defaults(pdu)
    v2c_api.apiPDU.set_request_id(pdu, request_id)
    v2c_api.apiPDU.set_varbinds(pdu, varbinds)
    message = v2c_api.Message()
    v2c_api.apiMessage.set_defaults(message)
    v2c_api.apiMessage.set_community(message, community)
    v2c_api.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))


@given(ids, st.lists(st.tuples(oids, values), max_size=30), st.binary(max_size=200))
def test_what_pysnmp_writes_is_read_alike(request_id: int, varbinds: list[tuple[Oid, Any]], community: bytes) -> None:
    message = ber.read_message(response(request_id, varbinds, community))
    assert (message.version, message.community, message.pdu.request_id) == (1, community, request_id)
    got = [(ber.decode_oid(ber.content_of(name)), value) for name, value in ber.scalars(message.pdu)]
    assert got == [(oid, plain_value(value)) for oid, value in varbinds]


@given(st.lists(st.tuples(oids, values), min_size=1, max_size=40), st.integers(1, 7))
def test_columns_hold_what_scalars_hold_up_to_the_end_of_the_view(varbinds: list[tuple[Oid, Any]], width: int) -> None:
    pdu = ber.read_message(response(1, varbinds)).pdu
    ends = (rfc1905.NoSuchObject, rfc1905.NoSuchInstance, rfc1905.EndOfMibView)
    for place, cells in enumerate(pdu.cells(width)):
        own = varbinds[place::width]
        end = next((i for i, (_, value) in enumerate(own) if isinstance(value, ends)), len(own))
        assert [ber.decode_oid(ber.content_of(name)) for name in cells.names] == [oid for oid, _ in own[:end]]
        assert list(cells.values) == [plain_value(value) for _, value in own[:end]]
        assert cells.ended == (end < len(own))
        assert cells.gaps == (None in cells.values)


@given(ids, st.lists(oids, max_size=30), st.integers(1, 200))
def test_what_is_written_pysnmp_reads(request_id: int, names: list[Oid], repetitions: int) -> None:
    pdu = ber.request(ber.GET_BULK, request_id, [ber.encode_oid(name) for name in names], repetitions=repetitions)
    message, rest = decoder.decode(ber.message(1, b"public", pdu), asn1Spec=v2c_api.Message())
    assert not rest
    read = v2c_api.apiMessage.get_pdu(message)
    assert int(v2c_api.apiBulkPDU.get_request_id(read)) == request_id
    assert int(v2c_api.apiBulkPDU.get_max_repetitions(read)) == repetitions
    assert int(v2c_api.apiBulkPDU.get_non_repeaters(read)) == 0
    assert [tuple(name) for name, _ in v2c_api.apiBulkPDU.get_varbinds(read)] == names


@pytest.mark.parametrize("repetitions", [127, 128, 255, 256])
def test_repetitions_are_signed_numbers(repetitions: int) -> None:
    """Written unsigned, 128 is -128 (telegraf issue 8823)."""
    pdu = ber.request(ber.GET_BULK, 1, [], repetitions=repetitions)
    message, _ = decoder.decode(ber.message(1, b"", pdu), asn1Spec=v2c_api.Message())
    assert int(v2c_api.apiBulkPDU.get_max_repetitions(v2c_api.apiMessage.get_pdu(message))) == repetitions


@pytest.mark.parametrize(("kind", "api"), [(ber.GET, "GetRequestPDU"), (ber.GET_NEXT, "GetNextRequestPDU")])
def test_version_1_is_written(kind: int, api: str) -> None:
    pdu = ber.request(kind, 5, [ber.encode_oid((1, 3, 6, 1))])
    message, _ = decoder.decode(ber.message(0, b"old", pdu), asn1Spec=v1_api.Message())
    read = v1_api.apiMessage.get_pdu(message)
    assert type(read).__name__ == api
    assert [tuple(name) for name, _ in v1_api.apiPDU.get_varbinds(read)] == [(1, 3, 6, 1)]


def test_the_longest_object_identifier_is_read_as_written() -> None:
    longest = (1, 3, *[0xFFFFFFFF] * 126)
    message = ber.read_message(of(varbind(ber.encode_oid(longest), ber.content_of(ber.encode_oid(longest)))))
    assert dict(ber.scalars(message.pdu)) == {ber.encode_oid(longest): longest}


@pytest.mark.parametrize("oid", [(), (1,), (3, 1), (1, 40), (1, 3, -1), (1, 3, 1 << 32), (1, 3, *[1] * 127)])
def test_what_is_no_object_identifier_is_not_written(oid: Oid) -> None:
    with pytest.raises(ValueError, match="is no"):
        ber.encode_oid(oid)


def test_lengths_may_be_longer_than_needed() -> None:
    name, value = b"\x06\x82\x00\x03\x2b\x06\x01", b"\x02\x81\x01\x2a"
    varbind = b"\x30\x82\x00" + bytes([len(name + value)]) + name + value
    assert dict(ber.scalars(ber.read_message(of(varbind)).pdu)) == {b"\x06\x03\x2b\x06\x01": 42}


def of(varbinds: bytes, *, tail: bytes = b"", head: bytes = b"\x02\x01\x01") -> bytes:
    """A response with these varbinds; ``tail`` follows them inside the PDU."""
    pdu = b"\x02\x01\x07\x02\x01\x00\x02\x01\x00" + ber.element(0x30, varbinds) + tail
    return ber.element(0x30, head + b"\x04\x06public" + ber.element(0xA2, pdu))


def varbind(value: bytes, name: bytes = b"\x2b\x06\x01") -> bytes:
    return ber.element(0x30, ber.element(6, name) + value)


GOOD = varbind(b"\x02\x01\x01")
VARBINDS = {
    "no value": ber.element(0x30, ber.element(6, b"\x2b")),
    "a value longer than its varbind": b"\x30\x07\x06\x03\x2b\x06\x01\x02\x05",
    "octets after the value": varbind(b"\x02\x01\x01\x00"),
    "octets between varbinds": GOOD + b"\x00" + GOOD,
    "a varbind that claims a little more": b"\x30\x09" + GOOD[2:] + b"\x30\x07" + GOOD[2:],
    "a varbind that claims a little less": b"\x30\x07" + GOOD[2:],
    "a name that is none": ber.element(0x30, b"\x04\x03\x2b\x06\x01\x02\x01\x01"),
    "an empty name": varbind(b"\x05\x00", b""),
    "a name cut short": varbind(b"\x05\x00", b"\x2b\x06\x81"),
    "a padded sub-identifier": varbind(b"\x05\x00", b"\x2b\x06\x80\x01"),
    "a sub-identifier beyond 32 bits": varbind(b"\x05\x00", b"\x2b\x90\x80\x80\x80\x00"),
    "a sub-identifier without end": varbind(b"\x05\x00", b"\x2b" + b"\xff" * 40 + b"\x01"),
    "129 arcs": varbind(b"\x05\x00", b"\x2b" + b"\x01" * 127),
    "an indefinite length": b"\x30\x80\x06\x03\x2b\x06\x01\x02\x01\x01\x00\x00",
    "a length of five octets": b"\x30\x85\x00\x00\x00\x00\x08" + GOOD[2:],
    "a length as long as the memory": b"\x30\x84\xff\xff\xff\xff" + GOOD[2:],
    "a length cut short": b"\x30\x84\x00",
}


@pytest.mark.parametrize("varbinds", VARBINDS.values(), ids=VARBINDS.keys())
def test_malformed_varbinds_are_refused(varbinds: bytes) -> None:
    with pytest.raises(ber.MalformedError) as caught:
        ber.read_message(of(varbinds))
    assert caught.value.request_id == 7
    with pytest.raises(ber.MalformedError):
        ber.read_message(of(GOOD + varbinds + GOOD))


VALUES = {
    "an empty INTEGER": b"\x02\x00",
    "an INTEGER beyond 32 bits": b"\x02\x05\x00\x80\x00\x00\x00",
    "an INTEGER of 6 octets": b"\x02\x06\x00\x00\x00\x00\x00\x01",
    "a Counter32 beyond 32 bits": b"\x41\x05\x01\x00\x00\x00\x00",
    "a Gauge32 of 6 octets": b"\x42\x06\x00\x00\x00\x00\x00\x01",
    "an empty Counter32": b"\x41\x00",
    "a Counter64 beyond 64 bits": b"\x46\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00",
    "a Counter64 of 10 octets": b"\x46\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01",
    "an IpAddress of 5 octets": b"\x40\x05\x01\x02\x03\x04\x05",
    "a NULL with content": b"\x05\x01\x00",
    "a malformed OBJECT IDENTIFIER": b"\x06\x02\x2b\x81",
    "a SEQUENCE": b"\x30\x00",
    "a BOOLEAN": b"\x01\x01\xff",
    "an unknown exception": b"\x83\x00",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("before", [b"", GOOD], ids=["alone", "after another"])
def test_values_that_do_not_fit_their_type_are_refused(value: bytes, before: bytes) -> None:
    with pytest.raises(ber.MalformedError):
        ber.read_message(of(before + varbind(value))).pdu.cells(1)
    with pytest.raises(ber.MalformedError):
        dict(ber.scalars(ber.read_message(of(before + varbind(value))).pdu))


WHOLE: Mapping[str, bytes] = {
    "nothing": b"",
    "one octet": b"\x30",
    "octets after the message": of(GOOD) + b"\x00",
    "a message cut short": of(GOOD)[:-1],
    "octets after the varbinds": of(GOOD, tail=b"\x05\x00"),
    "version 3": of(GOOD, head=b"\x02\x01\x03"),
    "a version of six octets": of(GOOD, head=b"\x02\x06\x00\x00\x00\x00\x00\x01"),
    "a request": of(GOOD).replace(b"\xa2", b"\xa0", 1),
    "a negative error-status": of(GOOD).replace(b"\x02\x01\x00\x02\x01\x00", b"\x02\x01\xff\x02\x01\x00"),
    "a negative error-index": of(GOOD).replace(b"\x02\x01\x00\x02\x01\x00", b"\x02\x01\x00\x02\x01\xff"),
    "sequences within sequences": b"\x30\x82\x7f\xfc" * 8000,
}


@pytest.mark.parametrize("datagram", WHOLE.values(), ids=WHOLE.keys())
def test_malformed_messages_are_refused(datagram: bytes) -> None:
    with pytest.raises(ber.MalformedError):
        ber.read_message(datagram)


@given(st.binary(max_size=400), st.data())
def test_any_octets_are_read_or_refused(noise: bytes, data: st.DataObject) -> None:
    good = response(7, [((1, 3, 6, 1, 2, 1, 1, i), rfc1902.Integer32(i * 99)) for i in range(12)])
    start = data.draw(st.integers(0, len(good)))
    for datagram in (noise, good[:start] + noise + good[start + len(noise) :]):
        try:
            pdu = ber.read_message(datagram).pdu
            cells = pdu.cells(3)
        except ber.MalformedError:
            continue
        assert sum(len(c.names) for c in cells) <= len(pdu.names)
        assert all(2 <= len(ber.decode_oid(ber.content_of(name))) <= 128 for name in pdu.names)

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxmedia_async._errors import UnsafeURL
from wxmedia_async._wire.addresses import check_address, check_link

PRIVATE_V4 = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255"),
    *("127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    "100.100.100.200",
]
PUBLIC_V4 = ["203.205.137.89", "8.8.8.8", "172.32.0.1", "100.128.0.1", "1.1.1.1"]

# Ways to write an IPv4 address in IPv6: mapped, compatible, NAT64, 6to4, Teredo.
EMBEDDED = [
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::169.254.169.254", "64:ff9b:1::7f00:1", "2002:7f00:1::"),
    *("2002:808:808::1", "2001:0:7f00:1::", "::ffff:0:127.0.0.1"),
]
PRIVATE_V6 = [
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("100::1", "2001:db8::1", "3fff::1", "4000::1", "fe80::1%eth0"),
    *("2001:4860:4860::8888%1", *EMBEDDED),
]
PUBLIC_V6 = [
    *("2001:4860:4860::8888", "2402:4e00::1", "64:ff9b::808:808", "::ffff:8.8.8.8")
]


@pytest.mark.parametrize("address", PUBLIC_V4 + PUBLIC_V6)
def test_a_public_address_passes(address: str) -> None:
    """Fault 16: any address of the public internet is allowed."""
    check_address(address, "host.example")


@pytest.mark.parametrize("address", PRIVATE_V4 + PRIVATE_V6)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    """Fault 16: loopback, private, link-local, metadata and the like are unsafe."""
    with pytest.raises(UnsafeURL) as caught:
        check_address(address, "host.example")

    assert caught.value.host == "host.example"


@pytest.mark.parametrize("address", ["", "host.example", "127.1", "1.2.3.4.5", "[::1]"])
def test_what_is_no_address_is_refused(address: str) -> None:
    """Fault 16: a resolver that answers nonsense is not believed."""
    with pytest.raises(UnsafeURL):
        check_address(address, "host.example")


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
@pytest.mark.parametrize(
    "host",
    [
        *("203.205.137.89", "vweixinp.tc.qq.com", "video.example.", "münchen.example"),
        *("[2402:4e00::1]", "2402:4e00::1", "xn--mnchen-3ya.example", "1.example"),
        *("localhost.example", "local.example", "a_b.example"),
    ],
)
def test_a_link_to_the_public_internet_passes(scheme: str, host: str) -> None:
    """Fault 16: plain http on a bare IP is what WeChat really sends."""
    check_link(scheme, host, b"")


@pytest.mark.parametrize("scheme", ["file", "ftp", "", "javascript", "httpx"])
def test_another_scheme_is_refused(scheme: str) -> None:
    """Fault 16: only http and https are fetched."""
    with pytest.raises(UnsafeURL) as caught:
        check_link(scheme, "host.example", b"")

    assert caught.value.host == "host.example"


def test_user_info_is_refused_and_not_shown() -> None:
    """Fault 16: a link with user info is unsafe, and the error keeps it quiet."""
    with pytest.raises(UnsafeURL) as caught:
        check_link("http", "host.example", b"user:password")

    assert caught.value.host == "host.example"
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("host", ["", ".", "[]"])
def test_no_host_is_refused(host: str) -> None:
    """Fault 16: a link without a host leads nowhere."""
    with pytest.raises(UnsafeURL) as caught:
        check_link("http", host, b"")

    assert caught.value.host == (host or None)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "printer.local"),
        *("metadata.google.internal", "localhost.localdomain", "nas.home.arpa"),
        *("redis", "127.0.0.%31", "a b.example", "local\xadhost.example", "a..b"),
        *("localhost\u3002", "\uff4cocalhost", "host.example\0", "-", "a.example/"),
    ],
)
def test_a_private_name_is_refused(host: str) -> None:
    """Fault 16: names of this machine and its network are not looked up at all."""
    with pytest.raises(UnsafeURL) as caught:
        check_link("http", host, b"")

    assert caught.value.host == host


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001"),
        *("0x7f.1", "0X7F.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.0x1", "0"),
        *("0x", "127.0.0.0x", "1.2.3.4.5", "256.1.1.1", "08.8.8.8", "134744072"),
        *(
            "\uff11\uff12\uff17.0.0.1",
            "127\u30020\u30020\u30021",
            "\u2460\u2461\u2466.1",
        ),
        *("::1", "[::1]", "[fe80::1%25eth0]", "fe80::1%eth0", "[::ffff:7f00:1]"),
        *("[::1", "::g", "foo.1", "192.168.1.1", "169.254.169.254", "[::]"),
    ],
)
def test_an_address_in_any_notation_is_refused(host: str) -> None:
    """Fault 16: what a resolver takes for an address is checked as one."""
    with pytest.raises(UnsafeURL) as caught:
        check_link("http", host, b"")

    assert caught.value.host == host


@given(address=st.ip_addresses(v=4))
def test_both_checks_agree_on_addresses(address: IPv4Address) -> None:
    """Fault 16: a literal address passes as a link iff it passes as an answer."""
    assert _passes_as_link(str(address)) == _passes_as_address(str(address))


@given(address=st.ip_addresses(v=4))
def test_an_address_in_ipv6_clothes_is_the_same(address: IPv4Address) -> None:
    """Fault 16: a mapped or translated address is as public as the one inside."""
    mapped = IPv6Address(f"::ffff:{address}")
    translated = IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))

    public = _passes_as_address(str(address))

    assert _passes_as_address(str(mapped)) == public
    assert _passes_as_address(str(translated)) == public


@given(host=st.text(st.characters(exclude_categories=())))
def test_no_host_raises_anything_else(host: str) -> None:
    """Fault 16: any host passes or is an UnsafeURL."""
    assert _passes_as_link(host) in (True, False)


def _passes_as_link(host: str) -> bool:
    try:
        check_link("http", host, b"")
    except UnsafeURL:
        return False
    return True


def _passes_as_address(address: str) -> bool:
    try:
        check_address(address, "host.example")
    except UnsafeURL:
        return False
    return True

"""Below UDP: tags, options, extension headers, fragments, tunnels, ports, cut packets."""

from scapy.all import (
    AH, GRE, IP, UDP, Dot1AD, Dot1Q, Ether, IPOption, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting, PadN, Raw,
)  # fmt: skip
from scapy.layers.vxlan import VXLAN

from .build import capture, ethernet, message, query, rr

HERE, THERE = "203.0.113.1", "203.0.113.2"
HERE6, THERE6 = "2001:db8:ff::1", "2001:db8:ff::2"


def tagged(*ethertypes):
    """A frame with VLAN tags, the outermost first."""

    def wrap(packet):
        frame = bytes(ethernet(packet))
        tags = b"".join(ethertype.to_bytes(2, "big") + b"\x00\x0b" for ethertype in ethertypes)
        return frame[:12] + tags + frame[12:]

    return wrap


@capture()
def tags(c):
    c.answered("vlan.example.com", wrap=tagged(0x8100))
    c.answered("qinq.example.com", wrap=tagged(0x88A8, 0x8100))
    c.answered("triple.example.com", wrap=tagged(0x9100, 0x88A8, 0x8100))
    c.answered("qinq6.example.com", wrap=tagged(0x88A8, 0x8100), version=6)
    c.answered("eight.example.com", wrap=tagged(*[0x8100] * 8))
    c.answered("ten.example.com", wrap=tagged(*[0x8100] * 10))


@capture()
def padding(c):
    """Octets behind the IP packet, as short Ethernet frames have them."""
    c.answered("padded.example.com", wrap=lambda packet: bytes(ethernet(packet)) + b"\xff" * 18)
    c.answered("padded6.example.com", wrap=lambda packet: bytes(ethernet(packet)) + b"\xff" * 4, version=6)


@capture()
def ipv4_options(c):
    for words in (1, 5, 10):
        ends = c.ends()
        options = [IPOption(b"\x01" * (4 * words))]
        owner = f"options{words}.example.com"
        c.add(ethernet(ends.udp(query(owner), options=options)))
        c.add(
            ethernet(
                ends.udp(message(owner, answers=[rr(owner, "A", "192.0.2.7")]), back=True, options=options)
            )
        )
        c.expect(owner, "A", "192.0.2.7")
    ends = c.ends()
    for back, octets in (
        (False, query("ah.example.com")),
        (True, message("ah.example.com", answers=[rr("ah.example.com", "A", "192.0.2.8")])),
    ):
        inner = ends.udp(octets, back)
        c.add(
            ethernet(
                IP(src=inner.src, dst=inner.dst)
                / AH(nh=17, payloadlen=4, spi=1, seq=1, icv=b"\0" * 12)
                / inner.payload
            )
        )
    c.expect("ah.example.com", "A", "192.0.2.8")


def behind(*headers):
    """An IPv6 packet with extension headers before its UDP."""

    def wrap(packet):
        whole = IPv6(src=packet.src, dst=packet.dst)
        udp = UDP(bytes(packet.payload))
        del udp.chksum
        for header in headers:
            whole = whole / header
        return ethernet(whole / udp)

    return wrap


@capture()
def ipv6_headers(c):
    hop, target = IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 12)]), IPv6ExtHdrDestOpt(
        options=[PadN(optdata=b"\0" * 4)]
    )
    route = IPv6ExtHdrRouting(type=0, segleft=0, addresses=[THERE6])
    atomic = IPv6ExtHdrFragment(offset=0, m=0, id=7)
    authentic = AH(nh=17, payloadlen=4, spi=1, seq=1, icv=b"\0" * 12)
    kinds = {
        "hop": (hop,), "routing": (route,), "target": (target,), "atomic": (atomic,), "ah": (authentic,),
        "all": (hop, target, route, atomic, target),
    }  # fmt: skip
    for kind, headers in kinds.items():
        c.answered(f"{kind}.example.com", "2001:db8::7", "AAAA", version=6, wrap=behind(*headers))


def pieces4(packet, cuts, ident):
    """Fragments of an IPv4 packet: (start, end) offsets within what the header carries."""
    payload = bytes(packet.payload)
    for start, end in cuts:
        more = end is not None
        header = IP(
            src=packet.src,
            dst=packet.dst,
            proto=packet.proto,
            id=ident,
            flags="MF" if more else 0,
            frag=start // 8,
        )
        yield ethernet(header / Raw(payload[start:end]))


def pieces6(packet, cuts, ident):
    payload = bytes(packet.payload)
    for start, end in cuts:
        header = IPv6ExtHdrFragment(nh=packet.nh, offset=start // 8, m=end is not None, id=ident)
        yield ethernet(IPv6(src=packet.src, dst=packet.dst) / header / Raw(payload[start:end]))


WHOLE = [(0, 48), (48, 96), (96, None)]


def fragmented(c, version, pieces):
    def big(owner, cuts, order=None, count=1, spoil=None, seen=True):
        ends = c.ends(version=version)
        text = '"' + "x" * 150 + '"'
        c.add(ethernet(ends.udp(query(owner, "TXT"))))
        octets = message(owner, "TXT", answers=[rr(owner, "TXT", text)])
        packet = ends.udp(octets, back=True)
        packet = packet.__class__(bytes(packet))
        frames = list(pieces(packet, cuts, c.next_port))
        for at in order or range(len(frames)):
            c.add(frames[at])
        if seen:
            c.expect(owner, "TXT", text, count)

    big("ordered.example.com", WHOLE)
    big("backwards.example.com", WHOLE, [2, 1, 0])
    big("shuffled.example.com", WHOLE, [1, 2, 0])
    big("duplicate.example.com", WHOLE, [0, 1, 1, 0, 2])
    big("missing.example.com", WHOLE, [0, 2], seen=False)
    big("overlap.example.com", [(0, 48), (40, 96), (96, None)], seen=False)
    c.tshark(
        "RFC 5722: a datagram with overlapping fragments is dropped; tshark puts it together",
        adds=["overlap.example.com"],
    )


@capture()
def fragments4(c):
    fragmented(c, 4, pieces4)


@capture()
def fragments6(c):
    fragmented(c, 6, pieces6)


def gre(**fields):
    return lambda packet: ethernet(
        IP(src=HERE, dst=THERE) / GRE(proto=0x86DD if isinstance(packet, IPv6) else 0x0800, **fields) / packet
    )


def over_udp(port, header, carried):
    return lambda packet: ethernet(
        IP(src=HERE, dst=THERE) / UDP(sport=50000, dport=port) / Raw(header + bytes(carried(packet)))
    )


def mirrored(proto, header, **fields):
    """GRE that carries a copy of a frame, behind a header of its own."""
    return lambda packet: ethernet(
        IP(src=HERE, dst=THERE) / GRE(proto=proto, **fields) / Raw(header + bytes(ethernet(packet)))
    )


ERSPAN2 = bytes.fromhex("100b0001 00000000")
ERSPAN3 = bytes.fromhex("200b0001 00000000 00000000")
# With the flag for a platform specific sub-header, which has eight octets.
ERSPAN3_MORE = bytes.fromhex("200b0001 00000000 00000001 0000000000000000")
VXLAN_HEADER = bytes(VXLAN(vni=7))
GENEVE_ETHERNET = bytes.fromhex("00006558 00000700")
GENEVE_OPTIONS = bytes.fromhex("03006558 00000700 0102000200000000 00000000")
GENEVE_IP = bytes.fromhex("00000800 00000700")


def plain(packet):
    return packet


TUNNELS = {
    "gre": gre(),
    "gre-key": gre(key_present=1, key=7),
    "gre-checksum": gre(chksum_present=1),
    "gre-sequence": gre(seqnum_present=1, sequence_number=7),
    "gre-everything": gre(key_present=1, key=7, chksum_present=1, seqnum_present=1, sequence_number=7),
    "gre-bridged": mirrored(0x6558, b""),
    "erspan1": mirrored(0x88BE, b""),
    "erspan2": mirrored(0x88BE, ERSPAN2, seqnum_present=1, sequence_number=1),
    "erspan3": mirrored(0x22EB, ERSPAN3, seqnum_present=1, sequence_number=1),
    "erspan3-more": mirrored(0x22EB, ERSPAN3_MORE, seqnum_present=1, sequence_number=1),
    "vxlan": over_udp(4789, VXLAN_HEADER, ethernet),
    "vxlan-tagged": over_udp(4789, VXLAN_HEADER, tagged(0x8100)),
    "geneve": over_udp(6081, GENEVE_ETHERNET, ethernet),
    "geneve-options": over_udp(6081, GENEVE_OPTIONS, ethernet),
    "geneve-ip": over_udp(6081, GENEVE_IP, plain),
    "ipip": lambda packet: ethernet(IP(src=HERE, dst=THERE, proto=4) / packet),
    "4in6": lambda packet: ethernet(IPv6(src=HERE6, dst=THERE6, nh=4) / packet),
}


@capture()
def tunnels(c):
    for kind, wrap in TUNNELS.items():
        c.answered(f"{kind}.example.com", wrap=wrap)
    c.answered("gre6.example.com", "2001:db8::7", "AAAA", version=6, wrap=gre())
    c.answered(
        "6in4.example.com",
        "2001:db8::7",
        "AAAA",
        version=6,
        wrap=lambda packet: ethernet(IP(src=HERE, dst=THERE, proto=41) / packet),
    )
    c.answered(
        "6in6.example.com",
        "2001:db8::7",
        "AAAA",
        version=6,
        wrap=lambda packet: ethernet(IPv6(src=HERE6, dst=THERE6, nh=41) / packet),
    )


@capture()
def tunnels_fragmented(c):
    """The outer datagram is cut; only what is put together shows that there is DNS in it."""
    for kind in ("gre", "vxlan", "geneve", "ipip"):
        owner = f"{kind}.example.com"
        ends = c.ends()
        c.add(TUNNELS[kind](ends.udp(query(owner))))
        frame = TUNNELS[kind](ends.udp(message(owner, answers=[rr(owner, "A", "192.0.2.7")]), back=True))
        outer = Ether(bytes(frame)).payload
        for piece in pieces4(outer, [(0, 64), (64, None)], c.next_port):
            c.add(piece)
        c.expect(owner, "A", "192.0.2.7")


def labels(count, protocol=0x8847):
    """A frame with so many labels of MPLS."""

    def wrap(packet):
        entries = [(16 + at << 12 | (at == count - 1) << 8 | 64).to_bytes(4, "big") for at in range(count)]
        return bytes(ethernet(packet))[:12] + protocol.to_bytes(2, "big") + b"".join(entries) + bytes(packet)

    return wrap


def session(packet):
    """A PPPoE session."""
    protocol = 0x57 if isinstance(packet, IPv6) else 0x21
    carried = protocol.to_bytes(2, "big") + bytes(packet)
    head = b"\x88\x64\x11\0\0\x07" + len(carried).to_bytes(2, "big")
    return bytes(ethernet(packet))[:12] + head + carried


@capture()
def encapsulated(c):
    for count in (1, 2, 8, 9, 30):
        c.answered(f"mpls{count}.example.com", wrap=labels(count))
    c.answered("multicast-mpls.example.com", wrap=labels(2, 0x8848))
    c.answered("mpls6.example.com", "2001:db8::7", "AAAA", version=6, wrap=labels(3))
    c.answered("pppoe.example.com", wrap=session)
    c.answered("pppoe6.example.com", "2001:db8::7", "AAAA", version=6, wrap=session)

    def in_vlan(packet):
        frame = session(packet)
        return frame[:12] + b"\x81\0\0\x0b" + frame[12:]

    c.answered("pppoe-vlan.example.com", wrap=in_vlan)


@capture()
def tunnels_twice(c):
    """Two levels deep, and more."""

    def twice(outer, inner):
        return lambda packet: ethernet(
            IP(src="203.0.113.3", dst="203.0.113.4") / outer / Ether(bytes(inner(packet))).payload
        )

    for kind in ("gre", "vxlan", "ipip"):
        owner = f"{kind}-in-gre.example.com"
        c.answered(owner, wrap=twice(GRE(proto=0x0800), TUNNELS[kind]))
    wrap = TUNNELS["gre"]
    for depth in range(2, 7):
        wrap = twice(GRE(proto=0x0800), wrap)
        c.answered(f"gre-{depth}.example.com", wrap=wrap)


@capture(ports=[5300])
def port_5300(c):
    ends = c.ends(server_port=5300)
    c.answered("elsewhere.example.com", ends=ends)
    # Port 53 is not asked for here.
    c.exchange("usual.example.com", answers=[rr("usual.example.com", "A", "192.0.2.8")])


@capture()
def port_of_others(c):
    """DNS on ports that nobody asked for."""
    for port in (5300, 5353, 5355):
        owner = f"port{port}.example.com"
        c.exchange(owner, answers=[rr(owner, "A", "192.0.2.8")], ends=c.ends(server_port=port))


@capture(ports=[53, 5353, 5355])
def multicast(c):
    def mdns(octets):
        c.add(ethernet(IP(src="192.0.2.1", dst="224.0.0.251") / UDP(sport=5353, dport=5353) / Raw(octets)))

    mdns(query("printer.local", ident=0))
    flush = 0x8001
    address = rr("printer.local", "A", "192.0.2.20", ttl=120, cls=flush)
    service = rr("_ipp._tcp.local", "PTR", "Printer._ipp._tcp.local.", ttl=4500)
    mdns(
        message(
            None,
            answers=[service, address],
            additional=[rr("far.example.com", "A", "192.0.2.21")],
            ident=0,
            flags=0x8400,
        )
    )
    c.expect("_ipp._tcp.local", "PTR", "printer._ipp._tcp.local")
    c.expect("printer.local", "A", "192.0.2.20", 2)
    c.expect("far.example.com", "A", "192.0.2.21")
    # A second question of the host itself, answered in one message with its question; and no record at all.
    mdns(message("printer.local", answers=[address], ident=0, flags=0x8400))
    mdns(message(None, ident=0, flags=0x8403))
    # LLMNR asks by multicast and is answered by unicast: no pairing.
    llmnr = lambda octets: c.add(
        ethernet(IP(src="192.0.2.1", dst="224.0.0.252") / UDP(sport=5355, dport=5355) / Raw(octets))
    )  # noqa: E731
    llmnr(query("host", flags=0))
    host = rr("host", "A", "192.0.2.30", ttl=30)
    llmnr(message("host", answers=[host, rr("other", "A", "192.0.2.31")], flags=0x8000))
    c.expect("host", "A", "192.0.2.30")
    c.answered("www.example.com")
    # An ordinary query from such a port.
    ends = c.ends()
    ends.client = (ends.client[0], 5353)
    c.exchange(
        "from5353.example.com",
        answers=[rr("from5353.example.com", "A", "192.0.2.8"), rr("beside.test", "A", "203.0.113.66")],
        ends=ends,
    )
    c.expect("from5353.example.com", "A", "192.0.2.8")


@capture()
def snaplen(c):
    """A capture that kept the first octets of each packet only."""
    ends = c.ends()
    whole = rr("cut.example.com", "A", "192.0.2.7")
    c.add(ethernet(ends.udp(query("cut.example.com"))))
    c.add(ethernet(ends.udp(message("cut.example.com", answers=[whole]), back=True)), cut=80)
    length = 8 + len(message("cut.example.com", answers=[whole])) - 8
    kept = 80 - 14 - 20 - 8
    c.says("a message that the capture cut is not decoded", f"frame 2: {kept} of {length} octets of a message")
    # Only what is behind the datagram was cut.
    ends = c.ends()
    frame = bytes(
        ethernet(
            ends.udp(
                message("whole.example.com", answers=[rr("whole.example.com", "A", "192.0.2.8")]), back=True
            )
        )
    )
    c.add(ethernet(ends.udp(query("whole.example.com"))))
    c.add(frame + b"\0" * 40, cut=len(frame))
    c.expect("whole.example.com", "A", "192.0.2.8")
    # A query that was cut behind its question, and is answered.
    ends = c.ends()
    asked = query("asked.example.com", additional=[rr(".", "OPT", b"\0" * 40)], ident=1)
    c.add(ethernet(ends.udp(asked)), cut=14 + 20 + 8 + 12 + 23)
    kept = 12 + 23
    c.says("a query that the capture cut is open", f"frame 5: {kept} of {len(asked)} octets of a message")
    c.add(ethernet(ends.udp(message("asked.example.com", answers=[rr("asked.example.com", "A", "192.0.2.9")]), back=True)))
    c.expect("asked.example.com", "A", "192.0.2.9")
    c.wait(20)
    c.answered("end.example.com")

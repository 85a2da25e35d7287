"""The capture that the Zeek package's own tests read: zeek/tests/Traces/answers.pcap."""

from .build import USUAL, capture, ethernet, query, rr

SOA = "ns1.example.com. root.example.com. 1 7200 3600 1209600 300"


@capture()
def package(c):
    links = [
        rr("www.example.com", "CNAME", "cdn.example.net."),
        rr("cdn.example.net", "A", "192.0.2.7", 60),
    ]
    for _ in range(2):
        c.exchange("www.example.com", answers=links)
    c.expect("www.example.com", "CNAME", "cdn.example.net.", 2)
    c.expect("cdn.example.net", "A", "192.0.2.7", 2)
    c.exchange(
        "example.com",
        "MX",
        answers=[rr("example.com", "MX", "10 mail.example.com.")],
        authority=[rr("example.com", "NS", "ns1.example.com.")],
        # The second is nobody's business here.
        additional=[rr("ns1.example.com", "A", "192.0.2.53"), rr("bank.example.org", "A", "192.0.2.66")],
    )
    c.expect("example.com", "MX", "10 mail.example.com.")
    c.expect("example.com", "NS", "ns1.example.com.")
    c.expect("ns1.example.com", "A", "192.0.2.53")
    c.answered("example.com", '"v=spf1 -all\\"" "second"', "TXT")
    c.exchange("none.example.com", authority=[rr("example.com", "SOA", SOA)], flags=USUAL | 3)
    c.expect("example.com", "SOA", SOA)
    c.expect_negative("none.example.com", "A", "NXDOMAIN")
    c.exchange("www.example.com", "AAAA")
    c.expect_negative("www.example.com", "AAAA", "NODATA")
    c.add(ethernet(c.ends().udp(query("silent.example.com", ident=9))))
    c.expect_negative("silent.example.com", "A", "UNANSWERED")
    c.wait(30)
    # Multicast is left out.
    multicast = c.ends(server_port=5353)
    c.add(ethernet(multicast.udp(query("printer.local", ident=0))))

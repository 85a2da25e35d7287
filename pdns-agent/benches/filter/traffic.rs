//! The packets that the filters are shown.

/// One kind of packet.
pub(crate) struct Kind {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Whether it carries DNS.
    pub(crate) is_dns: bool,
    /// From the link header on.
    pub(crate) frame: Vec<u8>,
}

/// All kinds: first those that carry no DNS.
pub(crate) fn kinds() -> Vec<Kind> {
    const IPV4: u16 = 0x0800;
    const IPV6: u16 = 0x86dd;
    const VLAN: u16 = 0x8100;
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    let other = |name, frame: Vec<u8>| Kind { name, is_dns: false, frame };
    let dns = |name, length: usize| {
        let frame = ethernet(IPV4, &v4(UDP, &udp(53, 50_000, length - 42)));
        Kind { name, is_dns: true, frame }
    };
    let tcp4 = v4(TCP, &tcp(443, 50_000, 500));
    vec![
        other("TCP 443, IPv4", ethernet(IPV4, &tcp4)),
        other("UDP 443, IPv4", ethernet(IPV4, &v4(UDP, &udp(443, 50_000, 1200)))),
        other("TCP 443, IPv6", ethernet(IPV6, &v6(TCP, &tcp(443, 50_000, 500)))),
        other("ARP", ethernet(0x0806, &[0; 46])),
        // The kernel takes the outer tag off before any filter sees it, as the hardware would.
        other("TCP 443, IPv4, VLAN", ethernet(VLAN, &tag(IPV4, &tcp4))),
        other("TCP 443, IPv4, QinQ", ethernet(0x88a8, &tag(VLAN, &tag(IPV4, &tcp4)))),
        dns("DNS response, 80 octets", 80),
        dns("DNS response, 200 octets", 200),
        dns("DNS response, 500 octets", 500),
        dns("DNS response, 1400 octets", 1400),
    ]
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &ethertype.to_be_bytes(), payload].concat()
}

fn tag(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[0, 7][..], &ethertype.to_be_bytes(), payload].concat()
}

fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).expect("a small packet").to_be_bytes();
    let [high, low] = length;
    let head = [0x45, 0, high, low, 0, 1, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    [&head[..], payload].concat()
}

fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).expect("a small packet").to_be_bytes();
    [&[0x60, 0, 0, 0, high, low, next, 64][..], &[0x20; 32], payload].concat()
}

fn udp(from: u16, to: u16, payload: usize) -> Vec<u8> {
    let length = u16::try_from(8 + payload).expect("a small packet").to_be_bytes();
    let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
    [&ports[..], &length, &[0; 2], &vec![0; payload]].concat()
}

fn tcp(from: u16, to: u16, payload: usize) -> Vec<u8> {
    let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
    [&ports[..], &[0; 8], &[0x50, 0x10, 1, 0, 0, 0, 0, 0], &vec![0; payload]].concat()
}

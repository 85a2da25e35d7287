//! Packets of an interface, any octets: link headers, tags, tunnels, fragments, and all above.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_ebpf_common::{
    Decision, GLANCE, GLANCE_AT, GLANCE_V6, GLANCE_V6_AT, Glance, Link, Packet as _, PortSet as _,
    Ports, Start, decide, glance, glance_v6,
};
use pdns_fuzz::{read, run};

fuzz_target!(|input: &[u8]| {
    // The first octet chooses what packets begin with.
    let Some((&kind, input)) = input.split_first() else { return };
    let link = if kind & 1 == 0 { Link::Ethernet } else { Link::Raw };
    let ports = Ports::new(&pdns_fuzz::PORTS);
    for (_, octets) in read(input) {
        let found = decide(octets, link, &ports);
        if link == Link::Ethernet {
            let at_a_glance = match at_a_glance(octets) {
                Some(Glance::Ports(from, to)) => ports.has(from) || ports.has(to),
                Some(Glance::Other) => false,
                Some(Glance::Unsettled) | None => found.is_some(),
            };
            // The kernel takes the glance's word for it.
            assert_eq!(at_a_glance, found.is_some());
        }
        if let Some(Decision::Found(found)) = found {
            // What is said to be there can be read.
            assert!(octets.u8(found.network).is_some());
            assert!(found.network < found.transport);
        }
    }
    run(read(input), Start::of(link));
});

/// The kernel's first look at a frame whose Ethernet header names IP.
fn at_a_glance(octets: &[u8]) -> Option<Glance> {
    let part = |at: u32| octets.get(usize::try_from(at).ok()?..);
    match octets.u16(12)? {
        Start::IPV4 => part(GLANCE_AT)?.first_chunk::<GLANCE>().map(glance),
        Start::IPV6 => part(GLANCE_V6_AT)?.first_chunk::<GLANCE_V6>().map(glance_v6),
        _ => None,
    }
}

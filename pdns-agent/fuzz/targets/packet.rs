//! Packets of an interface, any octets: link headers, tags, tunnels, fragments, and all above.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_ebpf_common::{Link, Packet as _, Ports, Start, decide};
use pdns_fuzz::{read, run};

fuzz_target!(|input: &[u8]| {
    // The first octet chooses what packets begin with.
    let Some((&kind, input)) = input.split_first() else { return };
    let link = if kind & 1 == 0 { Link::Ethernet } else { Link::Raw };
    let ports = Ports::new(&pdns_fuzz::PORTS);
    for (_, octets) in read(input) {
        if let Some(found) = decide(octets, link, &ports) {
            // What is said to be there can be read.
            assert!(octets.u8(found.network).is_some());
            assert!(found.network < found.transport);
        }
    }
    run(read(input), Start::of(link));
});

//! Records in a range of addresses, whichever address family they were answered in.
//!
//! Part of `query`. An A record with 192.0.2.7 and an AAAA record with `::ffff:192.0.2.7` are on the same address
//! (RFC 4291 §2.5.5.2), so both are read for either.

use super::Each;
use crate::store::{Reader, StoreError};
use ipnet::IpNet;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Maximum number of registrable domains that share something from which evidence spreads from one to the others.
pub const MAX_SHARED_DOMAINS: usize = 200;

/// Passes the records with an address from `from` to `to` to `each`, until it breaks. `most` estimates how many
/// it will take.
///
/// # Errors
/// [`StoreError`] when the store cannot be read.
pub fn on_addresses(
    store: &mut Reader<'_>,
    from: IpAddr,
    to: IpAddr,
    most: usize,
    each: &mut Each<'_>,
) -> Result<(), StoreError> {
    let mut flow = ControlFlow::Continue(());
    store.records_by_address_range(from, to, most, &mut |row| {
        flow = each(row);
        flow
    })?;
    if let (IpAddr::V4(from), IpAddr::V4(to), ControlFlow::Continue(())) = (from, to, flow) {
        let (from, to) = (from.to_ipv6_mapped().into(), to.to_ipv6_mapped().into());
        store.records_by_address_range(from, to, most, each)?;
    }
    Ok(())
}

/// Returns the /24 or /48 around an address.
pub(super) fn prefix_around(address: IpAddr) -> IpNet {
    let length = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, length).map_or_else(|_| address.into(), |net| net.trunc())
}

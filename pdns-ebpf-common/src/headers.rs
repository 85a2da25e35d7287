//! Numbers in headers, as IEEE and IANA assign them.

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
/// VLAN tags: IEEE 802.1Q, 802.1ad, and what older switches write for the latter.
pub const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// MPLS, and MPLS with labels that the receiver assigned (RFC 3032 §5, RFC 5332).
pub const MPLS: [u16; 2] = [0x8847, 0x8848];
/// A PPP session over Ethernet (RFC 2516).
pub const PPPOE: u16 = 0x8864;
/// Protocol numbers of PPP (RFC 1332, RFC 5072, RFC 3032 §4.1).
pub(crate) const PPP_IPV4: u16 = 0x0021;
pub(crate) const PPP_IPV6: u16 = 0x0057;
pub(crate) const PPP_MPLS: [u16; 2] = [0x0281, 0x0283];
/// In GRE: ERSPAN types I and II, and type III.
pub(crate) const ERSPAN: [u16; 2] = [0x88be, 0x22eb];

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const IPIP: u8 = 4;
pub(crate) const IPV6_IN_IP: u8 = 41;
pub(crate) const GRE: u8 = 47;
/// IPv6 extension headers that are passed over (RFC 8200 §4, RFC 4302, RFC 6275, RFC 7401, RFC 5533).
pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const AUTHENTICATION: u8 = 51;
pub(crate) const DESTINATION: u8 = 60;
pub(crate) const MOBILITY: u8 = 135;
pub(crate) const HIP: u8 = 139;
pub(crate) const SHIM6: u8 = 140;

/// UDP ports of VXLAN: the assigned one (RFC 7348), and the one that Linux used before and many overlays still do.
pub(crate) const VXLAN_PORTS: [u16; 2] = [4789, 8472];
/// UDP port of GENEVE (RFC 8926).
pub(crate) const GENEVE_PORT: u16 = 6081;

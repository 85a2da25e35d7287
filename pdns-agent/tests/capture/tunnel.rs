//! An interface whose packets are IP without a link header: what is written into a file arrives on it.

#![expect(
    unsafe_code,
    clippy::cast_possible_truncation,
    reason = "an ioctl that std does not wrap, and the narrow fields of its structure"
)]

use crate::network::ip;
use std::fs::File;
use std::io::{Error, Write as _};
use std::os::fd::AsRawFd as _;

/// The interface; it ends with this.
pub(crate) struct Tunnel(File);

impl Tunnel {
    /// Makes one, and sets it up.
    pub(crate) fn new(name: &str) -> Self {
        let file = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
        // SAFETY: all zeros are a valid `ifreq`: a name and a union of plain numbers.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed() as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the request reads the name and the flags, and writes the name.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        assert_eq!(result, 0, "cannot make {name}: {}", Error::last_os_error());
        ip(&["link", "set", name, "up"]);
        Self(file)
    }

    /// Has a packet arrive.
    pub(crate) fn receive(&mut self, packet: &[u8]) {
        assert_eq!(self.0.write(packet).unwrap(), packet.len());
    }
}

#!/usr/bin/env python3
"""Writes a capture of many DNS responses, quickly: for tests of speed and of loss.

    million.py OUT [PACKETS [NAMES]]

PACKETS responses (a million unless said otherwise) with one A record each, for NAMES names (a tenth as many),
which take turns: the first NAMES responses bring new records, the rest repeat them. Times are 100 microseconds
apart. Each response is another's in nothing but ident, port and name.
"""

import struct
import sys

START = 1_700_000_000 * 10**6


def main(out, packets=1_000_000, names=None):
    names = names or max(packets // 10, 1)
    label, zone = 10, b"\x04bulk\x07example\x03com\x00"
    question = bytes([label]) + b"0" * label + zone + b"\0\1\0\1"
    answer = b"\xc0\x0c\0\1\0\1" + struct.pack("!IH", 300, 4) + bytes([192, 0, 2, 7])
    message = struct.pack("!6H", 0, 0x8180, 1, 1, 0, 0) + question + answer
    udp = struct.pack("!4H", 53, 0, 8 + len(message), 0)
    total = 20 + len(udp) + len(message)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, total, 0, 0x4000, 64, 17, 0) + bytes(
        [198, 51, 100, 53, 192, 0, 2, 1]
    )
    words = struct.unpack("!10H", ip)
    folded = sum(words)
    folded = (folded & 0xFFFF) + (folded >> 16)
    ip = ip[:10] + struct.pack("!H", ~((folded & 0xFFFF) + (folded >> 16)) & 0xFFFF) + ip[12:]
    frame = bytes.fromhex("020000000002" "020000000001" "0800") + ip + udp + message
    # What differs: destination port, ident, and the digits of the first label.
    port, ident, digits = 14 + 20 + 2, 14 + 20 + 8, 14 + 20 + 8 + 12 + 1
    first, second, third, last = (
        frame[:port],
        frame[port + 2 : ident],
        frame[ident + 2 : digits],
        frame[digits + label :],
    )
    header = struct.Struct("<IIII")
    size = len(frame)
    two = struct.Struct("!H").pack
    with open(out, "wb", buffering=1 << 20) as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for at in range(packets):
            seconds, micros = divmod(START + at * 100, 10**6)
            file.write(
                header.pack(seconds, micros, size, size)
                + first + two(1024 + at % 60000) + second + two(at & 0xFFFF) + third + b"%010d" % (at % names) + last
            )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

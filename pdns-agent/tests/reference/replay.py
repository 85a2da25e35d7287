#!/usr/bin/env python3
"""Joins captures into one that can be replayed on an Ethernet interface.

    replay.py OUT CAPTURE...

Every packet is in an Ethernet frame, with all octets that were captured and no others, one millisecond after
the one before. Between captures there is a pause, longer than two messages that are the same can be apart and
pass for one that was captured twice, whatever holds up the sender. A query at the end comes so late that all before it
have waited long enough, in the file as on the interface, and is itself never given up. Prints a JSON object {packets: n, skipped: {capture: reason}}: what cannot be sent is said.
"""

import json
import struct
import subprocess
import sys

from made.build import Ends, ethernet, query

HEADER = bytes.fromhex("020000000002" "020000000001")
START, STEP, PAUSE = 1_700_000_000 * 10**6, 1_000, 200_000
# Longer than a query waits for its response.
END = 11_000_000
RAW = {12, 14, 101, 228, 229}
BSD = {2: b"\x08\x00", 24: b"\x86\xdd", 28: b"\x86\xdd", 30: b"\x86\xdd"}
# What tshark cannot read, or no interface can send.
SKIPPED = {9: "PPP", 10: "FDDI", 50: "PPP"}


def framed(link, octets):
    """As an Ethernet frame, or None."""
    if link == 1:
        return octets
    if link in RAW and octets:
        kinds = {4: b"\x08\x00", 6: b"\x86\xdd"}
        kind = kinds.get(octets[0] >> 4)
        return kind and HEADER + kind + octets
    if link in (0, 108) and len(octets) > 4:
        family = int.from_bytes(octets[:4], "little" if octets[0] else "big")
        return family in BSD and HEADER + BSD[family] + octets[4:] or None
    if link == 113 and len(octets) > 16:
        return HEADER + octets[14:16] + octets[16:]
    if link == 276 and len(octets) > 20:
        return HEADER + octets[:2] + octets[20:]
    return None


def packets(path):
    """(link type, octets) of each packet; editcap's sibling tshark makes one format of all."""
    plain = subprocess.run(["tshark", "-r", path, "-F", "pcap", "-w", "-"], capture_output=True).stdout
    if len(plain) < 24:
        return
    link = struct.unpack_from("<I", plain, 20)[0] & 0xFFFF
    at = 24
    while at + 16 <= len(plain):
        size = struct.unpack_from("<I", plain, at + 8)[0]
        yield link, plain[at + 16 : at + 16 + size]
        at += 16 + size


def main(out, paths):
    skipped, count, at = {}, 0, START
    with open(out, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        def write(frame):
            file.write(struct.pack("<IIII", at // 10**6, at % 10**6, len(frame), len(frame)) + frame)

        for path in paths:
            reason = "tshark cannot read it"
            for link, octets in packets(path):
                frame = framed(link, octets)
                reason = None if frame else reason if link == 1 else SKIPPED.get(link, f"link type {link}")
                if not frame or len(frame) < 14:
                    continue
                at += STEP
                write(frame)
                count += 1
            at += PAUSE
            if reason:
                skipped[path] = reason
        at += END
        write(bytes(ethernet(Ends(40_000).udp(query("end.example")))))
        count += 1
    json.dump({"packets": count, "skipped": skipped}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

//! Makes seeds of capture files: `seeds CAPTURES OUT` writes OUT/packet, OUT/stream and OUT/message.

// Coverage is counted here as well, by what libFuzzer has for it.
use libfuzzer_sys as _;
use pdns_agent::decode::wire::{Wire, WireOptions};
use pdns_agent::source::{CaptureFile, Step, capture_files};
use pdns_ebpf_common::{Decision, Found, Link, Ports, Protocol, Start, decide};
use pdns_fuzz::{PORTS, write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

/// Longest seed: what is longer is seldom changed to good effect.
const LONGEST: usize = 32 * 1024;

fn main() {
    let words: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [captures, out] = words.as_slice() else { panic!("usage: seeds CAPTURES OUT") };
    let mut count = 0;
    for target in ["packet", "stream", "message"] {
        fs::create_dir_all(out.join(target)).expect("the folder can be made");
    }
    for path in capture_files(std::slice::from_ref(captures)).files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let [packets, segments, messages] = seeds(&path);
        for (target, seed) in [("packet", packets), ("stream", segments), ("message", messages)] {
            if seed.len() > 1 {
                fs::write(out.join(target).join(&name), seed).expect("the seed can be written");
                count += 1;
            }
        }
    }
    println!("{count} seeds");
}

/// What one capture gives to each target.
fn seeds(path: &Path) -> [Vec<u8>; 3] {
    let (mut packets, mut segments, mut messages) = (vec![0], Vec::new(), Vec::new());
    let mut wire = Wire::new(WireOptions { ports: Ports::new(&PORTS), ..WireOptions::default() });
    let Ok(mut file) = CaptureFile::open(path) else {
        return [packets, segments, messages];
    };
    let mut before = None;
    let mut first = None;
    // A broken capture gives what comes before the break.
    while let Ok(Some(step)) = file.next() {
        let Step::Packet(frame, _) = step else { continue };
        let since = frame.at.micros() - before.replace(frame.at).unwrap_or(frame.at).micros();
        let since = Duration::from_micros(u64::try_from(since).unwrap_or(0));
        if packets.len() < LONGEST && frame.start == Start::of(Link::Ethernet) {
            write(&mut packets, since, frame.octets);
        }
        if segments.len() < LONGEST
            && let Some(Decision::Found(found)) =
                decide(frame.octets, Link::Ethernet, &Ports::new(&PORTS))
            && let Some(segment) = segment(frame.octets, found, &mut first)
        {
            write(&mut segments, since, &segment);
        }
        wire.frame(&frame, &mut |message| {
            if messages.len() < LONGEST {
                write(&mut messages, since, message.octets);
            }
        });
    }
    [packets, segments, messages]
}

/// A TCP segment as the target `stream` reads it.
fn segment(octets: &[u8], found: Found, first: &mut Option<u32>) -> Option<Vec<u8>> {
    if found.protocol != Protocol::Tcp {
        return None;
    }
    let tcp = octets.get(usize::try_from(found.transport).ok()?..)?;
    let sequence = u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?);
    let position = sequence.wrapping_sub(*first.get_or_insert(sequence));
    let is_query = tcp.get(2..4)? == [0, 53];
    let data = tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?;
    let flags = tcp.get(13)? & 0x3f | if is_query { 0x40 } else { 0 };
    let mut segment = u16::try_from(position & 0xffff).ok()?.to_be_bytes().to_vec();
    segment.push(flags);
    segment.extend(data);
    Some(segment)
}

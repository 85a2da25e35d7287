//! Capture files that are parts of one capture, as `tcpdump -C` writes them: together they say what the whole says,
//! however often they are read, in however many runs, and whenever the agent is killed.

use crate::agent::Agent;
use crate::once::{ends, pcap, store};
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::store::{Model, agrees, contents};
use std::fs;
use std::path::{Path, PathBuf};

/// The header of a classic capture of Ethernet.
const HEADER: [u8; 24] =
    [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

/// A name in wire form.
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| {
        let length = u8::try_from(label.len()).expect("labels here are short");
        [&[length], label.as_bytes()].concat()
    });
    labels.chain([0]).collect()
}

/// The record of a packet with one message: a query for an address, or the response to it.
fn record(at: u64, number: u16, is_response: bool) -> Vec<u8> {
    let mut message = number.to_be_bytes().to_vec();
    message.extend(if is_response { [0x81, 0x80] } else { [1, 0] });
    message.extend([0, 1, 0, u8::from(is_response), 0, 0, 0, 0]);
    message.extend(wire(&format!("n{}.example.com", number % 400)));
    message.extend([0, 1, 0, 1]);
    if is_response {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2]);
        message.push(u8::try_from(number % 7).expect("a rest"));
    }
    let (client, server) = (([192, 0, 2, 1], 40_000_u16), ([192, 0, 2, 53], 53_u16));
    let (from, to) = if is_response { (server, client) } else { (client, server) };
    let length = |more: usize| {
        u16::try_from(message.len() + more).expect("messages here are short").to_be_bytes()
    };
    let mut packet = vec![2; 12];
    packet.extend([8, 0, 0x45, 0]);
    packet.extend(length(28));
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend([from.0, to.0].concat());
    packet.extend([from.1.to_be_bytes(), to.1.to_be_bytes()].concat());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(&message);
    let mut record = Vec::new();
    let seconds = u32::try_from(1_700_000_000 + at / 1_000_000).expect("it is not yet 2106");
    let micros = u32::try_from(at % 1_000_000).expect("a rest");
    let captured = u32::try_from(packet.len()).expect("packets here are short");
    for number in [seconds, micros, captured, captured] {
        record.extend(number.to_le_bytes());
    }
    record.extend(packet);
    record
}

/// A capture in which pairs overlap: responses come a while after their queries, some just before them, some twice from
/// two ports of a mirror, and some never.
fn whole(queries: u16) -> Vec<u8> {
    let mut packets: Vec<(u64, Vec<u8>)> = Vec::new();
    for number in 0..queries {
        let at = u64::from(number) * 3000;
        let mut add = |at: u64, is_response| packets.push((at, record(at, number, is_response)));
        add(at + 1000, false);
        match number % 10 {
            3 => {}
            4 => add(at + 500, true),
            5 => [5000, 5010].into_iter().for_each(|later| add(at + later, true)),
            6 => add(at + 700_000, true),
            _ => add(at + 8000, true),
        }
    }
    packets.sort();
    let records = packets.into_iter().flat_map(|(_, record)| record);
    HEADER.into_iter().chain(records).collect()
}

/// The capture in so many files, named as `tcpdump -C` names them.
fn split(home: &Home, folder: &str, whole: &[u8], parts: usize) -> Vec<PathBuf> {
    let ends = ends(whole);
    let cut = |part: usize| *ends.get((ends.len() - 1) * part / parts).expect("an end");
    (0..parts)
        .map(|part| {
            let number = if part == 0 { String::new() } else { part.to_string() };
            let packets = whole.get(cut(part)..cut(part + 1)).expect("ends are in order");
            let content = [&HEADER[..], packets].concat();
            home.write(&format!("{folder}/trace.pcap{number}"), content)
        })
        .collect()
}

fn import(home: &Home, server: &Redis, inputs: &[&Path]) -> Ended {
    run(pcap(home, &server.url()).args(["--workers", "2"]), inputs)
}

/// What the whole capture says.
fn model(home: &Home, whole: &[u8]) -> Model {
    let server = Redis::start();
    let path = home.write("whole/whole.pcap", whole);
    import(home, &server, &[&path]).with(&[0]);
    contents(&mut store(&server))
}

#[test]
fn files_of_a_folder_that_go_on_one_after_the_other_are_one_capture() {
    let home = Home::new();
    let whole = whole(6_000);
    let model = model(&home, &whole);
    for parts in [2, 12, 60] {
        let server = Redis::start();
        let name = format!("parts{parts}");
        let files = split(&home, &name, &whole, parts);
        // Apart from each other they lose a part of the pairs.
        let alone = Redis::start();
        for (number, file) in files.iter().enumerate() {
            let copy =
                home.write(&format!("{name}-alone/{number}/x.pcap"), fs::read(file).unwrap());
            import(&home, &alone, &[&copy]).with(&[0]);
        }
        assert_ne!(contents(&mut store(&alone)), model);
        let folder = home.path().join(&name);
        let ended = import(&home, &server, &[&folder]);
        assert!(ended.stderr.contains(&format!("{parts} capture files")), "{}", ended.stderr);
        ended.with(&[0]);
        agrees(&mut store(&server), &model);
        // Again, and by name.
        let ended = import(&home, &server, &[&folder]);
        assert!(ended.stderr.contains(&format!("{parts} files unchanged")), "{}", ended.stderr);
        let named: Vec<&Path> = files.iter().rev().map(AsRef::as_ref).collect();
        import(&home, &server, &named).with(&[0]);
        agrees(&mut store(&server), &model);
    }
}

#[test]
fn files_that_come_one_after_the_other_go_on_where_the_last_one_ended() {
    let home = Home::new();
    let whole = whole(3_000);
    let model = model(&home, &whole);
    let server = Redis::start();
    let files = split(&home, "all", &whole, 9);
    for file in &files {
        fs::create_dir_all(home.path().join("growing")).unwrap();
        fs::copy(file, home.path().join("growing").join(file.file_name().unwrap())).unwrap();
        import(&home, &server, &[&home.path().join("growing")]).with(&[0]);
    }
    // A response that was there just before its query is unsolicited, if the query is in a file that came later. All
    // else is the same, and counts once.
    let counts = |model: &Model| -> Vec<_> {
        model.iter().map(|(key, seen)| (key.clone(), seen.count)).collect()
    };
    let differing = |model: &Model, other: &Model| {
        let (one, other) = (counts(model), counts(other));
        one.iter().filter(|row| !other.contains(row)).count()
    };
    let stored = contents(&mut store(&server));
    assert!(differing(&model, &stored) <= 2 && differing(&stored, &model) <= 2);
    let sum = |model: &Model| model.values().map(|seen| seen.count).sum::<u64>();
    assert!(sum(&stored).abs_diff(sum(&model)) <= 2, "{} {}", sum(&stored), sum(&model));
}

#[test]
fn parts_of_a_capture_are_counted_once_though_their_import_is_killed_again_and_again() {
    let home = Home::new();
    let whole = whole(20_000);
    let model = model(&home, &whole);
    split(&home, "parts", &whole, 8);
    let folder = home.path().join("parts");
    let server = Redis::start_durable();
    let begin = std::time::Instant::now();
    import(&home, &server, &[&folder]).with(&[0]);
    let time = begin.elapsed();
    server.flush();
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..12 {
        let time = time.mul_f64(random.f64());
        let mut command = pcap(&home, &server.url());
        let _ended = Agent::start(command.arg(&folder)).kill9_after(time);
    }
    import(&home, &server, &[&folder]).with(&[0]);
    agrees(&mut store(&server), &model);
}

#[test]
fn two_interfaces_in_one_folder_are_two_captures() {
    let home = Home::new();
    let one = whole(3_000);
    // The same a little later, by another client.
    let other: Vec<u8> = {
        let mut other = one.clone();
        for pair in ends(&one).windows(2) {
            let micros = u32::from_le_bytes(*other[pair[0] + 4..].first_chunk().unwrap());
            let micros = (micros + 17).min(999_999).to_le_bytes();
            other[pair[0] + 4..pair[0] + 8].copy_from_slice(&micros);
            let address = if other[pair[0] + 16 + 37] == 53 { 33 } else { 29 };
            // The last byte of the client's address.
            other[pair[0] + 16 + address] = 9;
        }
        other
    };
    let server = Redis::start();
    for (name, content) in [("eth0", &one), ("eth1", &other)] {
        let files = split(&home, name, content, 5);
        for (number, file) in files.iter().enumerate() {
            home.write(&format!("both/{name}-{number}.pcap"), fs::read(file).unwrap());
        }
    }
    import(&home, &server, &[&home.path().join("both")]).with(&[0]);
    let sum = crate::captures::both(&model(&home, &one), &model(&home, &other));
    agrees(&mut store(&server), &sum);
}

#[test]
fn a_part_that_was_read_by_itself_stays_as_it_was_read() {
    let home = Home::new();
    let whole = whole(2_000);
    let files = split(&home, "parts", &whole, 3);
    let server = Redis::start();
    // The second first, and alone.
    let copy = home.write("alone/second.pcap", fs::read(&files[1]).unwrap());
    import(&home, &server, &[&copy]).with(&[0]);
    import(&home, &server, &[&home.path().join("parts")]).with(&[0]);
    let stored = contents(&mut store(&server));
    import(&home, &server, &[&home.path().join("parts")]).with(&[0]);
    agrees(&mut store(&server), &stored);
}

//! Capture files that grow, are renamed, copied and compressed: each packet counts once, and captures that only begin
//! alike each count.

use crate::agent::Agent;
use crate::files::empty;
use crate::logs::gzip;
use crate::once::{capture, ends, pcap, store};
use crate::redis::Redis;
use crate::run::{Ended, Home, run};
use crate::store::{Model, agrees};
use std::fs;
use std::path::Path;

/// Packets of the captures here.
const PACKETS: u64 = 6_000;

fn import(home: &Home, server: &Redis, inputs: &[&Path]) -> Ended {
    run(pcap(home, &server.url()).args(["--workers", "2"]), inputs)
}

/// What a capture amounts to by itself.
fn alone(octets: &[u8]) -> Model {
    let (home, server) = (Home::new(), Redis::start());
    let path = home.write("alone.pcap", octets);
    import(&home, &server, &[&path]).with(&[0]);
    crate::store::contents(&mut store(&server))
}

/// What two captures amount to, each counted once.
pub(crate) fn both(one: &Model, other: &Model) -> Model {
    let mut sum = one.clone();
    for (key, seen) in other {
        sum.entry(key.clone()).and_modify(|mine| mine.merge(seen)).or_insert_with(|| seen.clone());
    }
    sum
}

/// A capture, and its first packets, which end within a record or not.
fn whole_and_half(home: &Home) -> (Vec<u8>, Vec<u8>, Model) {
    let (path, model) = capture(home, PACKETS);
    let whole = fs::read(&path).unwrap();
    fs::remove_file(path).unwrap();
    let ends = ends(&whole);
    let half = whole[..ends[ends.len() / 2]].to_vec();
    (whole, half, model)
}

#[test]
fn a_capture_that_was_renamed_copied_or_compressed_and_has_grown_counts_once() {
    let home = Home::new();
    let (whole, half, model) = whole_and_half(&home);
    let cut = &half[..half.len() - 7];
    for (first, then) in [
        (half.clone(), whole.clone()),
        (half.clone(), gzip(&whole)),
        (gzip(&half), whole.clone()),
        (gzip(&half), gzip(&whole)),
        (cut.to_vec(), gzip(&whole)),
        // A compressed file that was not yet whole.
        (gzip(&whole)[..gzip(&whole).len() / 2].to_vec(), whole.clone()),
    ] {
        let server = Redis::start();
        let old = home.write("old.pcap", first);
        // What is cut is told.
        import(&home, &server, &[&old]).with(&[0, 2]);
        let new = home.write("elsewhere/new.pcap", then);
        // Beside the shorter copy, and by itself when that is gone.
        import(&home, &server, &[&new]).with(&[0]);
        agrees(&mut store(&server), &model);
        import(&home, &server, &[&old, &new]).with(&[0]);
        fs::remove_file(&new).unwrap();
        import(&home, &server, &[&old]).with(&[0]);
        agrees(&mut store(&server), &model);
    }
}

#[test]
fn a_torn_capture_ends_with_the_same_status_each_time() {
    let home = Home::new();
    let (whole, half, half_model) = {
        let (whole, half, _) = whole_and_half(&home);
        let model = alone(&half);
        (whole, half, model)
    };
    let start = alone(&whole[..ends(&half)[ends(&half).len() - 2]]);
    let packed = gzip(&half);
    // Within its checksum, so that all of the capture can be unpacked.
    let unchecked = packed[..packed.len() - 4].to_vec();
    for (name, torn, reason, model) in [
        ("cut.pcap", half[..half.len() - 7].to_vec(), "ends within the record at byte", &start),
        ("cut.pcap.gz", gzip(&half[..half.len() - 7]), "ends within the record", &start),
        ("unchecked.pcap.gz", unchecked, "cannot unpack capture", &half_model),
    ] {
        let server = Redis::start();
        let path = home.write(name, torn);
        for _ in 0..3 {
            let ended = import(&home, &server, &[&path]);
            assert_eq!(ended.code, Some(2), "{}", ended.stderr);
            assert_eq!(ended.stderr.matches(reason).count(), 1, "{}", ended.stderr);
            assert!(ended.stderr.contains("1 file or folder that could not"), "{}", ended.stderr);
            agrees(&mut store(&server), model);
        }
        // Whole again, it goes on where it was.
        let path = home.write(&format!("whole-{name}"), &half);
        for _ in 0..2 {
            import(&home, &server, &[&path]).with(&[0]);
            agrees(&mut store(&server), &half_model);
        }
    }
}

#[test]
fn copies_in_one_folder_count_once_and_nothing_is_said_of_lost_data() {
    let home = Home::new();
    let (whole, half, model) = whole_and_half(&home);
    for (name, content) in [
        ("1-whole.pcap", whole.clone()),
        ("2-half.pcap", half.clone()),
        ("3-whole.pcap.gz", gzip(&whole)),
        ("4-whole.pcap", whole.clone()),
        ("5-half.pcap.gz", gzip(&half)),
    ] {
        home.write(&format!("copies/{name}"), content);
    }
    let (server, folder) = (Redis::start(), home.path().join("copies"));
    for _ in 0..2 {
        let ended = import(&home, &server, &[&folder]);
        assert!(!ended.stderr.contains("lost data"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("counted as another one"), "{}", ended.stderr);
        ended.with(&[0]);
        agrees(&mut store(&server), &model);
    }
    // The shorter copy was recognised beside the longer one, and is by itself from then on.
    let half = home.write("moved.pcap", half);
    fs::remove_dir_all(folder).unwrap();
    let ended = import(&home, &server, &[&half]);
    assert!(ended.stderr.contains("1 file already read as "), "{}", ended.stderr);
    agrees(&mut store(&server), &model);
}

#[test]
fn captures_that_only_begin_alike_count_each() {
    let home = Home::new();
    let (whole, half, model) = whole_and_half(&home);
    let ends = ends(&whole);
    // The same half, and the last quarter right behind it.
    let other = [half.as_slice(), &whole[ends[ends.len() / 4 * 3]..]].concat();
    let sum = both(&model, &alone(&other));
    assert_ne!(sum, model);
    let (one, two) = (home.write("both/one.pcap", &whole), home.write("both/two.pcap", &other));
    for inputs in [[&one, &two], [&two, &one]] {
        let server = Redis::start();
        for input in inputs {
            let ended = import(&home, &server, &[input]);
            // The longer one is there, and was compared.
            assert!(!ended.stderr.contains("to compare"), "{}", ended.stderr);
            ended.with(&[0]);
        }
        agrees(&mut store(&server), &sum);
        import(&home, &server, &[&home.path().join("both")]).with(&[0]);
        agrees(&mut store(&server), &sum);
    }
    // The other one grows by what the first one has at its end.
    let server = Redis::start();
    import(&home, &server, &[&home.path().join("both")]).with(&[0]);
    agrees(&mut store(&server), &sum);
    let grown = [other.as_slice(), &whole[ends[ends.len() / 4 * 3]..]].concat();
    let grown_model = alone(&grown);
    let grown = home.write("grown.pcap.gz", gzip(&grown));
    import(&home, &server, &[&grown]).with(&[0]);
    agrees(&mut store(&server), &both(&model, &grown_model));
}

#[test]
fn a_beginning_of_a_capture_that_was_left_half_way_waits_for_the_longer_file() {
    let (home, server) = (Home::new(), Redis::start());
    let (whole, half, model) = whole_and_half(&home);
    let long = home.write("long.pcap", &whole);
    import(&home, &server, &[&long]).with(&[0]);
    // As if the import had been killed before it stored anything.
    let (id, mut state) = store(&server).reader().sources().unwrap().remove(0);
    (state.complete, state.acknowledged) = (false, 0);
    empty(&server);
    store(&server).writer().acknowledge(&id, &state).unwrap();
    let short = home.write("short.pcap", &half);
    let ended = import(&home, &server, &[&short]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("is the beginning of a longer one"), "{}", ended.stderr);
    // Renamed, the longer one is only found beside it.
    let renamed = home.write("renamed.pcap", &whole);
    fs::remove_file(long).unwrap();
    let ended = import(&home, &server, &[&renamed, &short]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    agrees(&mut store(&server), &model);
}

#[test]
fn two_agents_on_a_capture_that_grows_count_each_packet_once() {
    let home = Home::new();
    let (whole, half, model) = whole_and_half(&home);
    let old = home.write("old.pcap", half);
    let new = home.write("new.pcap", &whole);
    let server = Redis::start();
    let agents = [&old, &new, &new].map(|path| Agent::start(pcap(&home, &server.url()).arg(path)));
    for agent in agents {
        let (code, said) = agent.end();
        // One that comes late to the shorter file leaves it to those that read the longer one, and says so.
        let is_left = said.contains("is the beginning of a longer one");
        assert_eq!(code, Some(if is_left { 2 } else { 0 }), "{said}");
    }
    import(&home, &server, &[&new]).with(&[0]);
    agrees(&mut store(&server), &model);
}

/// Makes the store say what an older version would have: there a capture was known by the digest of all of it.
fn as_before(server: &Redis, content: &[u8], complete: bool) {
    let mut store = store(server);
    let (id, mut state) = store.reader().sources().unwrap().remove(0);
    let old = store.router().hasher().identity(content);
    state.contents.clear();
    if !complete {
        (state.complete, state.acknowledged) = (false, 0);
    }
    store.writer().acknowledge(&old, &state).unwrap();
    let mut connection = server.connection();
    let () = redis::cmd("HDEL").arg("pd:src").arg(&id).query(&mut connection).unwrap();
    for partition in 0..64 {
        let key = format!("pd:{{{partition:02x}}}c");
        let mark: Option<Vec<u8>> =
            redis::cmd("HGET").arg(&key).arg(&id).query(&mut connection).unwrap();
        let Some(mark) = mark else { continue };
        let () = redis::cmd("HSET").arg(&key).arg(&old).arg(mark).query(&mut connection).unwrap();
        let () = redis::cmd("HDEL").arg(&key).arg(&id).query(&mut connection).unwrap();
    }
}

#[test]
fn captures_that_an_older_version_has_read_are_recognised() {
    let home = Home::new();
    let (whole, half, model) = whole_and_half(&home);
    let path = home.write("old.pcap", &half);
    for complete in [true, false] {
        for packed in [false, true] {
            let server = Redis::start();
            import(&home, &server, &[&path]).with(&[0]);
            as_before(&server, &half, complete);
            let half_model = alone(&half);
            import(&home, &server, &[&path]).with(&[0]);
            agrees(&mut store(&server), &half_model);
            let new = home.write("new.pcap", if packed { gzip(&whole) } else { whole.clone() });
            for _ in 0..2 {
                import(&home, &server, &[&new]).with(&[0]);
                agrees(&mut store(&server), &model);
            }
        }
    }
}

#[test]
fn a_beginning_of_a_capture_that_was_renamed_is_recognised_beside_it() {
    let home = Home::new();
    let (whole, half, model) = whole_and_half(&home);
    // Neither the whole file nor its half, of a length that the store does not know.
    let ends = ends(&whole);
    let part = home.write("part/part.pcap", &whole[..ends[ends.len() / 4 * 3]]);
    let half = home.write("half/half.pcap", half);
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let server = Redis::start();
        let old = home.write("old/whole.pcap", &whole);
        import(&home, &server, &[&old]).with(&[0]);
        let new = home.write("new/renamed.pcap", &whole);
        fs::remove_file(&old).unwrap();
        let files = [&new, &part, &half];
        for inputs in [order.map(|at| files[at].as_path()).to_vec(), vec![&part, &half]] {
            let ended = import(&home, &server, &inputs);
            assert!(!ended.stderr.contains("to compare"), "{}", ended.stderr);
            ended.with(&[0]);
            agrees(&mut store(&server), &model);
        }
    }
    // A path that does not begin at the root, of a run that was started elsewhere.
    let server = Redis::start();
    let new = home.write("new/renamed.pcap", &whole);
    let mut command = pcap(&home, &server.url());
    run(command.current_dir(new.parent().unwrap()), &["renamed.pcap"]).with(&[0]);
    let ended = import(&home, &server, &[&part, &new]);
    assert!(!ended.stderr.contains("to compare"), "{}", ended.stderr);
    agrees(&mut store(&server), &model);
}

#[test]
fn a_report_says_of_which_files_nothing_was_new_and_why() {
    let home = Home::new();
    let (whole, half, _) = whole_and_half(&home);
    let one = home.write("one/one.pcap", &whole);
    let said = |server: &Redis, inputs: &[&Path]| {
        let ended = import(&home, server, inputs);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stderr
    };
    let two = home.write("two/two.pcap.gz", gzip(&whole));
    // Whichever is read first gives the other its name, so the rest is asked of another store.
    let text = said(&Redis::start(), &[&one, &two]);
    assert!(text.contains("1 file the same capture as ") && text.contains("in this run"), "{text}");
    assert!(!text.contains("unchanged"), "{text}");
    let server = Redis::start();
    said(&server, &[&one]);
    let text = said(&server, &[&one]);
    assert!(text.contains("1 file unchanged since the last run"), "{text}");
    let text = said(&server, &[&home.write("half/half.pcap", half)]);
    assert!(text.contains("1 file already read as ") && !text.contains("unchanged"), "{text}");
}

#[test]
fn a_capture_is_forgotten_by_any_copy_of_it() {
    let home = Home::new();
    let (whole, half, model) = whole_and_half(&home);
    let original = home.write("one/one.pcap", &whole);
    let copies = [
        home.write("packed/two.pcap.gz", gzip(&whole)),
        home.write("copy/three.pcap", &whole),
        home.write("half/four.pcap", half),
    ];
    for copy in copies {
        let server = Redis::start();
        import(&home, &server, &[&original]).with(&[0]);
        let mut forget = home.pdns();
        forget.args(["--redis", &server.url(), "admin", "forget-source"]);
        let ended = run(&mut forget, &[&copy]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let told = format!("{}: forgotten, it had been read", original.display());
        assert!(ended.stderr.contains(&told), "{}", ended.stderr);
        assert!(store(&server).reader().sources().unwrap().is_empty());
        import(&home, &server, &[&original]).with(&[0]);
        let twice = crate::store::contents(&mut store(&server));
        assert!(model.iter().all(|(key, seen)| twice[key].count == 2 * seen.count));
    }
    // Another capture that begins alike stays.
    let server = Redis::start();
    let ends = ends(&whole);
    let start = &whole[..ends[ends.len() / 4]];
    let other = home.write("other/other.pcap", [start, &whole[ends[ends.len() / 2]..]].concat());
    import(&home, &server, &[&original]).with(&[0]);
    import(&home, &server, &[&other]).with(&[0]);
    let mut forget = home.pdns();
    run(forget.args(["--redis", &server.url(), "admin", "forget-source"]), &[&other]).with(&[0]);
    let left = store(&server).reader().sources().unwrap();
    let left: Vec<&str> = left.iter().map(|(_, state)| state.path.as_str()).collect();
    assert_eq!(left, [original.display().to_string()]);
}

//! Memory limit of the agent: the limit of its control group, or of one above it.
//!
//! It is set by containers, units with `MemoryMax=` and batch systems. The kernel kills processes that exceed
//! it.

use std::path::{Path, PathBuf};

/// Fraction of the limit for windows: one part in this many. The rest is for reading and packing.
const SHARE: u64 = 3;
/// Bytes of the limit per thread that reads.
const PER_WORKER: u64 = 32 << 20;
/// Fraction of the limit for the ring buffers of all interfaces: one part in this many.
const RING_SHARE: u64 = 8;

/// A limit in bytes, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(Option<u64>);

impl Limit {
    /// The limit of this process.
    pub(super) fn for_process() -> Self {
        let read = |path: &Path| std::fs::read_to_string(path).ok();
        Self(least(&read))
    }

    /// The limit in MiB, if that much memory for windows leaves too little for everything else.
    pub(super) fn exceeded_by(self, memory: usize) -> Option<u64> {
        self.0.filter(|limit| memory as u64 > limit / SHARE * 2).map(|limit| limit >> 20)
    }

    /// Default memory for windows.
    pub(super) fn memory(self, default: usize, least: usize) -> usize {
        self.share(SHARE).map_or(default, |share| share.clamp(least.min(default), default))
    }

    /// Default number of threads that read.
    pub(super) fn workers(self, default: usize) -> usize {
        self.share(PER_WORKER).map_or(default, |most| default.min(most).max(1))
    }

    /// Default size of each ring buffer in bytes: a power of two.
    pub(super) fn ring(self, default: usize, least: usize, rings: usize) -> usize {
        let Some(share) = self.share(RING_SHARE) else { return default };
        let each = (share / rings.max(1)).clamp(least, default);
        // The largest power of two that does not exceed it.
        1 << each.ilog2()
    }

    fn share(self, parts: u64) -> Option<usize> {
        self.0.map(|limit| usize::try_from(limit / parts).unwrap_or(usize::MAX))
    }
}

/// The smallest limit of the process's control groups, in either version of the hierarchy.
fn least(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mounts = read(Path::new("/proc/self/mountinfo"))?;
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let (kind, files): (&str, &[&str]) = match controllers {
            "" => ("cgroup2", &["memory.max", "memory.high"]),
            names if names.split(',').any(|name| name == "memory") => {
                ("cgroup", &["memory.limit_in_bytes"])
            }
            _ => return Vec::new(),
        };
        let Some((top, directory)) = mounts.lines().find_map(|mount| place(mount, kind, group))
        else {
            return Vec::new();
        };
        let above = directory.ancestors().take_while(|above| above.starts_with(&top));
        let above: Vec<PathBuf> = above.map(Path::to_owned).collect();
        let paths = above.iter().flat_map(|above| files.iter().map(|file| above.join(file)));
        // "max" is not a number; version 1 uses a very large number instead.
        paths.filter_map(|path| read(&path)?.trim().parse().ok()).collect()
    });
    limits.filter(|&limit: &u64| limit < 1 << 60).min()
}

/// Mount point of a hierarchy, and path of a group in it, if a line of `mountinfo` (`proc_pid_mountinfo(5)`)
/// describes that hierarchy.
fn place(mount: &str, kind: &str, group: &str) -> Option<(PathBuf, PathBuf)> {
    let (before, behind) = mount.split_once(" - ")?;
    let mut behind = behind.split(' ');
    if behind.next() != Some(kind) {
        return None;
    }
    let options = behind.nth(1).unwrap_or("");
    if kind == "cgroup" && !options.split(',').any(|option| option == "memory") {
        return None;
    }
    let mut before = before.split(' ').skip(3);
    let (root, top) = (before.next()?, PathBuf::from(before.next()?));
    // A container may see the path of its group as from outside, with the mount starting there.
    let group = Path::new(group);
    let below = group.strip_prefix(root).or_else(|_| group.strip_prefix("/")).ok()?;
    let directory = top.join(below);
    Some((top, directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], want: Option<u64>) {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        assert_eq!(least(&read), want);
    }

    #[test]
    fn the_least_limit_of_a_group_and_those_above_it_counts() {
        let unified = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        check(
            &[
                ("/proc/self/cgroup", "0::/system.slice/pdns-agent.service\n"),
                ("/proc/self/mountinfo", unified),
                ("/sys/fs/cgroup/system.slice/pdns-agent.service/memory.max", "max\n"),
                ("/sys/fs/cgroup/system.slice/pdns-agent.service/memory.high", "300000000\n"),
                ("/sys/fs/cgroup/system.slice/memory.max", "200000000\n"),
            ],
            Some(200_000_000),
        );
        check(&[("/proc/self/cgroup", "0::/\n"), ("/proc/self/mountinfo", unified)], None);
        check(&[], None);
    }

    #[test]
    fn the_older_hierarchy_and_containers_are_understood() {
        let mount = "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        check(
            &[
                ("/proc/self/cgroup", "5:cpu:/docker/1\n4:memory:/docker/1\n0::/\n"),
                ("/proc/self/mountinfo", mount),
                ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "99999744\n"),
            ],
            Some(99_999_744),
        );
        check(
            &[
                ("/proc/self/cgroup", "4:memory:/a\n"),
                ("/proc/self/mountinfo", "35 31 0:32 / /m rw - cgroup cgroup rw,memory\n"),
                ("/m/a/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
            None,
        );
    }

    #[test]
    fn defaults_follow_the_limit_and_stay_within_bounds() {
        let mib = |mib: u64| Limit(Some(mib << 20));
        let memory = |limit: Limit| limit.memory(136 << 20, 4 << 20) >> 20;
        assert_eq!([Limit(None), mib(96), mib(4096), mib(1)].map(memory), [136, 32, 136, 4]);
        assert_eq!([Limit(None), mib(96), mib(16)].map(|limit| limit.workers(8)), [8, 3, 1]);
        let ring = |limit: Limit, rings| limit.ring(16 << 20, 1 << 20, rings) >> 20;
        assert_eq!((ring(Limit(None), 9), ring(mib(96), 1), ring(mib(96), 2)), (16, 8, 4));
        assert_eq!(ring(mib(8), 4), 1);
        assert_eq!(
            (mib(100).exceeded_by(136 << 20), mib(300).exceeded_by(136 << 20)),
            (Some(100), None)
        );
    }
}

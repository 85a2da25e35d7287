//! Test of the package in a separate system: a small Debian below `target/dist`, with its own processes,
//! network and systemd.
//!
//! The system is created once by debootstrap and kept; each test works on a copy. The scripts in
//! `xtask/deb/test` run in it as a unit, and report the result in a file.

use super::place;
use crate::shell::{root, run};
use anyhow::{Context as _, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

const SUITE: &str = "bookworm";
/// Debian packages that the package and the test need there.
const INCLUDE: &str = "systemd,systemd-sysv,init-system-helpers,redis-server,curl,libcap2-bin,sudo";
/// The first contains functions shared by the others.
pub(super) const SCRIPTS: [&str; 3] = ["lib.sh", "install.sh", "upgrade.sh"];
/// Starts the system's systemd with separate processes, mounts and network; it ends when the system powers
/// off.
const BOOT: &str = r#"
mount --bind "$1" "$1" && cd "$1"
mount -t proc proc proc && mount -t sysfs -o ro sysfs sys
mount -t bpf bpf sys/fs/bpf 2>/dev/null || true
mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs tmp && mount -t tmpfs -o mode=755 tmpfs dev
cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty dev/ && ln -s pts/ptmx dev/ptmx
mkdir dev/pts dev/shm
mount -t cgroup2 cgroup2 sys/fs/cgroup
# A root of its own and no chroot: systemd gives services roots of theirs, which a chroot does not allow.
pivot_root . . && umount -l . && cd /
exec env -i container=pdns-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console --log-level=warning
"#;
const UNIT: &str = "\
[Unit]
After=multi-user.target

[Service]
Type=oneshot
TimeoutStartSec=8min
ExecStart=/bin/sh -c '{ sh -eux install.sh && sh -eux upgrade.sh; } > log 2>&1; echo $? > code'
WorkingDirectory=/pdns-test
ExecStopPost=/bin/systemctl poweroff --no-block

[Install]
WantedBy=multi-user.target
";

/// Installs `first`, upgrades to `next`, removes, purges; then upgrades from `earlier` to `first`.
pub(super) fn test(earlier: &Path, first: &Path, next: &Path) -> anyhow::Result<()> {
    let place = place()?;
    let (base, system) = (place.join("base"), place.join("system"));
    if fs::read_to_string(base.join("made")).ok().as_deref() != Some(INCLUDE) {
        run(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&base))?;
        run(Command::new("debootstrap")
            .args(["--variant=minbase", &format!("--include={INCLUDE}"), SUITE])
            .arg(&base))?;
        fs::write(base.join("made"), INCLUDE).context("cannot note that the system is made")?;
    }
    run(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&system))?;
    run(Command::new("cp").args(["-a", "--reflink=auto"]).args([&base, &system]))?;
    let folder = system.join("pdns-test");
    fs::create_dir(&folder)?;
    for (package, name) in [(earlier, "earlier.deb"), (first, "first.deb"), (next, "next.deb")] {
        fs::copy(package, folder.join(name))?;
    }
    for script in SCRIPTS {
        fs::copy(root().join("xtask/deb/test").join(script), folder.join(script))?;
    }
    let units = system.join("etc/systemd/system");
    fs::write(units.join("pdns-test.service"), UNIT)?;
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    std::os::unix::fs::symlink("../pdns-test.service", wants.join("pdns-test.service"))?;
    let booted = Command::new("timeout")
        .args(["--kill-after=5", "540", "unshare", "--mount", "--pid", "--uts", "--ipc", "--net"])
        .args(["--cgroup", "--fork", "--kill-child", "--propagation", "private"])
        .args(["sh", "-ec", BOOT, "boot"])
        .arg(&system)
        .status();
    // Its exit status is meaningless: a system that powers off ends by a signal.
    booted.context("cannot boot the system")?;
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let code = fs::read_to_string(folder.join("code")).unwrap_or_default();
    if code.trim() != "0" {
        bail!("the test of the package ended with {:?}\n{log}", code.trim());
    }
    for line in log.lines().filter(|line| line.starts_with("ok: ")) {
        eprintln!("{line}");
    }
    run(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&system))
}

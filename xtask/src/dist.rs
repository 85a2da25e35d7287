//! `cargo xtask dist`: one Debian package of both programs, with manual, completions, units and settings.
//!
//! Its files besides the programs are in `xtask/deb`. The package is built by `dpkg-deb` alone: debhelper
//! would do nothing that is not written there explicitly.

mod install;
mod stage;
mod symbols;

use crate::shell::{Need, cargo, install, is_installed, is_root, root, run, said, target};
use crate::zeek;
use anyhow::{Context as _, bail};
use stage::Stage;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use symbols::Symbols;

const NEEDS: &[Need] = &[
    Need { program: "dpkg-deb", package: "dpkg" },
    Need { program: "dpkg-shlibdeps", package: "dpkg-dev" },
    Need { program: "strip", package: "binutils" },
    Need { program: "objcopy", package: "binutils" },
    Need { program: "readelf", package: "binutils" },
    Need { program: "gzip", package: "gzip" },
];
/// Programs that the test needs besides the package.
const TEST_NEEDS: &[Need] = &[
    Need { program: "debootstrap", package: "debootstrap" },
    Need { program: "lintian", package: "lintian" },
    Need { program: "shellcheck", package: "shellcheck" },
    Need { program: "systemd-analyze", package: "systemd" },
    Need { program: "unshare", package: "util-linux" },
];
/// The programs in the package.
const PROGRAMS: [&str; 2] = ["pdns", "pdns-agent"];
const UNITS: [&str; 6] =
    ["pdns-redis", "pdns-agent", "pdns-serve", "pdns-intel", "pdns-judge", "pdns-retention"];
/// Those of them that a timer starts.
const TIMERS: [&str; 2] = ["pdns-intel", "pdns-retention"];
/// The package's own helper programs, which units and scripts run.
const HELPERS: [&str; 4] = ["store-users", "store-settings", "store-create", "with-store-user"];
/// Settings in `/etc/pdns`.
const SETTINGS: [&str; 5] = ["agent.toml", "feeds.toml", "pdns.toml", "redis.conf", "serve.toml"];
/// Units and settings that the earlier package does not have.
const NEWER: [&str; 5] = ["feeds.toml", "pdns.toml", "pdns-intel", "pdns-judge", "pdns-retention"];
/// Highest exposure level allowed for a unit by `systemd-analyze security`, out of 10.
const EXPOSURE: f32 = 2.0;

/// Options of `cargo xtask dist`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build it with the development profile: quick for a test, but slow in use
    #[arg(long)]
    debug: bool,
    /// Install it in a separate system under systemd, use, upgrade, remove and purge it; needs root
    #[arg(long)]
    test: bool,
    /// Build the package for Zeek instead, as a git repository that zkg installs
    #[arg(long, conflicts_with_all = ["debug", "test"])]
    zeek: bool,
}

/// Builds the package, and tests it if requested.
pub(crate) fn dist(args: &Args) -> anyhow::Result<()> {
    if args.zeek {
        return zeek::dist();
    }
    install(NEEDS)?;
    let profile = if args.debug { "debug" } else { "release" };
    let mut build = cargo(&["build", "--package", "pdns-agent", "--bins"]);
    if !args.debug {
        build.arg("--release");
    }
    run(&mut build)?;
    let programs = target()?.join(profile);
    // A package for a test need not be small.
    let compression = if args.debug { ["-Zgzip", "-z1"] } else { ["-Zxz", "-z6"] };
    let package = package(&programs, env!("CARGO_PKG_VERSION"), Edition::Current, compression)?;
    eprintln!("{}", package.display());
    if args.test {
        install(TEST_NEEDS)?;
        check(&package)?;
        let version = |end| format!("{}{end}", env!("CARGO_PKG_VERSION"));
        let earlier =
            self::package(&programs, &version("~earlier"), Edition::Earlier, compression)?;
        let next = self::package(&programs, &version("+next"), Edition::Current, compression)?;
        install::test(&earlier, &package, &next)?;
        for made in [earlier, next] {
            fs::remove_file(&made).with_context(|| format!("cannot remove {}", made.display()))?;
        }
    }
    Ok(())
}

/// Builds the package with the development profile, and tests it if possible: only root can boot a system.
pub(crate) fn for_tests() -> anyhow::Result<()> {
    if !is_root() || !is_installed("apt-get") {
        eprintln!("skipping the Debian package: needs root, on Debian");
        return Ok(());
    }
    dist(&Args { debug: true, test: true, zeek: false })
}

/// Folder in which packages are built.
fn place() -> anyhow::Result<PathBuf> {
    Ok(target()?.join("dist"))
}

/// Origin of a package's settings, units and scripts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edition {
    Current,
    /// Those from before the store had users, in `xtask/deb/earlier`: the test upgrades from them.
    Earlier,
}

/// Builds a package of these programs; returns its path.
fn package(
    programs: &Path,
    version: &str,
    edition: Edition,
    compression: [&str; 2],
) -> anyhow::Result<PathBuf> {
    let place = place()?;
    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?;
    let mut sources = vec![root().join("xtask/deb")];
    if edition == Edition::Earlier {
        sources.insert(0, root().join("xtask/deb/earlier"));
    }
    // The packages that a test upgrades from and to need no symbols.
    let has_symbols = version == env!("CARGO_PKG_VERSION");
    let symbols = has_symbols.then(|| Symbols::begin(place.join("symbols"))).transpose()?;
    let stage = Stage::begin(place.join("stage"), sources)?;
    for program in PROGRAMS {
        let path = format!("usr/bin/{program}");
        stage.copy(&programs.join(program), &path, 0o755)?;
        if let Some(symbols) = &symbols {
            symbols.add(&stage.path(&path))?;
        }
        run(Command::new("strip")
            .args(["--strip-unneeded", "--remove-section=.comment", "--remove-section=.note"])
            .arg(stage.path(&path)))?;
    }
    papers(&stage, &programs.join("pdns"))?;
    let has = |name: &&str| edition == Edition::Current || !NEWER.contains(name);
    for unit in UNITS.into_iter().filter(has) {
        // Before Debian 13 units are in /lib, which is /usr/lib on a merged system, and all systems are
        // merged.
        let unit = format!("{unit}.service");
        stage.file(&unit, &format!("lib/systemd/system/{unit}"), 0o644)?;
    }
    for timer in TIMERS.into_iter().filter(has) {
        let timer = format!("{timer}.timer");
        stage.file(&timer, &format!("lib/systemd/system/{timer}"), 0o644)?;
    }
    stage.file("pdns.sysusers", "usr/lib/sysusers.d/pdns.conf", 0o644)?;
    stage.file("pdns.tmpfiles", "usr/lib/tmpfiles.d/pdns.conf", 0o644)?;
    let mut conffiles = vec!["/etc/default/pdns-agent".to_owned()];
    stage.file("pdns-agent.default", "etc/default/pdns-agent", 0o644)?;
    for file in SETTINGS.into_iter().filter(has) {
        let path = format!("etc/pdns/{file}");
        stage.file(file, &path, 0o644)?;
        conffiles.push(format!("/{path}"));
    }
    if edition == Edition::Current {
        for helper in HELPERS {
            stage.file(helper, &format!("usr/lib/pdns/{helper}"), 0o755)?;
        }
    }
    stage.write("DEBIAN/conffiles", &(conffiles.join("\n") + "\n"), 0o644)?;
    documents(&stage, version)?;
    control(&stage, version, &architecture, &depends(&place, &stage)?)?;
    let out = place.join(format!("pdns_{version}_{architecture}.deb"));
    run(Command::new("dpkg-deb")
        .arg("--root-owner-group")
        .args(compression)
        .arg("--build")
        .arg(stage.root())
        .arg(&out))?;
    if let Some(symbols) = symbols {
        symbols.build(&place, version, &architecture, &maintainer(), compression)?;
    }
    Ok(out)
}

/// Manual pages and completions, written by the programs themselves.
fn papers(stage: &Stage, pdns: &Path) -> anyhow::Result<()> {
    let man = stage.path("usr/share/man/man1");
    run(Command::new(pdns).args(["admin", "man"]).arg(&man))?;
    for page in fs::read_dir(&man)? {
        stage.zip(&page?.path())?;
    }
    for program in PROGRAMS {
        for (shell, path) in [
            ("bash", format!("usr/share/bash-completion/completions/{program}")),
            ("zsh", format!("usr/share/zsh/vendor-completions/_{program}")),
            ("fish", format!("usr/share/fish/vendor_completions.d/{program}.fish")),
        ] {
            let mut ask = Command::new(pdns);
            ask.args(["admin", "completions", shell, "--program", program]);
            stage.write(&path, &(said(&mut ask)? + "\n"), 0o644)?;
        }
    }
    Ok(())
}

fn documents(stage: &Stage, version: &str) -> anyhow::Result<()> {
    let license =
        fs::read_to_string(root().join("LICENSE-MIT")).context("cannot read LICENSE-MIT")?;
    // A paragraph of a copyright file is indented, with a dot on its empty lines.
    let indented: Vec<String> = license
        .trim()
        .lines()
        .map(|line| if line.is_empty() { " .".to_owned() } else { format!(" {line}") })
        .collect();
    let copyright = stage.source("copyright")?.replace("@MIT@", &indented.join("\n"));
    stage.write("usr/share/doc/pdns/copyright", &copyright, 0o644)?;
    // The authors of the lists within the programs want to be named wherever these are.
    let notice = root().join("pdns-agent/NOTICE");
    let notice = fs::read_to_string(notice).context("cannot read pdns-agent/NOTICE")?;
    stage.write("usr/share/doc/pdns/NOTICE", &notice, 0o644)?;
    stage.file("README.Debian", "usr/share/doc/pdns/README.Debian", 0o644)?;
    let date = said(Command::new("git").args(["log", "-1", "--format=%cD"]).current_dir(root()))?;
    let changelog = format!(
        "pdns ({version}) stable; urgency=medium\n\n  * Version {version}: see CHANGELOG.md of the project.\n\n -- \
         {}  {date}\n",
        maintainer()
    );
    // There is no Debian revision, so the changelog is the program's own.
    stage.write("usr/share/doc/pdns/changelog", &changelog, 0o644)?;
    stage.zip(&stage.path("usr/share/doc/pdns/changelog"))
}

/// Contact for the package: whoever builds it, as devscripts has it (debchange(1)). `.invalid` can be nobody's (RFC 2606).
fn maintainer() -> String {
    let given = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let name = given("DEBFULLNAME").unwrap_or_else(|| "The pdns authors".to_owned());
    let mail = given("DEBEMAIL").unwrap_or_else(|| "unset@pdns.invalid".to_owned());
    format!("{name} <{mail}>")
}

/// The libraries that the programs need, as determined by dpkg-shlibdeps.
fn depends(place: &Path, stage: &Stage) -> anyhow::Result<String> {
    // It expects to run within a source package.
    let folder = place.join("shlibs/debian");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let control = folder.join("control");
    fs::write(&control, "Source: pdns\n\nPackage: pdns\nArchitecture: any\n")
        .with_context(|| format!("cannot write {}", control.display()))?;
    let mut ask = Command::new("dpkg-shlibdeps");
    ask.arg("-O").args(PROGRAMS.map(|program| stage.path(&format!("usr/bin/{program}"))));
    let found = said(ask.current_dir(place.join("shlibs")))?;
    let found = found.strip_prefix("shlibs:Depends=").context("dpkg-shlibdeps finds nothing")?;
    Ok(found.to_owned())
}

fn control(
    stage: &Stage,
    version: &str,
    architecture: &str,
    libraries: &str,
) -> anyhow::Result<()> {
    let size = stage.size()?.div_ceil(1024);
    let maintainer = maintainer();
    let control = format!(
        "Package: pdns\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {maintainer}\n\
         Installed-Size: {size}\nDepends: {libraries}, init-system-helpers (>= 1.54), redis-server (>= 5:7.0), \
         systemd | systemd-standalone-sysusers, systemd | systemd-standalone-tmpfiles\nSuggests: zeek\n\
         Section: net\nPriority: optional\n\
         Description: passive DNS for Zeek and Security Onion\n \
         pdns-agent reads the dns.log files of Zeek or the eve.json of Suricata, or\n \
         captures DNS on interfaces through an eBPF filter, and remembers every\n \
         answer that a network saw: one record each, with a count and the first and\n \
         the last time.\n .\n \
         pdns asks: which names were on an address, where a name led last month,\n \
         what is new today. It also serves COF and DNSDB clients, and exports lists\n \
         for Zeek and Suricata.\n"
    );
    stage.write("DEBIAN/control", &control, 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        stage.file(script, &format!("DEBIAN/{script}"), 0o755)?;
    }
    stage.sums()
}

/// Checks a package without installing it: scripts, units, Debian's policy.
fn check(package: &Path) -> anyhow::Result<()> {
    let sources = root().join("xtask/deb");
    run(Command::new("shellcheck")
        .args(["--external-sources", "postinst", "prerm", "postrm"])
        .args(HELPERS)
        .args(install::SCRIPTS.map(|script| format!("test/{script}")))
        .current_dir(&sources))?;
    for unit in UNITS {
        let path = sources.join(format!("{unit}.service"));
        let shown = said(
            Command::new("systemd-analyze")
                .args(["security", "--offline=true", "--no-pager"])
                .arg(path),
        )?;
        let level = shown.split_once(&format!("exposure level for {unit}.service: "));
        let level = level.and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<f32>().ok());
        match level {
            Some(level) if level <= EXPOSURE => eprintln!("{unit}.service: exposure {level}"),
            _ => bail!("{unit}.service is exposed: {level:?}, and {EXPOSURE} is the most\n{shown}"),
        }
    }
    // The maintainer's address is a placeholder, and a first upload closes no Debian bug.
    run(Command::new("lintian")
        .args(["--fail-on", "error", "--allow-root", "--suppress-tags"])
        .arg("bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs")
        .arg(package))
}

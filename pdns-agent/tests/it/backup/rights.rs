//! Users with the rights that the document gives them.

use super::{content, folder, import, same, server};
use crate::access::{rights, set_user};
use crate::logs::seed;
use crate::run::{Home, run};

#[test]
fn the_users_of_the_document_save_and_restore() {
    let (home, from, to) = (Home::new(), server(), server());
    let folder = folder(&home, "logs", seed(41), 500);
    import(&home, &from, "pd:", "test", &folder);
    set_user(&from, "backup", &rights("backup"));
    set_user(&to, "restorer", &rights("restorer"));
    set_user(&from, "analyst", &rights("analyst"));
    let pdns = |url: String, user: &str| {
        let mut pdns = home.pdns();
        pdns.env("PDNS_REDIS", url).env("PDNS_REDIS_USER", user).env("PDNS_REDIS_PASSWORD", "word");
        pdns
    };
    run(&mut pdns(from.url(), "backup"), &["admin", "backup", "file"]).with(&[0]);
    let refused = run(&mut pdns(from.url(), "analyst"), &["admin", "backup", "other"]);
    assert!(
        refused.stderr.contains("replconf") || refused.stderr.contains("sync"),
        "{}",
        refused.stderr
    );
    refused.with(&[2]);
    run(&mut pdns(to.url(), "restorer"), &["admin", "restore", "file"]).with(&[0]);
    same(&content(&to, "pd:"), &content(&from, "pd:"));
    let mut copy = pdns(to.url(), "restorer");
    copy.env("PDNS_FROM_REDIS_PASSWORD", "word").env("PDNS_PREFIX", "pd:2:");
    run(copy.args(["admin", "copy", "--from-user", "backup"]), &[from.url()]).with(&[0]);
    let mut merge = pdns(to.url(), "restorer");
    import(&home, &from, "other:", "test", &super::folder(&home, "more", seed(42), 500));
    merge.env("PDNS_FROM_REDIS_PASSWORD", "word").args(["admin", "merge", "--from-user", "backup"]);
    set_user(
        &from,
        "backup",
        &["on", ">word", "%R~*", "+hgetall", "+info", "+replconf", "+sync"].map(str::to_owned),
    );
    run(merge.args(["--from-prefix", "other:"]), &[from.url()]).with(&[0]);
}

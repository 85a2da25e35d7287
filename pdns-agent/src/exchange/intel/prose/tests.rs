//! Prose with what is found in it.

use super::*;
use crate::exchange::intel::read_intel;

fn found(text: &str, is_html: bool) -> Vec<Extracted> {
    let mut all = Vec::new();
    extract(&mut text.as_bytes(), is_html, &mut |found| {
        all.push(found);
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

#[track_caller]
fn check(text: &str, want: &[&str]) {
    let found: Vec<String> =
        found(text, false).iter().map(|found| found.indicator.subject.to_string()).collect();
    assert_eq!(found, want, "{text}");
}

#[test]
fn names_need_a_public_suffix() {
    check(
        "The C2 evil.com, (bad.org) and \u{201c}worse.net\u{201d}.",
        &["evil.com", "bad.org", "worse.net"],
    );
    check("foo.exe, bar.dll, a.b and e.g. this. And co.uk too.", &[]);
    check("run setup.sh, main.rs, README.md or archive.zip", &[]);
    check("see /usr/lib/x.y.so, C:\\dir\\a.b.pl and lib/foo.com", &[]);
    check("evil[.]sh is defanged; hxxp://evil[.]zip/x is, too", &["evil.sh", "evil.zip"]);
    check("a.evil.sh", &["a.evil.sh"]);
    check("call foo.com() now", &[]);
    check("domain=evil.com;b\u{fc}cher.de", &["evil.com", "xn--bcher-kva.de"]);
    check("everything below *.evil.com", &[".evil.com"]);
    check("connect the dot com", &[]);
}

#[test]
fn defanged_text() {
    check(
        "hxxps://a[.]com/x hxxp[:]//b.com:80/ h**p://c(.)com meow://d.com http:\\\\e.com\\x",
        &["a.com", "b.com", "c.com", "d.com", "e.com"],
    );
    check(
        "evil [.] com, evil{.}net, evil[dot]org, evil(dot)info, evil[.biz, evil.]io",
        &["evil.com", "evil.net", "evil.org", "evil.info", "evil.biz", "evil.io"],
    );
    check(
        "192[.]0[.]2[.]1, 192.0.2[.]2:443 and 198.51.100[.]0/24",
        &["192.0.2.1", "192.0.2.2", "198.51.100.0/24"],
    );
    check("2001[:]db8[::]1 and 2001:db8::2.", &["2001:db8::1", "2001:db8::2"]);
    check("e\u{200b}vil\u{3002}com", &["evil.com"]);
    let found = found("evil[.]com good.com hxxp://u.com", false);
    let flags: Vec<(String, bool)> =
        found.iter().map(|one| (one.text.clone(), one.is_defanged)).collect();
    assert_eq!(
        flags,
        [
            ("evil.com".to_owned(), true),
            ("good.com".to_owned(), false),
            ("hxxp://u.com".to_owned(), true)
        ]
    );
}

#[test]
fn versions_times_and_sections_are_not_addresses() {
    check("version 1.2.3.4, v10.0.19041.1, Chrome/91.0.4472.124, Tool/1.2.3.4, 1.2.3.4.5", &[]);
    check(
        "1.2.3.4-beta, x_1.2.3.4 at 12:34:56, 00:11:22:33:44:55, std::vec, 2.5.4.3",
        &["2.5.4.3"],
    );
    check("192.0.2.066 and 192.0.2.256 but 192.0.2.66", &["192.0.2.66"]);
    check("10.0.0.0/8 but not 1.2.3.4/0", &["10.0.0.0/8"]);
}

#[test]
fn urls_and_mail_are_told() {
    let found = found("see http://evil.com/a?b=c.net (x@mail.org), 192.0.2.1:8080", false);
    let forms: Vec<_> = found
        .iter()
        .map(|one| (one.indicator.subject.to_string(), one.form, one.indicator.is_conditional))
        .collect();
    assert_eq!(
        forms,
        [
            ("evil.com".to_owned(), Form::Url, true),
            ("mail.org".to_owned(), Form::Mail, false),
            ("192.0.2.1".to_owned(), Form::Subject, true),
        ]
    );
    let text = "http://evil.com/ x@mail.org plain.com a.b.pl";
    let options = IntelOptions { format: Some(IntelFormat::Text), ..IntelOptions::default() };
    let mut items = Vec::new();
    let summary = read_intel(&mut text.as_bytes(), &options, &mut |item| {
        items.push(item);
        ControlFlow::Continue(())
    });
    let summary = summary.unwrap();
    assert_eq!(summary.indicators, 2);
    assert_eq!(summary.skipped.values().sum::<u64>(), 2);
    let low = items
        .iter()
        .filter(|item| matches!(item, IntelItem::Indicator(it) if it.confidence == Some(LOW)));
    assert_eq!(low.count(), 1);
}

#[test]
fn lines_and_their_text_are_kept() {
    let found = found("one\ntwo \u{7}evil.com is bad\r\nthree evil.com\n", false);
    assert_eq!(found[0].line, 2);
    assert_eq!(found[0].context, "two \\u{7}evil.com is bad");
    assert_eq!((found[1].line, found.len()), (3, 2));
}

#[test]
fn pages() {
    let page = "<html><head><script>a.com</script></head>\n<p>The host evil<b>[.]</b>com&#44; \
                <code>hxxp://bad&period;net/x</code></p>\n<!-- hidden.com -->";
    let found = found(page, true);
    let subjects: Vec<String> = found.iter().map(|one| one.indicator.subject.to_string()).collect();
    assert_eq!(subjects, ["evil.com", "bad.net"]);
    assert_eq!(found[0].line, 2);
}

//! Patterns of indicators (STIX 2.1 §9).

use super::ids::observable;
use crate::query::typed_tag;
use crate::tag::TagSubject;

/// The pattern that matches a subject.
pub(super) fn of(subject: &TagSubject) -> String {
    let (kind, value) = observable(subject);
    // Names with odd labels need their escapes, or they would be read as something else.
    let value = match subject {
        TagSubject::Net(_) => value,
        _ => typed_tag(subject).trim_start_matches('.').to_owned(),
    };
    match subject {
        TagSubject::Below(_) => {
            format!(
                "[domain-name:value = '{}' OR domain-name:value {}]",
                escaped(&value),
                below(&value)
            )
        }
        TagSubject::Net(net) if net.prefix_len() < net.max_prefix_len() => {
            format!("[{kind}:value ISSUBSET '{}']", escaped(&value))
        }
        _ => format!("[{kind}:value = '{}']", escaped(&value)),
    }
}

/// The comparison that matches all names below one. `LIKE` takes `_` and `%` for wildcards and has no escape for them,
/// so that names with these need a regular expression.
fn below(name: &str) -> String {
    if name.contains(['_', '%']) {
        format!("MATCHES '{}'", escaped(&format!("^.+\\.{}$", regex_syntax::escape(name))))
    } else {
        format!("LIKE '%.{}'", escaped(name))
    }
}

/// Escapes text between quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_subject_has_its_pattern() {
        for (subject, want) in [
            ("evil.example", "[domain-name:value = 'evil.example']"),
            (
                ".bad.example",
                "[domain-name:value = 'bad.example' OR domain-name:value LIKE '%.bad.example']",
            ),
            (
                ".a_b.example",
                "[domain-name:value = 'a_b.example' OR domain-name:value MATCHES '^.+\\\\.a_b\\\\.example$']",
            ),
            ("192.0.2.7", "[ipv4-addr:value = '192.0.2.7']"),
            ("192.0.2.0/25", "[ipv4-addr:value ISSUBSET '192.0.2.0/25']"),
            ("2001:db8::/32", "[ipv6-addr:value ISSUBSET '2001:db8::/32']"),
        ] {
            let subject = crate::query::tag_subject(subject, None).unwrap();
            assert_eq!(of(&subject), want);
        }
        let odd = crate::name::NameBuf::parse("it's\\.a\\\\b.example").unwrap();
        let pattern = of(&TagSubject::Name(odd));
        assert_eq!(pattern, "[domain-name:value = 'it\\\\039s\\\\046a\\\\092b.example']");
    }
}

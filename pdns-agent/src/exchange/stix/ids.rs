//! Identifiers of STIX objects.

use crate::exchange::uuid::Uuid;
use crate::query::typed_tag;
use crate::tag::{TagKind, TagSubject};
use ipnet::IpNet;
use serde_json::{Value, json};

/// Namespace of the identifiers of SCOs (STIX 2.1 §2.9).
const OBSERVABLES: Uuid = Uuid::new(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
/// Namespace of identities that export with pdns; chosen at random once.
const IDENTITIES: Uuid = Uuid::new(0x6d1b_4f0e_93a7_4c52_b8f4_2e7d_05c9_a1e3);
/// Creation time of identities that export with pdns: an identity has no history.
const CREATED: &str = "2026-01-01T00:00:00.000Z";

/// The one who exports. Everything that it says has identifiers in its own namespace.
pub(in crate::exchange) struct Identity {
    name: String,
    uuid: Uuid,
    id: String,
}

impl Identity {
    /// The identity with this name.
    pub(in crate::exchange) fn new(name: &str) -> Self {
        let uuid = Uuid::of(IDENTITIES, name.as_bytes());
        Self { name: name.to_owned(), uuid, id: format!("identity--{uuid}") }
    }

    /// Its name.
    pub(in crate::exchange) fn name(&self) -> &str {
        &self.name
    }

    /// Its UUID.
    pub(in crate::exchange) fn own_uuid(&self) -> Uuid {
        self.uuid
    }

    /// Its identifier as a STIX object.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The UUID of something that it says.
    pub(in crate::exchange) fn uuid(&self, what: &Value) -> Uuid {
        Uuid::of(self.uuid, canonical(what).as_bytes())
    }

    /// The UUID of its indicator of a subject and kind.
    pub(in crate::exchange) fn indicator(&self, subject: &TagSubject, kind: TagKind) -> Uuid {
        self.uuid(&json!({ "kind": kind.name(), "subject": typed_tag(subject) }))
    }

    /// Its STIX object.
    pub(super) fn object(&self) -> Value {
        json!({
            "type": "identity",
            "spec_version": "2.1",
            "id": self.id,
            "created": CREATED,
            "modified": CREATED,
            "name": self.name,
            "identity_class": "organization",
        })
    }
}

/// The UUID of an SCO with these properties.
pub(super) fn of_observable(properties: &Value) -> Uuid {
    Uuid::of(OBSERVABLES, canonical(properties).as_bytes())
}

/// Canonical JSON (RFC 8785) of an object of texts and small integers: what `serde_json` writes, since its maps are
/// sorted and it escapes in the same way.
fn canonical(value: &Value) -> String {
    value.to_string()
}

/// The type and value of the SCO of a subject. A domain with all below it is the domain.
pub(super) fn observable(subject: &TagSubject) -> (&'static str, String) {
    match subject {
        TagSubject::Name(name) | TagSubject::Below(name) => ("domain-name", name.to_string()),
        TagSubject::Net(net) => {
            let kind = if matches!(net, IpNet::V4(_)) { "ipv4-addr" } else { "ipv6-addr" };
            let is_address = net.prefix_len() == net.max_prefix_len();
            (kind, if is_address { net.addr().to_string() } else { net.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observables_have_the_identifiers_that_other_programs_give_them() {
        for (subject, want) in [
            ("example.com", "domain-name--bedb4899-d24b-5401-bc86-8f6b4cc18ec7"),
            ("198.51.100.3", "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"),
            ("2001:db8::1", "ipv6-addr--6469e3a9-b053-5e34-a025-9396ae051d26"),
        ] {
            let subject = crate::query::tag_subject(subject, None).unwrap();
            let (kind, value) = observable(&subject);
            let id = of_observable(&json!({ "value": value }));
            assert_eq!(format!("{kind}--{id}"), want);
        }
        let id = of_observable(&json!({ "number": 64496 }));
        assert_eq!(id.to_string(), "9ad79ee3-2fde-5015-b0cc-7a96404effca");
    }
}

//! Marking definitions of the Traffic Light Protocol.
//!
//! STIX 2.1 §7.2.1.4 fixes those of TLP 1.0, which every reader knows. AMBER+STRICT came with TLP 2.0 and has a
//! definition in an extension (OASIS, TLP 2.0 extension definition).

use crate::indicator::Tlp;
use serde_json::{Value, json};

/// The identifier of a restriction's definition.
pub(super) fn id(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9",
        Tlp::Green => "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
        Tlp::Amber => "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82",
        Tlp::AmberStrict => "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
        Tlp::Red => "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
    }
}

/// The definition of a restriction.
pub(super) fn definition(tlp: Tlp) -> Value {
    let (name, level) = match tlp {
        Tlp::Clear => ("TLP:WHITE", "white"),
        Tlp::Green => ("TLP:GREEN", "green"),
        Tlp::Amber => ("TLP:AMBER", "amber"),
        Tlp::Red => ("TLP:RED", "red"),
        Tlp::AmberStrict => {
            return json!({
                "type": "marking-definition",
                "spec_version": "2.1",
                "id": id(tlp),
                "created": "2022-10-01T00:00:00.000Z",
                "name": "TLP:AMBER+STRICT",
                "extensions": {
                    "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {
                        "extension_type": "property-extension",
                        "tlp_2_0": "amber+strict",
                    },
                },
            });
        }
    };
    json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": id(tlp),
        "created": "2017-01-20T00:00:00.000Z",
        "name": name,
        "definition_type": "tlp",
        "definition": { "tlp": level },
    })
}

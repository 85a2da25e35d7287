//! Files of weights and of exempt names, names and records of a tunnel, all as somebody else made them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::analyze::fuzz;
use pdns_agent::name::NameBuf;
use pdns_agent::query::Scorer;
use std::sync::LazyLock;

static SCORER: LazyLock<Scorer> = LazyLock::new(|| Scorer::shipped().expect("the model is whole"));

fuzz_target!(|input: &[u8]| {
    fuzz::score(input);
    if let Ok((name, _)) = NameBuf::from_wire(input) {
        let assessed = SCORER.assess_name(name.as_name(), Some(0), 1_700_000_000);
        assert!(assessed.ledger.score <= 100);
    }
});

//! Names of any octets, and model files that somebody else wrote.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pdns_agent::analyze::{Model, fuzz};
use std::sync::LazyLock;

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::embedded().expect("the model is whole"));

fuzz_target!(|input: &[u8]| {
    fuzz::judge(&MODEL, input);
    fuzz::model(input);
});

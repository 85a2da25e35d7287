//! `pdns-agent`: the sensor.
fn main() {}

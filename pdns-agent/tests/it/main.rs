//! End-to-end tests: one binary, so that it links once. Real files, the real programs, a real
//! `redis-server` of its own for each test.
//!
//! A test that needs what a machine may lack prints `skipping NAME: REASON` and returns; the store is not
//! such a thing. `cargo xtask test` installs what is missing and lists what was skipped. With `PDNS_REQUIRE=all` such a
//! test fails.

#[cfg(test)]
mod access;
#[cfg(test)]
mod agent;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod captures;
mod chain;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod cof;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod export;
#[cfg(test)]
mod extensions;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod files;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod forget;
#[cfg(test)]
mod halfway;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod indicators;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod intel;
#[cfg(test)]
mod judge;
#[cfg(test)]
mod judgement;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod live;
#[cfg(test)]
mod log_reader;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod managed;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod migrate;
#[cfg(test)]
mod netns;
#[cfg(test)]
mod networks;
mod once;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod outgoing;
#[cfg(test)]
mod packets;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod partitions;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod query;
#[cfg(test)]
mod questions;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod redis;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod run;
#[cfg(test)]
mod score;
#[cfg(test)]
mod second_reader;
#[cfg(test)]
mod sentinel;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod six;
#[cfg(test)]
mod squats;
#[cfg(test)]
mod store;
#[cfg(test)]
mod subjects;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod suricata;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod tags;
#[cfg(test)]
mod tail;
#[cfg(test)]
#[path = "../support/web.rs"]
mod web;
#[cfg(test)]
mod zeek_package;

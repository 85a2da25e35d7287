//! Metrics for Prometheus. No label contains a name, an address or a user.

use super::pool::Pool;
use crate::exposition::Page;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency buckets, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0, 60.0];

/// The endpoint of a request, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Endpoint {
    /// CIRCL's COF.
    Circl,
    /// DNSDB's look-ups.
    Lookup,
    /// DNSDB's summaries.
    Summarize,
    /// DNSDB's search by pattern.
    Flex,
    /// DNSDB's ping and limits.
    Account,
    /// The web pages.
    Page,
    /// `/metrics`, `/health` and `/healthz`.
    Monitor,
    /// Everything else.
    Other,
}

impl Endpoint {
    /// Returns the endpoint of a path.
    pub(super) fn of(path: &str) -> Self {
        let path = ["/dnsdb/v2", "/dnsdb/v1"]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix))
            .unwrap_or(path);
        match path.split('/').nth(1).unwrap_or_default() {
            "pdns" => Self::Circl,
            "" if path == "/" => Self::Page,
            "context" | "tag" => Self::Page,
            "ping" | "rate_limit" => Self::Account,
            "lookup" if path.ends_with("/rate_limit") => Self::Account,
            "lookup" => Self::Lookup,
            "summarize" => Self::Summarize,
            "regex" | "glob" => Self::Flex,
            "metrics" | "healthz" => Self::Monitor,
            _ => Self::Other,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Circl => "circl",
            Self::Lookup => "lookup",
            Self::Summarize => "summarize",
            Self::Flex => "flex",
            Self::Account => "account",
            Self::Page => "page",
            Self::Monitor => "monitor",
            Self::Other => "other",
        }
    }
}

/// A limit that can cause a refusal, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    /// Connections of one client, or its concurrent requests behind a proxy.
    Connections,
    /// Failed logins and wrong keys.
    Logins,
    /// Passwords waiting to be hashed.
    Hashing,
    /// Running and waiting queries, of one client or of all.
    Queries,
    /// Requests per second of one client.
    Rate,
}

impl Limit {
    const ALL: [(Self, &str); 5] = [
        (Self::Connections, "connections"),
        (Self::Logins, "logins"),
        (Self::Hashing, "hashing"),
        (Self::Queries, "queries"),
        (Self::Rate, "rate"),
    ];
}

/// The metrics of a running server.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    state: Mutex<RequestCounts>,
    /// Number of open connections.
    pub(super) connections: AtomicU64,
}

#[derive(Debug, Default)]
struct RequestCounts {
    requests: BTreeMap<(Endpoint, u16), u64>,
    queries: BTreeMap<Endpoint, Queries>,
    limited: BTreeMap<Limit, u64>,
    refused_users: u64,
    store_up: bool,
}

/// Counters of answered queries.
#[derive(Debug, Default)]
struct Queries {
    rows: u64,
    count: u64,
    seconds: f64,
    /// Number of queries in each latency bucket; each bucket includes the faster queries.
    within: [u64; BOUNDS.len()],
}

impl Metrics {
    fn state(&self) -> MutexGuard<'_, RequestCounts> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn request(&self, endpoint: Endpoint, status: u16) {
        *self.state().requests.entry((endpoint, status)).or_default() += 1;
    }

    pub(super) fn query(&self, endpoint: Endpoint, rows: u64, time: Duration) {
        let seconds = time.as_secs_f64();
        let mut state = self.state();
        let queries = state.queries.entry(endpoint).or_default();
        queries.rows += rows;
        queries.count += 1;
        queries.seconds += seconds;
        for (within, bound) in queries.within.iter_mut().zip(BOUNDS) {
            *within += u64::from(seconds <= bound);
        }
    }

    pub(super) fn limited(&self, limit: Limit) {
        *self.state().limited.entry(limit).or_default() += 1;
    }

    pub(super) fn refused_user(&self) {
        self.state().refused_users += 1;
    }

    pub(super) fn store(&self, up: bool) {
        self.state().store_up = up;
    }

    pub(super) fn to_text(&self, pool: &Pool) -> String {
        let state = self.state();
        let mut page = Page::default();
        page.family("pdns_serve_up", "gauge", "1 while the server runs");
        page.number("pdns_serve_up", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let name = "pdns_serve_store_up";
        page.family(name, "gauge", "whether the last question reached the store");
        page.number(name, &[], u64::from(state.store_up));
        let name = "pdns_serve_requests_total";
        page.family(name, "counter", "requests, by what was asked for and how it was answered");
        for (&(endpoint, status), &count) in &state.requests {
            let labels = [("endpoint", endpoint.label()), ("status", &status.to_string())];
            page.number(name, &labels, count);
        }
        let name = "pdns_serve_rows_total";
        page.family(name, "counter", "rows that were sent");
        for (endpoint, queries) in &state.queries {
            page.number(name, &[("endpoint", endpoint.label())], queries.rows);
        }
        let name = "pdns_serve_query_seconds";
        page.family(name, "histogram", "how long questions took, until the last row was taken");
        for (endpoint, queries) in &state.queries {
            let endpoint = endpoint.label();
            for (bound, &within) in BOUNDS.iter().zip(&queries.within) {
                let labels = [("endpoint", endpoint), ("le", &bound.to_string())];
                page.number("pdns_serve_query_seconds_bucket", &labels, within);
            }
            let labels = [("endpoint", endpoint), ("le", "+Inf")];
            page.number("pdns_serve_query_seconds_bucket", &labels, queries.count);
            let labels = [("endpoint", endpoint)];
            page.decimal("pdns_serve_query_seconds_sum", &labels, queries.seconds);
            page.number("pdns_serve_query_seconds_count", &labels, queries.count);
        }
        let name = "pdns_serve_limited_total";
        page.family(name, "counter", "requests and connections refused because of a limit");
        for (limit, label) in Limit::ALL {
            let count = state.limited.get(&limit).copied().unwrap_or(0);
            page.number(name, &[("limit", label)], count);
        }
        let name = "pdns_serve_users_refused_total";
        page.family(name, "counter", "requests without a key or password that is known");
        page.number(name, &[], state.refused_users);
        let (size, running, waiting) = pool.numbers();
        for (name, help, value) in [
            ("pdns_serve_queries_max", "questions that may run at once", size),
            ("pdns_serve_queries_running", "questions that run", running),
            ("pdns_serve_queries_waiting", "questions that wait for their turn", waiting),
        ] {
            page.family(name, "gauge", help);
            page.number(name, &[], value as u64);
        }
        let name = "pdns_serve_connections";
        page.family(name, "gauge", "connections that are open");
        page.number(name, &[], self.connections.load(Ordering::Relaxed));
        page.into_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Options;

    #[test]
    fn paths_have_a_few_labels() {
        for (path, want) in [
            ("/pdns/query/evil.example", Endpoint::Circl),
            ("/dnsdb/v2/lookup/rrset/name/a", Endpoint::Lookup),
            ("/lookup/rrset/name/a", Endpoint::Lookup),
            ("/lookup/rate_limit", Endpoint::Account),
            ("/dnsdb/v2/regex/rrnames/a", Endpoint::Flex),
            ("/dnsdb/v1/summarize/rdata/ip/a", Endpoint::Summarize),
            ("/metrics", Endpoint::Monitor),
            ("/evil", Endpoint::Other),
            ("", Endpoint::Other),
        ] {
            assert_eq!(Endpoint::of(path), want, "{path}");
        }
    }

    #[test]
    fn a_histogram_is_cumulative() {
        let metrics = Metrics::default();
        metrics.query(Endpoint::Circl, 3, Duration::from_millis(10));
        metrics.query(Endpoint::Circl, 4, Duration::from_secs(100));
        let text = metrics.to_text(&Pool::new(Options::default(), 8));
        for line in [
            "pdns_serve_rows_total{endpoint=\"circl\"} 7\n",
            "_bucket{endpoint=\"circl\",le=\"0.005\"} 0\n",
            "_bucket{endpoint=\"circl\",le=\"0.02\"} 1\n",
            "_bucket{endpoint=\"circl\",le=\"60\"} 1\n",
            "_bucket{endpoint=\"circl\",le=\"+Inf\"} 2\n",
            "pdns_serve_queries_max 8\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }
}

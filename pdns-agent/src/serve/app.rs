//! State shared by all requests.

use super::clients::Clients;
use super::host_check::Hosts;
use super::in_flight::InFlight;
use super::metrics::Metrics;
use super::pages::Pages;
use super::pool::Pool;
use super::rate_limit::Rate;
use super::users::{Users, UsersError};
use super::{Feed, Limits, Settings};
use axum::http::HeaderValue;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Maximum number of running and waiting queries of one client, per query that may run.
const WAITING: usize = 8;

/// State of the server.
#[derive(Debug)]
pub(super) struct App {
    pub(super) pool: Pool,
    pub(super) users: Users,
    pub(super) clients: Clients,
    /// Open connections of each client address; behind a proxy, the concurrent requests of each forwarded
    /// address.
    pub(super) connections: Arc<InFlight>,
    /// Running and waiting queries of each client address.
    pub(super) queries: Arc<InFlight>,
    /// Accepted values of the `Host` header; `None` if requests must carry a secret anyway.
    pub(super) hosts: Option<Hosts>,
    pub(super) behind_proxy: bool,
    pub(super) has_tls: bool,
    pub(super) origin: Option<HeaderValue>,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    /// State shared by the web pages.
    pub(super) pages: Pages,
    /// Settings of the MISP feed.
    pub(super) feed: Feed,
    stopping: AtomicBool,
}

impl App {
    /// Creates the state; `addresses` are those that the server listens on.
    pub(super) fn new(settings: &Settings, addresses: &[IpAddr]) -> Result<Self, UsersError> {
        let limits = settings.limits;
        let rate = Rate { per_second: limits.rate, burst: limits.burst.max(1) };
        Ok(Self {
            pool: Pool::new(settings.store.clone(), limits.queries),
            users: Users::load(settings.users.as_deref())?,
            clients: Clients::new(rate, limits.client_queries),
            connections: InFlight::new(limits.client_connections),
            queries: InFlight::new(limits.client_queries.saturating_mul(WAITING)),
            hosts: settings.users.is_none().then(|| Hosts::new(&settings.hosts, addresses)),
            behind_proxy: settings.behind_proxy,
            has_tls: settings.tls.is_some(),
            // The settings were parsed from text that is valid in a header.
            origin: settings.origin.as_deref().and_then(|origin| origin.parse().ok()),
            limits,
            metrics: Metrics::default(),
            pages: Pages::new(settings),
            feed: settings.feed.clone(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Stops everything that still runs.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Returns the current time in seconds since the epoch.
pub(super) fn now() -> u32 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since_1970.as_secs()).unwrap_or(u32::MAX)
}

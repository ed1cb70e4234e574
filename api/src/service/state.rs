//! What the routes share.

use std::sync::Arc;

use axum::extract::FromRef;
use kiln_cache::{Store, Turns};
use metrics_exporter_prometheus::PrometheusHandle;

use super::access::Access;
use super::lookups::Lookups;
use super::pieces::Pieces;

/// Everything that a route may need. Clones share it.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) pieces: Arc<Pieces>,
    pub(crate) lookups: Arc<Lookups>,
    pub(crate) access: Arc<Access>,
    /// Who sends which file.
    pub(crate) uploads: Turns,
    pub(crate) metrics: PrometheusHandle,
    /// Whether pulls may be sent to the bucket itself.
    pub(crate) redirects: bool,
}

macro_rules! part {
    ($($part:ty: $name:ident;)*) => {
        $(
            impl FromRef<Service> for $part {
                fn from_ref(service: &Service) -> Self {
                    service.$name.clone()
                }
            }
        )*
    };
}

part! {
    Store: store;
    Arc<Pieces>: pieces;
    Arc<Lookups>: lookups;
    Arc<Access>: access;
    Turns: uploads;
}

//! synchub (一录通): a city enters public information once, and every platform shows it.
//!
//! # The way of the data
//! [`http`] or [`cli`] → [`intake`] → [`normalise`] → [`screen`] → [`route`] → [`store`] (one
//! transaction) → [`queue`] → [`deliver`] (with a [`connector`]) → platform → [`store`].
//!
//! # Layout
//! Imports go downwards only: `http cli` → `replay` → `intake | deliver` →
//! `normalise screen route store queue connector` → `record`.

pub mod backoff;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connector;
pub mod deliver;
pub mod http;
pub mod intake;
pub mod normalise;
pub mod operator;
pub mod queue;
pub mod record;
pub mod replay;
pub mod route;
pub mod sandbox;
pub mod schema;
pub mod screen;
pub mod store;
pub mod telemetry;

//! synchub (一录通): a city enters public information once, and every platform shows it.
//!
//! # The way of the data
//! [`http`] or [`cli`] → [`intake`] → [`normalise`] → [`screen`] → [`route`] → [`store`] (one
//! transaction) → [`queue`] → [`deliver`] (with a [`connector`]) → platform → [`store`].
//!
//! # Layout
//! - [`record`]: the words of the house: record, delivery, hold and their states; [`record::life`]
//!   decides where a delivery goes, whatever happens to it.
//! - [`intake`]: the door for submissions in any charset and format, with the source profiles of
//!   OA systems; [`schema`] tells what is wrong with them in Chinese.
//! - [`normalise`] with the [`catalogue`] of units and areas: one canonical form.
//! - [`screen`]: what may not leave. [`route`]: which platforms a record belongs on.
//! - [`store`]: the only home of SQL, and the queue of record. [`queue`]: wake-ups.
//! - [`attachment`]: files, kept once by content; [`blob`] carries them without being in memory.
//! - [`connector`]: a platform as a folder of data. [`deliver`]: senders, sessions, outcomes, with
//!   [`backoff`] for when to try again.
//! - [`operator`]: what a person sees and switches. [`replay`]: what a person sends again.
//! - [`import`]: whole files of rows, each through the door for submissions.
//! - [`conform`]: plays sixteen kinds of trouble to any connector.
//! - [`http`], [`cli`]: the doors. [`sandbox`]: three platforms to practise on.
//! - [`config`], [`telemetry`], [`clock`]: settings, logs and metrics, time. [`failpoint`]: where a
//!   test can end the process.
//!
//! # Invariants
//! Imports go downwards only: `http cli` → `operator replay import` → `intake | deliver` →
//! `attachment` → `normalise screen route store queue connector` → `record`. `intake` and `deliver`
//! never import
//! each other; they meet in the store. No platform's name occurs outside [`sandbox`].

pub mod attachment;
pub mod backoff;
pub mod blob;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod config;
pub mod conform;
pub mod connector;
pub mod deliver;
pub mod failpoint;
pub mod http;
pub mod import;
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

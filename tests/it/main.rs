//! The hub as its callers, its operators and the platforms meet it: real processes, real sockets,
//! a real database file for each test.

mod connectors;
mod crash;
mod documents;
mod events;
mod fourth;
mod house;
mod hub;
mod intake;
mod operators;
mod samples;
mod trouble;

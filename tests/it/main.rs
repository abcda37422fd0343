//! The hub as its callers, its operators and the platforms meet it: real processes, real sockets,
//! a real database file for each test.

mod backend;
mod connectors;
mod crash;
mod hub;
mod intake;
mod rabbitmq;
mod samples;
mod servers;
mod trouble;

//! The hub as its callers, its operators and the platforms meet it: real processes, real sockets,
//! a real database for each test.

mod attachments;
mod backend;
mod breaker;
mod conform;
mod connectors;
mod corrections;
mod crash;
mod documents;
mod events;
mod faults;
mod fourth;
mod fuzz;
mod house;
mod hub;
mod import;
mod intake;
mod life;
mod migrate;
mod normalise;
mod operators;
mod patience;
mod profiles;
mod rabbitmq;
mod redirect;
mod registry;
mod replays;
mod samples;
mod servers;
mod story;
mod switches;
mod too_many;
mod trouble;
mod verify;

//! Servers that a test owns, so that it can stop, kill and starve them.

pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod rabbitmq;

use std::os::unix::fs::MetadataExt as _;

/// Whether the tests run as root, which may mount, and as which some servers refuse to run.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Returns a loopback port that nobody listens on, below those that outgoing connections take, so
/// that a server that is stopped finds it free again.
pub(crate) fn free_port() -> u16 {
    for _ in 0..100 {
        let port = 20_000 + rand::random::<u16>() % 12_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free loopback port between 20000 and 32000");
}

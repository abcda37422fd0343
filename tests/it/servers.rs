//! Servers that a test owns, so that it can stop, kill and starve them.

pub(crate) mod rabbitmq;

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

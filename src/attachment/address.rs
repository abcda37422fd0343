//! Which addresses a file may be fetched from: those of the public internet, or when the host is
//! allowed as private those of an inner network. The machine itself, link-local addresses (where
//! clouds answer with credentials), multicast and reserved ranges are never asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of network an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Reachable by everybody.
    Public,
    /// An inner network: RFC 1918, RFC 6598, RFC 4193, and the machine itself.
    Private,
    /// Never to be asked.
    Forbidden,
}

/// Returns the network of an address (IANA special-purpose registries, RFC 6890).
pub(super) fn network(address: IpAddr) -> Network {
    match address {
        IpAddr::V4(address) => network_v4(address),
        IpAddr::V6(address) => network_v6(address),
    }
}

fn network_v4(address: Ipv4Addr) -> Network {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (10, _, _) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (127, _, _) => {
            // Alibaba Cloud answers with credentials here.
            match address == Ipv4Addr::new(100, 100, 100, 200) {
                true => Network::Forbidden,
                false => Network::Private,
            }
        }
        // This network, link-local, protocol assignments, documentation, 6to4, benchmarks,
        // multicast and reserved.
        (0, _, _)
        | (169, 254, _)
        | (192, 0, 0)
        | (192, 0, 2)
        | (192, 88, 99)
        | (198, 18..=19, _)
        | (198, 51, 100)
        | (203, 0, 113)
        | (224..=255, _, _) => Network::Forbidden,
        _ => Network::Public,
    }
}

fn network_v6(address: Ipv6Addr) -> Network {
    if let Some(inner) = embedded_v4(address) {
        return network_v4(inner);
    }
    let segments = address.segments();
    match segments[0] {
        // Amazon answers with credentials at fd00:ec2::254.
        0xfd00 if segments[1] == 0x0ec2 => Network::Forbidden,
        0xfc00..=0xfdff => Network::Private,
        _ if address == Ipv6Addr::LOCALHOST => Network::Private,
        // Documentation and protocol assignments, among them Teredo.
        0x2001 if segments[1] == 0x0db8 || segments[1] < 0x0200 => Network::Forbidden,
        // Of global unicast only 2000::/3 is in use.
        0x2000..=0x3ffe => Network::Public,
        _ => Network::Forbidden,
    }
}

/// IPv4 inside IPv6: mapped (RFC 4291), translated (RFC 6052), 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let pair = |at: usize| {
        let [a, b] = segments[at].to_be_bytes();
        let [c, d] = segments[at + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(pair(6)),
        [0x2002, ..] => Some(pair(1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_told_from_public_ones() {
        for (address, expected) in [
            ("1.1.1.1", Network::Public),
            ("172.32.0.1", Network::Public),
            ("100.128.0.1", Network::Public),
            ("2400:3200::1", Network::Public),
            ("10.0.0.1", Network::Private),
            ("172.16.0.1", Network::Private),
            ("192.168.255.255", Network::Private),
            ("100.64.0.1", Network::Private),
            ("127.0.0.1", Network::Private),
            ("127.9.9.9", Network::Private),
            ("::1", Network::Private),
            ("fd12::1", Network::Private),
            ("::ffff:10.0.0.1", Network::Private),
            ("64:ff9b::10.0.0.1", Network::Private),
            ("2002:0a00:0001::1", Network::Private),
            ("::ffff:1.1.1.1", Network::Public),
            ("0.0.0.0", Network::Forbidden),
            ("169.254.169.254", Network::Forbidden),
            ("::ffff:169.254.169.254", Network::Forbidden),
            ("100.100.100.200", Network::Forbidden),
            ("224.0.0.1", Network::Forbidden),
            ("255.255.255.255", Network::Forbidden),
            ("198.18.0.1", Network::Forbidden),
            ("::", Network::Forbidden),
            ("::7f00:1", Network::Forbidden),
            ("fe80::1", Network::Forbidden),
            ("fec0::1", Network::Forbidden),
            ("ff02::1", Network::Forbidden),
            ("fd00:ec2::254", Network::Forbidden),
            ("2001:db8::1", Network::Forbidden),
            ("2001::1", Network::Forbidden),
        ] {
            assert_eq!(network(address.parse().unwrap()), expected, "{address}");
        }
    }
}

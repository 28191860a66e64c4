//! How values are written: durations, sizes, addresses and choices.

use crate::srv;
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

/// `10s`, `1m30s`, `100ms`, `2h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a duration like 10s, 1m30s or 100ms, not {text:?}");
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let span = number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)?;
        total = total.checked_add(span).filter(|sum| *sum <= AGES).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// A duration that is not zero.
pub(crate) fn positive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected a duration above zero".into()),
        span => Ok(span),
    }
}

/// A time-out: a duration that is not zero, or `off`.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    if text == "off" { Ok(AGES) } else { positive(text).map_err(or_off) }
}

/// What was expected of a value that may be `off` too.
pub(super) fn or_off(expected: String) -> String {
    match expected.strip_prefix("expected ") {
        Some(rest) => format!("expected off, or {rest}"),
        None => expected,
    }
}

/// `65536`, `64KiB`, `1MiB`, `64kB`: bytes.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("expected a size like 64KiB or 1MiB, not {text:?}");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: usize = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "kib" => 1 << 10,
        "mb" => 1_000_000,
        "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|bytes| *bytes <= GIB_64).ok_or_else(wrong)
}

/// `true` or `false`.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("expected true or false, not {text:?}"))
}

/// A number from 1 to `max`.
pub(crate) fn count(text: &str, max: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| format!("expected a number from 1 to {max}, not {text:?}"))
}

/// `20%`, `0.5%`: from `least` thousandths to ten times the whole.
pub(super) fn permille(text: &str, least: u32) -> Result<u32, String> {
    let wrong = || {
        let tenths =
            if least.is_multiple_of(10) { String::new() } else { format!(".{}", least % 10) };
        let also = if least <= 5 { " or 0.5%" } else { "" };
        format!("expected {}{tenths}% to 1000%, such as 20%{also}, not {text:?}", least / 10)
    };
    let number = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let digits =
        |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(tenths) || tenths.len() > 1 {
        return Err(wrong());
    }
    let found = whole
        .parse()
        .ok()
        .zip(tenths.parse().ok())
        .map(|(whole, tenths): (u32, u32)| whole * 10 + tenths);
    found.filter(|found| (least..=10_000).contains(found)).ok_or_else(wrong)
}

/// `host:port`, or `:port` for all interfaces. Names are looked up.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("expected an address like 127.0.0.1:8000 or :8000, not {text:?}");
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| wrong())?;
        return Ok((IpAddr::from(Ipv6Addr::UNSPECIFIED), port).into());
    }
    text.to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(wrong)
}

/// An address by which others reach this machine.
pub(super) fn reachable(text: &str) -> Result<SocketAddr, String> {
    let found = text.parse().ok().filter(|found: &SocketAddr| {
        !found.ip().is_unspecified() && !found.ip().is_multicast() && found.port() > 0
    });
    found.ok_or_else(|| format!("expected an address like 10.0.0.1:8004, not {text:?}"))
}

/// Where another node may be found: a host name or an address, and a port; or a service, whose
/// port its records say, and which is written without one. Several are separated by commas.
pub(super) fn places(text: &str) -> Result<Vec<(String, u16)>, String> {
    let wrong = |text: &str| format!("expected HOST:PORT, such as node-1:8004, not {text:?}");
    let place = |text: &str| {
        let text = text.trim();
        if text.contains('@') {
            // Not repeated: it may hold a password.
            return Err("expected HOST:PORT, without user information".into());
        }
        if srv::is_service(text) && !text.contains([':', '/']) {
            return Ok((text.to_owned(), 0));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong(text))?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let port = port.parse::<u16>().ok().filter(|port| *port > 0);
        let host = bare.unwrap_or(host);
        match port {
            Some(port) if !host.is_empty() && !host.contains('/') && !srv::is_service(host) => {
                Ok((host.to_owned(), port))
            }
            Some(_) | None => Err(wrong(text)),
        }
    };
    text.split(',').map(place).collect()
}

/// Networks, or single addresses, with commas between them. What is of IPv4 is of IPv4 however it
/// is written, as peers' addresses are.
pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let network = |text: &str| {
        let text = text.trim();
        let whole = |address: IpAddr| IpNet::from(address);
        let found = text.parse().or_else(|_| text.parse().map(whole)).map_err(|_| {
            format!("expected a network like 10.0.0.0/8, fd00::/8 or an address, not {text:?}")
        })?;
        if found.trunc() != found {
            return Err(format!("{text} has bits beyond its prefix: is {} meant?", found.trunc()));
        }
        let mapped = match (found.addr().to_canonical(), found.prefix_len().checked_sub(96)) {
            (IpAddr::V4(address), Some(prefix)) => Ipv4Net::new(address, prefix).ok(),
            (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
        };
        Ok(mapped.map_or(found, IpNet::V4))
    };
    text.split(',').map(network).collect()
}

/// A name for people and peers: what a header field carries without quotes, and short enough for
/// what nodes say of themselves.
pub(super) fn name(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if (1..=NAME_MAX).contains(&text.len()) && text.chars().all(fine) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected 1 to {NAME_MAX} letters, digits, '-', '.', '_' or '~', not {text:?}"))
    }
}

/// As good as for ever, and far from the end of any clock.
pub(super) const AGES: Duration = Duration::from_hours(24 * 365 * 100);
/// Bytes of a node's or a cluster's name (`spec/gossip.md`).
const NAME_MAX: usize = 64;
const GIB_64: usize = 64 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "10", "s", "-1s", "1.5s", "1 s", "99999999999999999999s", "9999999h"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
        assert!(timeout("0s").is_err());
        assert_eq!(timeout("off"), Ok(AGES));
        let told = "expected off, or a duration like 10s, 1m30s or 100ms, not \"5\"";
        assert_eq!(timeout("5"), Err(told.into()));
    }

    #[test]
    fn sizes_are_bytes_or_carry_a_unit() {
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("64 kB"), Ok(64_000));
        assert_eq!(size("1MiB"), Ok(1 << 20));
        for wrong in ["", "KiB", "1TiB", "-1", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn shares_are_percents_with_at_most_one_decimal() {
        assert_eq!(permille("20%", 1), Ok(200));
        assert_eq!(permille("0.5%", 1), Ok(5));
        assert_eq!(permille("1000%", 1), Ok(10_000));
        for wrong in ["", "%", "20", "0%", "0.05%", ".5%", "5.%", "-1%", "1001%", "99999%", "a%"] {
            assert!(permille(wrong, 1).is_err(), "{wrong:?}");
        }
        let told = "expected 10% to 1000%, such as 20%, not \"9.9%\"";
        assert_eq!(permille("9.9%", 100), Err(told.into()));
        let told = "expected 0.1% to 1000%, such as 20% or 0.5%, not \"0%\"";
        assert_eq!(permille("0%", 1), Err(told.into()));
    }

    #[test]
    fn a_place_is_a_host_with_a_port_or_a_service_without_one() {
        let text = "node-1:8004, [::1]:8004,10.0.0.1:1,_pico-gossip._tcp.example.com";
        let found = places(text).unwrap();
        let meant = [
            ("node-1", 8004),
            ("::1", 8004),
            ("10.0.0.1", 1),
            ("_pico-gossip._tcp.example.com", 0),
        ];
        assert_eq!(found, meant.map(|(host, port)| (host.to_owned(), port)));
        for wrong in ["node-1", ":8004", "node-1:0", "http://x:1", "_x._tcp.example.com:8004", ""] {
            assert!(places(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_network_is_a_prefix_or_an_address() {
        let written =
            "10.0.0.0/8, 192.0.2.7,fd00::/8,::1, ::ffff:10.0.0.0/104, ::ffff:1.2.3.4,::/0";
        let found = networks(written).unwrap();
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        let meant = "10.0.0.0/8 192.0.2.7/32 fd00::/8 ::1/128 10.0.0.0/8 1.2.3.4/32 ::/0";
        assert_eq!(shown.join(" "), meant);
        for wrong in ["", "10.0.0.0/33", "10/8", "::/129", "localhost", "10.0.0.0/8,", "0/0"] {
            assert!(networks(wrong).unwrap_err().starts_with("expected a network"), "{wrong:?}");
        }
        let told = "10.1.0.0/8 has bits beyond its prefix: is 10.0.0.0/8 meant?";
        assert_eq!(networks("10.1.0.0/8"), Err(told.into()));
    }

    #[test]
    fn an_address_without_a_host_is_all_interfaces() {
        assert_eq!(address(":8001"), Ok("[::]:8001".parse().unwrap()));
        assert_eq!(address("127.0.0.1:0"), Ok("127.0.0.1:0".parse().unwrap()));
        for wrong in ["", ":", "8001", "127.0.0.1", ":99999", "127.0.0.1:x"] {
            assert!(address(wrong).is_err(), "{wrong:?}");
        }
    }
}

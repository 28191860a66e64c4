//! Names that stand for services: SRV records (RFC 2782), asked of the system's name servers.
//!
//! What systems offer to look names up knows addresses only. So this asks the name servers
//! itself, on a thread that may wait, and looks the targets up as the system does.

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};
use std::fs;
use std::future::Future;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::Builder;
use std::time::Duration;

/// Whether a name is one of a service: those of hosts never begin so (RFC 2782).
pub(crate) fn is_service(name: &str) -> bool {
    name.starts_with('_')
}

/// Looks up where a service is. To drop the future is to give up; the thread ends in its time.
pub(crate) fn look_up(service: String) -> LookUp {
    let slot: Arc<Mutex<Slot>> = Arc::default();
    let filled = Arc::clone(&slot);
    let thread = Builder::new().name("pico-srv".into());
    let started = thread.spawn(move || {
        let found = find(&service, &servers());
        fill(&filled, found);
    });
    if let Err(error) = started {
        fill(&slot, Err(error));
    }
    LookUp(slot)
}

/// A look-up under way.
pub(crate) struct LookUp(Arc<Mutex<Slot>>);

/// What came of it, or who waits for that.
#[derive(Default)]
struct Slot {
    found: Option<io::Result<Vec<SocketAddr>>>,
    waker: Option<Waker>,
}

impl Future for LookUp {
    type Output = io::Result<Vec<SocketAddr>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.found.take().map_or_else(
            || {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            },
            Poll::Ready,
        )
    }
}

fn fill(slot: &Mutex<Slot>, found: io::Result<Vec<SocketAddr>>) {
    let waker = {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.found = Some(found);
        slot.waker.take()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The system's name servers.
fn servers() -> Vec<SocketAddr> {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut all = listed(&text);
    if all.is_empty() {
        // As resolvers do that are told of none (resolv.conf(5)).
        all.push((Ipv4Addr::LOCALHOST, PORT).into());
    }
    all
}

fn listed(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let named = words.next() == Some("nameserver");
        let ip: IpAddr = words.next().filter(|_| named)?.parse().ok()?;
        Some(SocketAddr::new(ip, PORT))
    };
    text.lines().filter_map(address).take(SERVERS).collect()
}

/// Where the service is, whatever the priority of its places: all of them are asked anyway.
fn find(service: &str, servers: &[SocketAddr]) -> io::Result<Vec<SocketAddr>> {
    let mut all = Vec::new();
    for (target, port) in places(service, servers)? {
        // A target that is not there does not hide the others.
        let found = (target.as_str(), port).to_socket_addrs().into_iter().flatten();
        all.extend(found.filter(|found| !all.contains(found)).collect::<Vec<_>>());
    }
    Ok(all)
}

/// The hosts and ports of a service.
fn places(service: &str, servers: &[SocketAddr]) -> io::Result<Vec<(String, u16)>> {
    let mut failed = io::Error::from(ErrorKind::NotFound);
    for _ in 0..TRIES {
        for server in servers {
            // One that cannot say hides no other.
            match ask(service, *server).and_then(|answer| read(&answer)) {
                Ok(found) => return found.ok_or_else(|| ErrorKind::NotFound.into()),
                Err(error) => failed = error,
            }
        }
    }
    Err(failed)
}

/// What a server answers.
fn ask(service: &str, server: SocketAddr) -> io::Result<Vec<u8>> {
    let id = u16::try_from(getrandom::u32()? & 0xffff).unwrap_or_default();
    let mut query = Packet::new_query(id);
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(service).map_err(|error| strange(&error))?;
    query.questions.push(Question::new(name, TYPE::SRV.into(), CLASS::IN.into(), false));
    let query = query.build_bytes_vec().map_err(|error| strange(&error))?;
    let answer = ask_by_datagram(&query, id, server)?;
    let cut = Packet::parse(&answer).is_ok_and(|got| got.has_flags(PacketFlag::TRUNCATION));
    if cut { ask_by_stream(&query, server) } else { Ok(answer) }
}

fn ask_by_datagram(query: &[u8], id: u16, server: SocketAddr) -> io::Result<Vec<u8>> {
    let unspecified = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(unspecified)?;
    // From then on only what this server sends is heard.
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(query)?;
    let mut buffer = vec![0; DATAGRAM_MAX];
    for _ in 0..STRAYS {
        let count = socket.recv(&mut buffer)?;
        let got = buffer.get(..count).unwrap_or_default();
        let ours = |got: &Packet<'_>| got.id() == id && got.has_flags(PacketFlag::RESPONSE);
        if Packet::parse(got).is_ok_and(|got| ours(&got)) {
            return Ok(got.to_vec());
        }
    }
    Err(ErrorKind::InvalidData.into())
}

fn ask_by_stream(query: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// The places in an answer; nothing, if it is that there is no such name. A target of the root says
/// that there is no such service.
fn read(answer: &[u8]) -> io::Result<Option<Vec<(String, u16)>>> {
    let answer = Packet::parse(answer).map_err(|error| strange(&error))?;
    let code = answer.rcode();
    if code == RCODE::NameError {
        return Ok(None);
    }
    if code != RCODE::NoError {
        return Err(io::Error::other(format!("the name server said {code:?}")));
    }
    let place = |data: &RData<'_>| {
        let RData::SRV(srv) = data else { return None };
        let there = srv.port > 0 && !srv.target.get_labels().is_empty();
        there.then(|| (srv.target.to_string(), srv.port))
    };
    let places = answer.answers.iter().filter_map(|record| place(&record.rdata));
    Ok(Some(places.take(PLACES).collect()))
}

fn strange(error: &simple_dns::SimpleDnsError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error.to_string())
}

/// Where name servers listen.
const PORT: u16 = 53;
/// Servers that are asked, as resolvers do, and how often each.
const SERVERS: usize = 3;
const TRIES: u32 = 2;
/// How long each may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Datagrams that are looked at, of which only one can be the answer.
const STRAYS: u32 = 8;
/// Bytes of the longest datagram; servers send 512 and then tell us to use a stream.
const DATAGRAM_MAX: usize = 4_096;
/// Places of one service that are looked up.
const PLACES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::SRV;
    use std::net::TcpListener;
    use std::thread;

    /// The answer to a query: so many places of the service at this host, or none at all.
    fn answer(query: &[u8], host: &'static str, ports: &[u16], flags: PacketFlag) -> Vec<u8> {
        let query = Packet::parse(query).expect("a query");
        let mut reply = Packet::new_reply(query.id());
        reply.set_flags(flags | PacketFlag::RESPONSE);
        let asked = query.questions.first().expect("a question");
        assert_eq!(asked.qtype, TYPE::SRV.into());
        assert_eq!(asked.qname.to_string(), SERVICE);
        for port in ports {
            let target = Name::new_unchecked(host);
            let data = RData::SRV(SRV { priority: 1, weight: 1, port: *port, target });
            reply.answers.push(ResourceRecord::new(asked.qname.clone(), CLASS::IN, 30, data));
        }
        if ports.is_empty() {
            *reply.rcode_mut() = RCODE::NameError;
        }
        reply.build_bytes_vec().expect("a reply")
    }

    /// A name server that answers one datagram, behind one that is nobody's answer.
    fn server(host: &'static str, ports: &'static [u16], flags: PacketFlag) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let at = socket.local_addr().expect("it is bound");
        thread::spawn(move || {
            let mut buffer = [0; 512];
            let (count, from) = socket.recv_from(&mut buffer).expect("a query");
            socket.send_to(b"nobody asked", from).expect("it is sent");
            let reply = answer(&buffer[..count], host, ports, flags);
            socket.send_to(&reply, from).expect("it is sent");
        });
        at
    }

    #[test]
    fn a_service_is_where_its_records_say() {
        let at = server("localhost", &[7001, 7002], PacketFlag::empty());
        let found = find(SERVICE, &[at]).expect("it is found");
        for port in [7001, 7002] {
            assert!(found.iter().any(|f| f.port() == port && f.ip().is_loopback()), "{found:?}");
        }
    }

    #[test]
    fn a_service_that_there_is_not_is_not_found() {
        let at = server("localhost", &[], PacketFlag::empty());
        assert_eq!(find(SERVICE, &[at]).expect_err("none").kind(), ErrorKind::NotFound);
        // The root as a target says so too, in another way.
        let at = server("", &[7001], PacketFlag::empty());
        assert_eq!(find(SERVICE, &[at]).expect("nothing"), []);
    }

    /// A name server that answers so much to each question.
    fn broken(code: RCODE) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let at = socket.local_addr().expect("it is bound");
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((count, from)) = socket.recv_from(&mut buffer) {
                let query = Packet::parse(&buffer[..count]).expect("a query");
                let mut reply = Packet::new_reply(query.id());
                reply.set_flags(PacketFlag::RESPONSE);
                *reply.rcode_mut() = code;
                let reply = reply.build_bytes_vec().expect("a reply");
                socket.send_to(&reply, from).expect("it is sent");
            }
        });
        at
    }

    #[test]
    fn a_name_server_that_cannot_say_hides_no_other() {
        for code in [RCODE::ServerFailure, RCODE::Refused] {
            let servers = [broken(code), server("localhost", &[7001], PacketFlag::empty())];
            let found = find(SERVICE, &servers).expect("it is found");
            assert!(found.iter().any(|found| found.port() == 7001), "{found:?}");
            let error = find(SERVICE, &[broken(code)]).expect_err("nobody can say");
            assert!(error.to_string().contains(&format!("{code:?}")), "{error}");
        }
        // That there is none is an answer.
        let servers = [
            server("localhost", &[], PacketFlag::empty()),
            server("localhost", &[7001], PacketFlag::empty()),
        ];
        assert_eq!(find(SERVICE, &servers).expect_err("none").kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_answer_that_was_cut_is_asked_for_by_a_stream() {
        let at = server("localhost", &[7001], PacketFlag::TRUNCATION);
        let listener = TcpListener::bind(at).expect("the same port");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody comes");
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).expect("a query");
            let reply = answer(&query, "localhost", &[7001, 7002, 7003], PacketFlag::empty());
            let length = u16::try_from(reply.len()).expect("it is short");
            stream.write_all(&[&length.to_be_bytes(), &reply[..]].concat()).expect("it is sent");
        });
        let found = find(SERVICE, &[at]).expect("it is found");
        assert!(found.iter().any(|found| found.port() == 7003), "{found:?}");
    }

    #[test]
    fn name_servers_are_those_of_the_system() {
        let text = "search example.com\nnameserver 10.0.0.53\n# nameserver 10.0.0.54\n\
                    options ndots:2\nnameserver 2001:db8::53\nnameserver\nnameserver x\n";
        let listed: Vec<String> = listed(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(listed, ["10.0.0.53:53", "[2001:db8::53]:53"]);
    }

    const SERVICE: &str = "_pico-gossip._tcp.example.com";
}

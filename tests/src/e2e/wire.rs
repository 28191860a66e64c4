//! As much HTTP/1.1 as a test's client and service need, over blocking sockets. Deliberately not
//! the code under test.

use super::PATIENCE;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// The first line and the fields of a message.
#[derive(Clone, Debug)]
pub struct Head {
    /// The first line.
    pub start: String,
    /// The fields, names in lower case.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The value of the first field of this name, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
    }

    /// A word of the first line.
    pub fn word(&self, at: usize) -> &str {
        self.start.split(' ').nth(at).unwrap_or_default()
    }

    /// The values of all fields of this name, which is given in lower case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.fields.iter().filter(|field| field.0 == name);
        same.map(|field| field.1.as_str()).collect()
    }

    /// The head as lines, names in lower case.
    pub fn text(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}\n"));
        std::iter::once(format!("{}\n", self.start)).chain(fields).collect()
    }

    /// Reads a head; `None` if the connection ends before its first byte.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(start) = line(from)? else { return Ok(None) };
        let mut fields = Vec::new();
        loop {
            let line = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(Some(Self { start, fields }));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid("a field"))?;
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

/// How the end of a body is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Length(u64),
    /// Bytes left of the present chunk.
    Chunked(u64),
    UntilClose,
}

/// The body of a message, read as it comes. A body that is cut short is an error.
#[derive(Debug)]
pub struct Body<'a, R> {
    from: &'a mut R,
    framing: Framing,
    first: bool,
}

impl<'a, R: BufRead> Body<'a, R> {
    /// The body that follows `head`. A request without framing has none.
    pub fn of_request(head: &Head, from: &'a mut R) -> io::Result<Self> {
        Ok(Self { from, framing: framing(head)?.unwrap_or(Framing::Length(0)), first: true })
    }

    /// The body that follows `head`, which answers a request of this method.
    pub fn of_response(head: &Head, method: &str, from: &'a mut R) -> io::Result<Self> {
        let none = method == "HEAD" || ["204", "304"].contains(&head.word(1));
        let framing =
            if none { Framing::Length(0) } else { framing(head)?.unwrap_or(Framing::UntilClose) };
        Ok(Self { from, framing, first: true })
    }

    fn chunk(&mut self) -> io::Result<u64> {
        if !self.first && line(self.from)?.is_none_or(|line| !line.is_empty()) {
            return Err(invalid("the end of a chunk"));
        }
        self.first = false;
        let size = line(self.from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| invalid("a chunk's size"))?;
        if size == 0 {
            while !line(self.from)?.ok_or(io::ErrorKind::UnexpectedEof)?.is_empty() {}
            self.framing = Framing::Length(0);
        }
        Ok(size)
    }
}

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.framing == Framing::Chunked(0) {
            let size = self.chunk()?;
            if size > 0 {
                self.framing = Framing::Chunked(size);
            }
        }
        let (Framing::Length(left) | Framing::Chunked(left)) = self.framing else {
            return self.from.read(into);
        };
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        if room == 0 {
            // Not even an empty read: it might wait for what follows the body.
            return Ok(0);
        }
        let count = self.from.read(into.get_mut(..room).unwrap_or_default())?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left - u64::try_from(count).expect("no more than was left");
        self.framing = match self.framing {
            Framing::Chunked(_) => Framing::Chunked(left),
            Framing::Length(_) | Framing::UntilClose => Framing::Length(left),
        };
        Ok(count)
    }
}

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The head.
    pub head: Head,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The stable code in an error's body; empty if there is none.
    pub fn code(&self) -> String {
        let text = self.text();
        let after = text.split_once("\"code\":\"").map(|(_, after)| after);
        after.and_then(|after| after.split('"').next()).unwrap_or_default().to_owned()
    }
}

impl Client {
    /// Connects to `address`.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = connect(address);
        Self { stream: BufReader::new(stream) }
    }

    /// The other end of a connection that was accepted: by it the test is the service.
    pub(super) fn accepted(stream: TcpStream) -> Self {
        bound(&stream);
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Sends the head of a request for `endpoint` with these further field lines, each of which
    /// ends in CRLF.
    pub fn head(&mut self, method: &str, target: &str, endpoint: &str, fields: &str) {
        let head = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\n\
             x-pico-endpoint: {endpoint}\r\n{fields}\r\n"
        );
        self.send(head).expect("the server takes a head");
    }

    /// Sends a request and reads its answer.
    pub fn call(&mut self, method: &str, target: &str, endpoint: &str, body: &str) -> Response {
        let length = format!("content-length: {}\r\n", body.len());
        let fields = if body.is_empty() && method != "POST" { "" } else { &length };
        self.head(method, target, endpoint, fields);
        self.send(body).expect("the server takes a body");
        self.response(method)
    }

    /// Reads the answer to a request of this method to its end.
    pub fn response(&mut self, method: &str) -> Response {
        let head = self.response_head();
        let mut body = Vec::new();
        let mut reader = Body::of_response(&head, method, &mut self.stream).expect("framing");
        reader.read_to_end(&mut body).expect("a whole body");
        let status = head.word(1).parse().expect("a status code");
        Response { status, head, body }
    }

    /// Reads the head of an answer, interim ones aside.
    pub fn response_head(&mut self) -> Head {
        loop {
            let head = Head::read(&mut self.stream).expect("an answer").expect("not the end");
            if !head.word(1).starts_with('1') || head.word(1) == "101" {
                return head;
            }
        }
    }

    /// Reads the next head, whatever it is of.
    pub fn next_head(&mut self) -> Head {
        Head::read(&mut self.stream).expect("a head").expect("not the end")
    }

    /// Reads so many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// The body that follows `head`, read as it comes.
    pub fn body(&mut self, head: &Head, method: &str) -> Body<'_, BufReader<TcpStream>> {
        Body::of_response(head, method, &mut self.stream).expect("framing")
    }

    /// Reads until the server ends the connection, in whichever way; fails only if it does not.
    pub fn until_closed(&mut self) -> Vec<u8> {
        until_closed(&mut self.stream, "what it was sent")
    }

    /// A second handle on the connection, for sending while the answer is read.
    pub fn writer(&self) -> TcpStream {
        self.stream.get_ref().try_clone().expect("a socket can be shared")
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        // It fails if the server has closed the connection before, which is as well.
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }
}

/// Sends `bytes` and FIN on a new connection, and reads all that comes back until the server ends
/// the connection, in whichever way. Fails only if it does not end in time.
pub fn closing_answer(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    until_closed(&mut stream, &bytes.escape_ascii().to_string())
}

fn until_closed(from: &mut impl Read, sent: &str) -> Vec<u8> {
    let mut answer = Vec::new();
    match from.read_to_end(&mut answer) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
        {
            panic!("the connection stays open after {sent:.200}")
        }
        // A reset is an end too.
        Ok(_) | Err(_) => answer,
    }
}

/// Connects with every wait bounded.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it is listening");
    bound(&stream);
    stream
}

/// Bounds every wait on `stream`.
pub(super) fn bound(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a positive time");
    stream.set_write_timeout(Some(PATIENCE)).expect("a positive time");
    stream.set_nodelay(true).expect("a TCP socket");
}

fn framing(head: &Head) -> io::Result<Option<Framing>> {
    if head.get("transfer-encoding").is_some() {
        return Ok(Some(Framing::Chunked(0)));
    }
    let length = head.get("content-length").map(str::parse);
    Ok(length.transpose().map_err(|_| invalid("a length"))?.map(Framing::Length))
}

/// The next line without its end; `None` if the connection ends here.
fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if from.take(1 << 20).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    let text = bytes.strip_suffix(b"\r\n").ok_or_else(|| invalid("a line's end"))?;
    Ok(Some(String::from_utf8_lossy(text).into_owned()))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is malformed"))
}

//! A plain HTTP/1.1 reader, as different from Pico's as it can be: it looks at all it has each
//! time, and trusts nobody.

use httparse::{EMPTY_HEADER, Request, Response, Status};

/// What a reader found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A head, interim ones too.
    Head(Head),
    /// Some of a body.
    Body(Vec<u8>),
    /// The message is complete; with its trailers.
    End(Vec<(String, String)>),
    /// What came is not HTTP, or ended in the middle.
    Bad(String),
}

/// A head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// Of a request, or empty.
    pub method: String,
    /// Of a request, or empty.
    pub target: String,
    /// Of a response, or 0.
    pub status: u16,
    /// All fields, names in lower case.
    pub fields: Vec<(String, String)>,
}

/// Reads the messages of one direction of one connection.
#[derive(Debug)]
pub struct Reader {
    requests: bool,
    buffer: Vec<u8>,
    state: State,
    /// The next final response has no body, whatever its head says.
    bodiless: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Head,
    Length(usize),
    ChunkLine,
    Chunk(usize),
    ChunkEnd,
    Trailers,
    End,
    /// Behind an upgrade.
    Raw,
    Over,
}

impl Head {
    /// The first field called `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Reader {
    /// Reads what a client sends.
    pub const fn requests() -> Self {
        Self { requests: true, buffer: Vec::new(), state: State::Head, bodiless: false }
    }

    /// Reads what a server sends.
    pub fn responses() -> Self {
        Self { requests: false, ..Self::requests() }
    }

    /// The next response answers a HEAD.
    pub fn expect_no_body(&mut self, bodiless: bool) {
        self.bodiless = bodiless;
    }

    /// From here on come bytes of another protocol: each is a [`Event::Body`], and there is no
    /// end but FIN. What answers a request does this by itself behind a 101.
    pub fn upgrade(&mut self) {
        self.state = State::Raw;
    }

    /// Takes bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What it has not read yet.
    pub fn rest(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether it is between two messages.
    pub fn is_between(&self) -> bool {
        self.state == State::Head && self.buffer.is_empty()
    }

    /// The next find, or `None` until there is more.
    pub fn find(&mut self) -> Option<Event> {
        loop {
            match self.state {
                State::Head => return self.head(),
                State::Length(0) | State::End => {
                    self.state = State::Head;
                    return Some(Event::End(Vec::new()));
                }
                State::Length(left) => {
                    let bytes = self.take(left)?;
                    self.state = State::Length(left - bytes.len());
                    return Some(Event::Body(bytes));
                }
                State::ChunkLine => {
                    let line = self.line()?;
                    let digits = line.split(';').next().unwrap_or_default();
                    match usize::from_str_radix(digits, 16) {
                        Ok(0) => self.state = State::Trailers,
                        Ok(size) => self.state = State::Chunk(size),
                        Err(_) => return Some(self.bad(&format!("chunk size {line:?}"))),
                    }
                }
                State::Chunk(0) => self.state = State::ChunkEnd,
                State::Chunk(left) => {
                    let bytes = self.take(left)?;
                    self.state = State::Chunk(left - bytes.len());
                    return Some(Event::Body(bytes));
                }
                State::ChunkEnd => {
                    let line = self.line()?;
                    if !line.is_empty() {
                        return Some(self.bad(&format!("{line:?} behind a chunk")));
                    }
                    self.state = State::ChunkLine;
                }
                State::Trailers => return self.trailers(),
                State::Raw => return self.take(usize::MAX).map(Event::Body),
                State::Over => return None,
            }
        }
    }

    fn head(&mut self) -> Option<Event> {
        if self.buffer.is_empty() {
            return None;
        }
        let mut fields = [EMPTY_HEADER; 128];
        let (used, head) = if self.requests {
            let mut request = Request::new(&mut fields);
            match request.parse(&self.buffer) {
                Ok(Status::Complete(used)) => (used, Head::of_request(&request)),
                Ok(Status::Partial) => return None,
                Err(error) => return Some(self.bad(&format!("{error}"))),
            }
        } else {
            let mut response = Response::new(&mut fields);
            match response.parse(&self.buffer) {
                Ok(Status::Complete(used)) => (used, Head::of_response(&response)),
                Ok(Status::Partial) => return None,
                Err(error) => return Some(self.bad(&format!("{error}"))),
            }
        };
        self.buffer.drain(..used);
        match self.framing(&head) {
            Ok(state) => self.state = state,
            Err(why) => return Some(self.bad(&why)),
        }
        Some(Event::Head(head))
    }

    /// How the body behind `head` is delimited.
    fn framing(&self, head: &Head) -> Result<State, String> {
        if head.status == 101 {
            return Ok(State::Raw);
        }
        if !self.requests && (100..200).contains(&head.status) {
            return Ok(State::Head);
        }
        let count = |name| head.fields.iter().filter(|(n, _)| n == name).count();
        let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
        if lengths + codings > 1 {
            return Err(format!("{lengths} lengths and {codings} codings"));
        }
        if !self.requests && (self.bodiless || matches!(head.status, 204 | 304)) {
            return Ok(State::End);
        }
        if let Some(coding) = head.field("transfer-encoding") {
            let chunked = coding.eq_ignore_ascii_case("chunked");
            return chunked.then_some(State::ChunkLine).ok_or(format!("coding {coding:?}"));
        }
        match head.field("content-length") {
            Some(length) => {
                let length = length.parse().map_err(|_| format!("length {length:?}"))?;
                Ok(State::Length(length))
            }
            None if self.requests => Ok(State::End),
            None => Err("a response that ends with its connection".into()),
        }
    }

    fn trailers(&mut self) -> Option<Event> {
        let mut fields = [EMPTY_HEADER; 32];
        match httparse::parse_headers(&self.buffer, &mut fields) {
            Ok(Status::Complete((used, fields))) => {
                let fields = copied(fields);
                self.buffer.drain(..used);
                self.state = State::Head;
                Some(Event::End(fields))
            }
            Ok(Status::Partial) => None,
            Err(error) => Some(self.bad(&format!("trailers: {error}"))),
        }
    }

    fn take(&mut self, most: usize) -> Option<Vec<u8>> {
        let count = most.min(self.buffer.len());
        (count > 0).then(|| self.buffer.drain(..count).collect())
    }

    fn line(&mut self) -> Option<String> {
        let end = self.buffer.windows(2).position(|two| two == b"\r\n")?;
        let line = self.buffer.drain(..end + 2).take(end).collect();
        Some(String::from_utf8(line).unwrap_or_else(|_| "not text".into()))
    }

    fn bad(&mut self, why: &str) -> Event {
        self.state = State::Over;
        Event::Bad(why.to_owned())
    }
}

impl Head {
    fn of_request(request: &Request) -> Self {
        Self {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            status: 0,
            fields: copied(request.headers),
        }
    }

    fn of_response(response: &Response) -> Self {
        Self {
            method: String::new(),
            target: String::new(),
            status: response.code.unwrap_or_default(),
            fields: copied(response.headers),
        }
    }
}

fn copied(fields: &[httparse::Header]) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    fields.iter().map(|f| (f.name.to_ascii_lowercase(), text(f.value))).collect()
}

/// A chunk around `bytes`, of which there must be some.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

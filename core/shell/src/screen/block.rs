//! What a live screen shows: lines that scroll by, and below them a block that always says how
//! things are.

use super::{Listed, Shared, clean, millis, plain, refusal, size, told};
use console::{Style, measure_text_width, truncate_str};
use pico_core::Instant;
use pico_core::Reason;
use pico_core::note::{Note, Request};
use std::time::Duration;

/// How things are.
#[derive(Debug)]
pub(super) struct Block {
    rows: Vec<Row>,
    shared: Shared,
    /// Where clients may reach the endpoints.
    clients: Option<String>,
    served: u64,
    failed: u64,
    stopping: bool,
}

/// One listener.
#[derive(Debug)]
struct Row {
    listed: Listed,
    status: Status,
}

/// How its tunnel is. In the order in which it deserves to be seen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Status {
    Refused(String),
    Offline { why: String, due: Instant },
    Connecting,
    Online { node: String, rtt: Duration },
}

/// The terminal, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) colour: bool,
}

impl Block {
    /// A block for these listeners, none of which is connected yet.
    pub(super) fn new(listed: Vec<Listed>, clients: Option<String>) -> Self {
        let shared = Shared::of(&listed);
        let row = |listed| Row { listed, status: Status::Connecting };
        let rows = listed.into_iter().map(row).collect();
        Self { rows, shared, clients, served: 0, failed: 0, stopping: false }
    }

    /// Takes in what happened, and says what scrolls by, if anything.
    pub(super) fn note(&mut self, now: Instant, note: &Note, shape: Shape) -> Option<String> {
        match note {
            Note::Request(request) => {
                self.served += 1;
                self.failed += u64::from(request.reason.is_some());
                Some(self.request(request, shape))
            }
            Note::Online { endpoint, service, node, rtt } => {
                self.set(endpoint, service, Status::Online { node: clean(node), rtt: *rtt });
                None
            }
            Note::Offline { endpoint, service, server, why, retry } => {
                let why = format!("{server}: {}", told(*why));
                let name = self.shared.name(endpoint, service);
                let line = format!("Status     {name} offline  {why}");
                let due = now + *retry;
                let before = self.set(endpoint, service, Status::Offline { why, due });
                // Of a row of failed attempts, the block shows how it goes on.
                matches!(before, Some(Status::Online { .. })).then_some(line)
            }
            Note::Rejected { endpoint, service, status, code } => {
                self.set(endpoint, service, Status::Refused(refusal(*status, code)));
                plain::line(note, &self.shared)
            }
            Note::Draining { .. } => {
                self.stopping = true;
                plain::line(note, &self.shared)
            }
            Note::Moving { .. }
            | Note::ServiceUnreachable { .. }
            | Note::Drained { .. }
            | Note::Registered { .. }
            | Note::Unregistered { .. }
            | Note::Refused { .. }
            | Note::NodeFound { .. }
            | Note::NodeGone { .. }
            | Note::Alone { .. }
            | Note::Deserted
            | Note::LinkUp { .. }
            | Note::LinkDown { .. }
            | Note::Joined { .. }
            | Note::Rebalancing { .. }
            | Note::Untrusted { .. }
            | Note::Namesake { .. } => plain::line(note, &self.shared),
        }
    }

    /// Whether the block changes as time passes.
    pub(super) fn counts_down(&self) -> bool {
        self.rows.iter().any(|row| matches!(row.status, Status::Offline { .. }))
    }

    /// The lines of the block, none wider than the terminal, and fewer than it has rows: what is
    /// drawn anew must not have scrolled away. Where there is room, half of it is left free.
    pub(super) fn lines(&self, now: Instant, shape: Shape) -> Vec<String> {
        let mut lines = match self.rows.as_slice() {
            [row] => self.one(row, now, shape),
            rows => many(rows, now, shape),
        };
        lines.extend(reasons(&self.rows));
        lines.truncate(shape.height.saturating_sub(2));
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let stopping = if self.stopping { "   stopping" } else { "" };
        lines.push(format!("Requests   {}{failed}{stopping}", self.served));
        let most = shape.width.max(10);
        lines
            .iter()
            .map(|line| truncate_str(&format!("  {line}"), most, "…").into_owned())
            .collect()
    }

    fn one(&self, row: &Row, now: Instant, shape: Shape) -> Vec<String> {
        let Listed { endpoint, service } = &row.listed;
        let mut lines = vec![
            format!("Endpoint   {endpoint}  ->  http://{service}"),
            format!("Status     {}", status(&row.status, now, shape)),
        ];
        if let (Some(clients), Status::Online { .. }) = (&self.clients, &row.status) {
            lines.push(format!("Try it     curl -H 'x-pico-endpoint: {endpoint}' {clients}"));
        }
        lines
    }

    fn request(&self, request: &Request, shape: Shape) -> String {
        let Request { endpoint, method, path, status, reason, bytes_out, took, .. } = request;
        let of = if self.rows.len() > 1 { format!("{endpoint}  ") } else { String::new() };
        let most = shape.width.saturating_sub(PATH_ROOM - END_ROOM + PATH_LEAST + of.len());
        let end = reason.map_or_else(|| size(*bytes_out), |reason| why(reason, most));
        let colour = match status {
            200..=399 => Style::new().green(),
            400..=499 => Style::new().yellow(),
            _ => Style::new().red(),
        };
        // One that nobody was answered has none.
        let status = if *status == 0 { "-  ".into() } else { status.to_string() };
        let status = paint(&colour, &status, shape);
        // Why it failed matters more than all of its path.
        let more = measure_text_width(&end).saturating_sub(END_ROOM);
        let room = shape.width.saturating_sub(PATH_ROOM + of.len() + more);
        let room = room.clamp(PATH_LEAST, 40);
        let path = truncate_str(path, room, "…");
        let pad = " ".repeat(room.saturating_sub(measure_text_width(&path)));
        format!("{of}{method:<6} {path}{pad}  {status}  {:>6} ms   {end}", millis(*took))
    }

    /// Sets the status of a listener, and returns what it was.
    fn set(&mut self, endpoint: &str, service: &str, status: Status) -> Option<Status> {
        let of = |listed: &Listed| listed.endpoint == endpoint && listed.service == service;
        let row = self.rows.iter_mut().find(|row| of(&row.listed))?;
        Some(std::mem::replace(&mut row.status, status))
    }
}

/// Why a request failed: in words, or by its code if there is no room for them.
fn why(reason: Reason, most: usize) -> String {
    let words = reason.to_string();
    if measure_text_width(&words) <= most { words } else { reason.told().code.into() }
}

/// Those that are worst off come first if not all can be seen.
fn many(rows: &[Row], now: Instant, shape: Shape) -> Vec<String> {
    // Below them stand how many more there are, the requests, and the cursor.
    let room = (shape.height / 2).max(3).min(shape.height.saturating_sub(3)).max(1);
    let mut seen: Vec<&Row> = rows.iter().collect();
    if seen.len() > room {
        seen.sort_by(|a, b| a.status.cmp(&b.status));
    }
    let hidden = seen.split_off(seen.len().min(room));
    // Names leave room for how things are.
    let most = (shape.width / 4).max(8);
    let widest = |text: fn(&Listed) -> &str| {
        seen.iter().map(|row| text(&row.listed).len()).max().unwrap_or(0).min(most)
    };
    let (first, second) = (widest(|l| &l.endpoint), widest(|l| &l.service));
    let line = |row: &&Row| {
        let endpoint = truncate_str(&row.listed.endpoint, first, "…");
        let service = truncate_str(&row.listed.service, second, "…");
        let status = status(&row.status, now, shape);
        format!("{endpoint:<first$}  ->  http://{service:<second$}   {status}")
    };
    let mut lines: Vec<String> = seen.iter().map(line).collect();
    if !hidden.is_empty() {
        let online = |row: &&&Row| matches!(row.status, Status::Online { .. });
        let (all, online) = (hidden.len(), hidden.iter().filter(online).count());
        lines.push(format!("and {all} more, {online} online"));
    }
    lines
}

/// Why those are offline that are: each reason once, and no more than fit. Mostly there is one,
/// because all are at one server.
fn reasons(rows: &[Row]) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    for row in rows {
        let Status::Offline { why, .. } = &row.status else { continue };
        let line = format!("Reason     {why}");
        if reasons.len() < REASONS_MAX && !reasons.contains(&line) {
            reasons.push(line);
        }
    }
    reasons
}

fn status(status: &Status, now: Instant, shape: Shape) -> String {
    let (bad, good) = (Style::new().red(), Style::new().green());
    match status {
        Status::Refused(why) => format!("{}   {why}", paint(&bad, "refused", shape)),
        Status::Offline { due, .. } => {
            let left = due.since(now).as_secs() + 1;
            let word = paint(&bad, "offline", shape);
            if now < *due {
                format!("{word}  next attempt in {left} s")
            } else {
                format!("{word}  trying again")
            }
        }
        Status::Connecting => "connecting".into(),
        Status::Online { node, rtt } => {
            let word = paint(&good, "online", shape);
            format!("{word}   node {node}   rtt {} ms", millis(*rtt))
        }
    }
}

fn paint(style: &Style, text: &str, shape: Shape) -> String {
    style.clone().force_styling(shape.colour).apply_to(text).to_string()
}

/// Columns of a request's line besides its path and endpoint.
const PATH_ROOM: usize = 50;
/// So much of a path is shown in any case.
const PATH_LEAST: usize = 8;
/// Columns of those for how it ended.
const END_ROOM: usize = 10;
/// Lines of the block that say why.
const REASONS_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use pico_core::note::Why;

    const WIDE: Shape = Shape { width: 100, height: 24, colour: false };

    fn listed(count: usize) -> Vec<Listed> {
        let one = |number| Listed {
            endpoint: format!("shop-{number}"),
            service: "localhost:3000".into(),
        };
        (0..count).map(one).collect()
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    fn online(number: usize) -> Note {
        let (endpoint, node) = (format!("shop-{number}"), "pico-1\u{1b}[2J".into());
        let service = "localhost:3000".into();
        Note::Online { endpoint, service, node, rtt: Duration::from_millis(12) }
    }

    #[test]
    fn one_endpoint_has_a_line_for_each_fact() {
        let mut block = Block::new(listed(1), Some("http://localhost:8001/".into()));
        let expected =
            ["  Endpoint   shop-0  ->  http://localhost:3000", "  Status     connecting"];
        assert_eq!(block.lines(at(0), WIDE)[..2], expected);
        assert_eq!(block.note(at(0), &online(0), WIDE), None);
        let lines = block.lines(at(0), WIDE);
        assert_eq!(lines[1], "  Status     online   node pico-1?[2J   rtt 12 ms");
        let hint = "  Try it     curl -H 'x-pico-endpoint: shop-0' http://localhost:8001/";
        assert_eq!(lines[2..], [hint, "  Requests   0"]);
    }

    #[test]
    fn why_a_request_failed_is_told_whole_where_its_path_is_not() {
        let mut block = Block::new(listed(1), None);
        let shape = Shape { width: 80, ..WIDE };
        let request = |path: &str, reason: Option<Reason>| Request {
            id: String::new(),
            endpoint: "shop-0".into(),
            method: "GET".into(),
            path: path.into(),
            status: if reason.is_none() { 200 } else { 0 },
            reason,
            bytes_in: 0,
            bytes_out: 2_048,
            first: None,
            took: Duration::from_millis(8),
            upstream: None,
            node: None,
        };
        let mut line = |path: &str, reason| {
            let note = Note::Request(request(path, reason));
            block.note(at(0), &note, shape).unwrap()
        };
        let path = "/a/path/that/is/longer/than/its/column";
        let fine = line(path, None);
        assert_eq!(fine, format!("GET    {}…  200       8 ms   2.0 KiB", &path[..29]));
        let failed = line(path, Some(Reason::ServiceUnreachable));
        assert!(failed.ends_with("   service_unreachable"), "{failed}");
        // The time of day, and blanks on both sides of it, stand before it.
        assert!(measure_text_width(&failed) + 13 <= 80, "{failed}");
        let note = Note::Request(request(path, Some(Reason::ServiceUnreachable)));
        let failed = block.note(at(0), &note, WIDE).unwrap();
        assert!(failed.ends_with("   the agent cannot reach the local service"), "{failed}");
        assert!(measure_text_width(&failed) + 13 <= 100, "{failed}");
    }

    #[test]
    fn an_endpoint_that_is_offline_counts_down_to_the_next_attempt() {
        let mut block = Block::new(listed(1), None);
        let why = Why::Reason(Reason::ConnectionLost);
        let retry = Duration::from_secs(3);
        let note = Note::Offline {
            endpoint: "shop-0".into(),
            service: "localhost:3000".into(),
            server: "192.0.2.7:8002".into(),
            why,
            retry,
        };
        block.note(at(0), &online(0), WIDE);
        assert!(block.note(at(10), &note, WIDE).is_some());
        // The next failed attempt is in the block only.
        assert_eq!(block.note(at(10), &note, WIDE), None);
        assert!(block.counts_down());
        let status = |now| block.lines(at(now), WIDE)[1].clone();
        assert_eq!(status(11), "  Status     offline  next attempt in 3 s");
        assert_eq!(status(12), "  Status     offline  next attempt in 2 s");
        assert_eq!(status(13), "  Status     offline  trying again");
        let reason = "  Reason     192.0.2.7:8002: the connection was lost";
        assert_eq!(block.lines(at(13), WIDE)[2], reason);
    }

    #[test]
    fn what_many_have_in_common_is_said_once_and_names_leave_room() {
        let long = "x".repeat(100);
        let one = |service: &str| Listed { endpoint: long.clone(), service: service.into() };
        let mut block = Block::new(vec![one("a:1"), one("b:1")], None);
        for service in ["a:1", "b:1"] {
            let (why, retry) = (Why::Reason(Reason::ConnectionLost), Duration::from_secs(1));
            let [service, server] = [service, "10.0.0.1:8002"].map(String::from);
            let note = Note::Offline { endpoint: long.clone(), service, server, why, retry };
            block.note(at(0), &note, WIDE);
        }
        let cut = format!("{}…", "x".repeat(24));
        let expected = [
            format!("  {cut}  ->  http://a:1   offline  next attempt in 2 s"),
            format!("  {cut}  ->  http://b:1   offline  next attempt in 2 s"),
            "  Reason     10.0.0.1:8002: the connection was lost".into(),
            "  Requests   0".into(),
        ];
        assert_eq!(block.lines(at(0), WIDE), expected);
    }

    #[test]
    fn two_services_of_one_endpoint_have_a_row_each() {
        let [first, second] = ["localhost:3000", "localhost:3001"];
        let one = |service: &str| Listed { endpoint: "shop".into(), service: service.into() };
        let mut block = Block::new(vec![one(first), one(second)], None);
        let (endpoint, service, node) = ("shop".into(), second.into(), "pico-1".into());
        let note = Note::Online { endpoint, service, node, rtt: Duration::ZERO };
        assert_eq!(block.note(at(0), &note, WIDE), None);
        let expected = [
            "  shop  ->  http://localhost:3000   connecting",
            "  shop  ->  http://localhost:3001   online   node pico-1   rtt 0 ms",
        ];
        assert_eq!(block.lines(at(0), WIDE)[..2], expected);
        let (why, retry) = (Why::Reason(Reason::ConnectionLost), Duration::from_secs(1));
        let [endpoint, service, server] = ["shop", second, "10.0.0.1:8002"].map(String::from);
        let note = Note::Offline { endpoint, service, server, why, retry };
        let line = block.note(at(1), &note, WIDE).unwrap();
        let expected = "Status     shop -> localhost:3001 offline  10.0.0.1:8002: ";
        assert!(line.starts_with(expected), "{line}");
    }

    #[test]
    fn of_many_endpoints_those_that_are_worst_off_are_seen() {
        let mut block = Block::new(listed(100), None);
        for number in 0..99 {
            block.note(at(0), &online(number), WIDE);
        }
        let lines = block.lines(at(0), WIDE);
        assert_eq!(lines.len(), 14);
        assert!(lines[0].contains("shop-99") && lines[0].contains("connecting"), "{lines:?}");
        assert_eq!(lines[12], "  and 88 more, 88 online");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let narrow = Shape { width: 20, height: 4, colour: true };
        let mut block = Block::new(listed(5), None);
        block.note(at(0), &online(0), narrow);
        for line in block.lines(at(0), narrow) {
            assert!(measure_text_width(&line) <= 20, "{line:?}");
        }
    }

    #[test]
    fn the_block_is_lower_than_the_terminal() {
        for count in [1, 3, 8] {
            let mut block = Block::new(listed(count), Some("http://localhost:8001/".into()));
            for number in 0..count {
                let [endpoint, service] = [format!("shop-{number}"), "localhost:3000".into()];
                let server = format!("10.0.0.{number}:8002");
                let (why, retry) = (Why::Reason(Reason::ConnectionLost), Duration::from_secs(1));
                let note = Note::Offline { endpoint, service, server, why, retry };
                block.note(at(0), &note, WIDE);
            }
            for height in 2..30 {
                let lines = block.lines(at(0), Shape { height, ..WIDE });
                assert!(lines.len() < height, "{count} on {height}: {lines:?}");
                assert!(lines.last().unwrap().contains("Requests"), "{lines:?}");
                let told = lines.iter().any(|line| line.contains(" more, "));
                assert!(
                    height < 4 || told || lines.len() > count,
                    "{count} on {height}: {lines:?}"
                );
            }
        }
    }

    #[test]
    fn colours_are_only_there_where_they_are_wanted() {
        let mut block = Block::new(listed(1), None);
        block.note(at(0), &online(0), WIDE);
        let coloured = Shape { colour: true, ..WIDE };
        assert!(block.lines(at(0), coloured)[1].contains("\u{1b}[32monline\u{1b}[0m"));
        assert!(!block.lines(at(0), WIDE)[1].contains('\u{1b}'));
    }
}

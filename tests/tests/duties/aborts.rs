//! Holds the table of what each side sees when an exchange ends before its time to what happens:
//! every event at every point, on the whole way.

use super::server::At;
use super::way::{Way, code, request, status};
use pico_core::id::ConnId;
use pico_core::server::Settings;
use pico_sim::table;
use std::time::Duration;

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    ClientResets,
    ClientFinishes,
    ServiceResets,
    ServiceFinishes,
    AgentIsLost,
    NodeDrains,
    AgentDrains,
}

/// The columns of the table, in their order.
const EVENTS: [(&str, Event); 7] = [
    ("client resets", Event::ClientResets),
    ("client finishes", Event::ClientFinishes),
    ("service resets", Event::ServiceResets),
    ("service finishes", Event::ServiceFinishes),
    ("agent is lost", Event::AgentIsLost),
    ("node drains", Event::NodeDrains),
    ("agent drains", Event::AgentDrains),
];

/// The rows, with how many of its parts a client and a service have said there.
const POINTS: [(&str, usize, usize); 8] = [
    ("before the head", 0, 0),
    ("in the head", 1, 0),
    ("in the request's body", 2, 0),
    ("waiting for the response", 3, 0),
    ("after an interim response", 3, 1),
    ("in the response's body", 3, 2),
    ("in the trailers", 3, 3),
    ("upgraded", 2, 2),
];

/// An exchange in which each side has said a part of what it has to say.
struct Scene {
    way: Way,
    client: At,
    service: Option<ConnId>,
    upgraded: bool,
    /// What each side has yet to say.
    left: [Vec<String>; 2],
    /// What each has heard.
    heard: [String; 2],
}

impl Scene {
    fn at(point: &str, said: usize, answered: usize) -> Self {
        let upgraded = point == "upgraded";
        let settings = Settings { drain_delay: Duration::ZERO, ..Settings::default() };
        let mut way = Way::with(settings);
        let client = way.client();
        let offer = "Connection: upgrade\r\nUpgrade: x\r\n";
        let (says, answers) = if upgraded {
            let switch = "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
            (
                vec![request("GET / HTTP/1.1", offer), "ping".into(), "bye".into()],
                vec![switch.to_owned(), "pong".into(), "bye".into()],
            )
        } else {
            let head = request("POST / HTTP/1.1", "Content-Length: 10\r\n");
            let (start, rest) = head.split_at(9);
            (
                vec![start.into(), format!("{rest}hello"), "hello".into()],
                [
                    "HTTP/1.1 103 H\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                    "0\r\nX-T: 1\r\n",
                    "\r\n",
                ]
                .map(str::to_owned)
                .to_vec(),
            )
        };
        let (heard, left) = ([String::new(), String::new()], [says, answers]);
        let mut scene = Self { way, client, service: None, upgraded, left, heard };
        if upgraded {
            // Neither speaks the new protocol before there is one.
            scene.say(1);
            scene.answer(1);
            scene.say(said - 1);
            scene.answer(answered - 1);
        } else {
            scene.say(said);
            scene.answer(answered);
        }
        scene
    }

    fn say(&mut self, parts: usize) {
        for part in self.left[0].drain(..parts).collect::<Vec<_>>() {
            self.way.say(self.client, part.as_bytes());
            self.listen();
        }
    }

    fn answer(&mut self, parts: usize) {
        let Some(service) = self.service else { return };
        for part in self.left[1].drain(..parts).collect::<Vec<_>>() {
            self.way.answer(service, part.as_bytes());
            self.listen();
        }
    }

    fn listen(&mut self) {
        if self.service.is_none() {
            self.service = self.way.dialled();
        }
        let client = self.way.heard(self.client);
        self.heard[0] += &client;
        if let Some(service) = self.service {
            self.heard[1] += &self.way.asked(service);
        }
    }

    fn happens(&mut self, event: Event) {
        match (event, self.service) {
            (Event::ClientResets, _) => self.way.node.lose(self.client),
            (Event::ClientFinishes, _) => self.way.node.eof(self.client),
            (Event::ServiceResets, Some(service)) => self.way.agent.lose(service),
            (Event::ServiceFinishes, Some(service)) => self.way.finish(service),
            (Event::ServiceResets | Event::ServiceFinishes, None) => {}
            (Event::AgentIsLost, _) => self.way.cut(),
            (Event::NodeDrains, _) => self.way.node.drain(),
            (Event::AgentDrains, _) => self.way.agent.drain(),
        }
        self.listen();
        if matches!(event, Event::NodeDrains | Event::AgentDrains) {
            self.go_on();
        }
        // Whoever has finished and hears nothing for a while has gone.
        self.way.pass(Duration::from_millis(1_500));
        self.listen();
    }

    /// Says all that is left, as if nothing had happened.
    fn go_on(&mut self) {
        self.say(self.left[0].len());
        self.answer(self.left[1].len());
        if self.upgraded {
            self.way.node.eof(self.client);
            self.way.finish(self.service.unwrap());
            self.listen();
        }
    }

    /// What the client sees, in the words of the table.
    fn client_sees(&self, event: Event) -> String {
        let heard = &self.heard[0];
        let closed = self.way.node.closed.contains(&self.client);
        let finished = self.way.node.finished.contains(&self.client);
        let whole =
            if self.upgraded { finished } else { heard.ends_with("\r\n0\r\nX-T: 1\r\n\r\n") };
        let begun = heard.contains("HTTP/1.1 200 ") || self.upgraded;
        match () {
            () if event == Event::ClientResets => "gone".into(),
            () if !code(heard).is_empty() => format!("{} {}", status(heard), code(heard)),
            () if begun && whole && self.upgraded && !heard.ends_with("bye") => "FIN".into(),
            () if begun && whole => "whole".into(),
            () if begun && (closed || finished) => "cut".into(),
            () if closed || finished => "closed".into(),
            () => "nothing".into(),
        }
    }

    /// What the service sees.
    fn service_sees(&self, event: Event) -> String {
        let Some(service) = self.service else { return "nothing".into() };
        let said_all = self.left[1].is_empty();
        let heard_all = self.heard[1].ends_with(if self.upgraded { "bye" } else { "hellohello" });
        let finished = self.way.agent.finished.contains(&service);
        match () {
            () if event == Event::ServiceResets => "gone".into(),
            () if said_all && heard_all => "whole".into(),
            () if self.upgraded && finished && !self.way.agent.closed.contains(&service) => {
                "FIN".into()
            }
            () if self.way.agent.closed.contains(&service) => "cut".into(),
            () => "nothing".into(),
        }
    }
}

#[test]
fn each_side_sees_what_the_table_says_whatever_happens_whenever() {
    let page = table::page("http.md");
    let heading = page.lines().find(|line| line.starts_with("| point | client resets |"));
    let columns: Vec<_> = heading.expect("the table").split('|').map(str::trim).collect();
    assert_eq!(columns[2..columns.len() - 1], EVENTS.map(|(name, _)| name));
    let rows = table::rows(&page, "point");
    let names: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, POINTS.map(|(name, ..)| name));
    let mut wrong = Vec::new();
    for (row, (point, said, answered)) in rows.iter().zip(POINTS) {
        let mut seen = vec![point.to_owned()];
        for (name, event) in EVENTS {
            let mut scene = Scene::at(point, said, answered);
            scene.happens(event);
            let sees = [scene.client_sees(event), scene.service_sees(event)];
            seen.push(sees.join("; "));
            let calls = (scene.way.node.calls(), scene.way.agent.agent.calls());
            let open = sees.iter().any(|seen| ["nothing", "FIN"].contains(&seen.as_str()));
            assert!(calls == (0, 0) || open, "{point}, {name}: calls are left: {calls:?}");
        }
        if *row != seen {
            wrong.push(format!("| {} |", seen.join(" | ")));
        }
    }
    assert!(wrong.is_empty(), "what is seen is this:\n{}", wrong.join("\n"));
}

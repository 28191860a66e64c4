//! Holds the tables of what each side sees when an exchange ends before its time to what happens:
//! every event at every point, on the whole way, with one node and with two.

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
    AgentDrains,
    NodeDrains,
    NodeIsKilled,
    /// The other node, at which the agent is.
    HomeDrains,
    HomeIsKilled,
    LinkIsLost,
}

impl Event {
    /// Whether all goes on behind it, as if nothing had happened.
    fn is_meant(self) -> bool {
        match self {
            Self::AgentDrains | Self::NodeDrains | Self::HomeDrains => true,
            Self::ClientResets
            | Self::ClientFinishes
            | Self::ServiceResets
            | Self::ServiceFinishes
            | Self::AgentIsLost
            | Self::NodeIsKilled
            | Self::HomeIsKilled
            | Self::LinkIsLost => false,
        }
    }
}

/// The columns of the table of one node, in their order.
const AT_ONE: [(&str, Event); 7] = [
    ("client resets", Event::ClientResets),
    ("client finishes", Event::ClientFinishes),
    ("service resets", Event::ServiceResets),
    ("service finishes", Event::ServiceFinishes),
    ("agent is lost", Event::AgentIsLost),
    ("node drains", Event::NodeDrains),
    ("agent drains", Event::AgentDrains),
];

/// Those of the table of two.
const OVER_A_LINK: [(&str, Event); 11] = [
    ("client resets", Event::ClientResets),
    ("client finishes", Event::ClientFinishes),
    ("service resets", Event::ServiceResets),
    ("service finishes", Event::ServiceFinishes),
    ("agent is lost", Event::AgentIsLost),
    ("agent drains", Event::AgentDrains),
    ("client's node drains", Event::NodeDrains),
    ("client's node is killed", Event::NodeIsKilled),
    ("agent's node drains", Event::HomeDrains),
    ("agent's node is killed", Event::HomeIsKilled),
    ("link is lost", Event::LinkIsLost),
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
    fn at(mut way: Way, point: &str, said: usize, answered: usize) -> Self {
        let upgraded = point == "upgraded";
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
            (Event::ClientResets, _) => self.way.node().lose(self.client),
            (Event::ClientFinishes, _) => self.way.node().eof(self.client),
            (Event::ServiceResets, Some(service)) => self.way.agent.lose(service),
            (Event::ServiceFinishes, Some(service)) => self.way.finish(service),
            (Event::ServiceResets | Event::ServiceFinishes, None) => {}
            (Event::AgentIsLost, _) => self.way.cut(),
            (Event::AgentDrains, _) => self.way.agent.drain(),
            (Event::NodeDrains, _) => self.way.node().drain(),
            (Event::NodeIsKilled, _) => self.way.kill_node(),
            (Event::HomeDrains, _) => self.way.home().drain(),
            (Event::HomeIsKilled, _) => self.way.kill_home(),
            (Event::LinkIsLost, _) => self.way.cut_links(),
        }
        self.listen();
        if event.is_meant() {
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
            self.way.node().eof(self.client);
            self.way.finish(self.service.unwrap());
            self.listen();
        }
    }

    /// What the client sees, in the words of the table.
    fn client_sees(&self, event: Event) -> String {
        let heard = &self.heard[0];
        let node = &self.way.cluster.nodes[0];
        let closed = node.closed.contains(&self.client);
        let finished = node.finished.contains(&self.client);
        let whole =
            if self.upgraded { finished } else { heard.ends_with("\r\n0\r\nX-T: 1\r\n\r\n") };
        let begun = heard.contains("HTTP/1.1 200 ") || self.upgraded;
        match () {
            () if matches!(event, Event::ClientResets | Event::NodeIsKilled) => "gone".into(),
            () if !code(heard).is_empty() => format!("{} {}", status(heard), code(heard)),
            () if begun && whole && self.upgraded && !heard.ends_with("bye") => "FIN".into(),
            () if begun && whole => "whole".into(),
            () if begun && (closed || finished) => "cut".into(),
            () if closed || finished => "closed".into(),
            () => "nothing".into(),
        }
    }

    /// Calls that whoever is left has under way.
    fn calls(&self, event: Event) -> u64 {
        let nodes = &self.way.cluster.nodes;
        let node = (event == Event::NodeIsKilled).then_some(0);
        let killed = node.or((event == Event::HomeIsKilled).then_some(nodes.len() - 1));
        let left = nodes.iter().enumerate().filter(|(at, _)| Some(*at) != killed);
        let agents = u64::try_from(self.way.agent.agent.calls()).unwrap();
        left.map(|(_, node)| node.calls()).sum::<u64>() + agents
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

/// Holds the table whose first column has this heading to what happens on such a way.
fn hold(heading: &str, events: &[(&str, Event)], way: impl Fn(&Settings) -> Way) {
    let page = table::page("http.md");
    let start = format!("| {heading} |");
    let columns = page.lines().find(|line| line.starts_with(&start)).expect("the table");
    let columns: Vec<_> = columns.split('|').map(str::trim).collect();
    assert!(columns[2..columns.len() - 1].iter().eq(events.iter().map(|(name, _)| name)));
    let rows = table::rows(&page, heading);
    let names: Vec<_> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, POINTS.map(|(name, ..)| name));
    let settings = Settings { drain_delay: Duration::ZERO, ..Settings::default() };
    let mut wrong = Vec::new();
    for (row, (point, said, answered)) in rows.iter().zip(POINTS) {
        let mut seen = vec![point.to_owned()];
        for (name, event) in events {
            let mut scene = Scene::at(way(&settings), point, said, answered);
            scene.happens(*event);
            let sees = [scene.client_sees(*event), scene.service_sees(*event)];
            seen.push(sees.join("; "));
            let open = sees.iter().any(|seen| ["nothing", "FIN"].contains(&seen.as_str()));
            let left = scene.calls(*event);
            assert!(left == 0 || open, "{point}, {name}: calls are left: {left}");
        }
        if *row != seen {
            wrong.push(format!("| {} |", seen.join(" | ")));
        }
    }
    assert!(wrong.is_empty(), "what is seen is this:\n{}", wrong.join("\n"));
}

#[test]
fn each_side_sees_what_the_table_says_whatever_happens_whenever() {
    hold("point", &AT_ONE, |settings| Way::with(settings.clone()));
}

#[test]
fn each_side_sees_what_the_table_says_whatever_happens_between_two_nodes() {
    hold("over a link", &OVER_A_LINK, Way::over_a_link);
}

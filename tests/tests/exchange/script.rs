//! Who says what when.

use super::Tape;
use super::peer::Peer;
use pico_core::host::{Action, Address};
use pico_core::id::WorkerId;
use pico_core::note::Note;
use pico_core::{agent, server};
use pico_shell::Post;
use std::net::{SocketAddr, TcpListener};

/// The machines at work, and how to reach them.
pub struct Stage {
    pub to: SocketAddr,
    pub service: TcpListener,
    pub node: Tape<server::Letter>,
    /// The first has the tunnel, the last the clients.
    pub workers: Vec<Tape<server::Letter>>,
    pub agent: Tape<agent::Letter>,
    pub post: Post<server::Letter>,
    pub mail: Post<agent::Letter>,
}

impl Stage {
    pub fn play(&mut self) {
        self.agent.acted("online", |action| matches!(action, Action::Note(Note::Online { .. })));
        self.clients().heard("Routes(Routes");
        self.clients().next_scene();
        let service = self.kept_alive();
        self.upgraded(service);
        self.aborted();
        self.malformed();
        self.cut();
        self.nobody("elsewhere");
        self.drained();
    }

    fn clients(&mut self) -> &mut Tape<server::Letter> {
        self.workers.last_mut().unwrap()
    }

    /// Waits until the last client is forgotten.
    fn forgotten(&mut self) {
        self.clients().acted("a close", |action| matches!(action, Action::Close(_)));
        self.clients().next_scene();
    }

    /// Requests of one client, one after the other. Returns the connection to the service.
    fn kept_alive(&mut self) -> Peer {
        let mut client = Peer::dial(self.to);
        client.say(&head("GET /plain", ""));
        let mut service = Peer::accept(&self.service);
        service.hear("\r\n\r\n");
        service.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        client.hear("hello");

        // A body in pieces, each of which arrives before the next is sent.
        client.say(&head("POST /pieces", "Content-Length: 12\r\n"));
        service.hear("\r\n\r\n");
        for piece in ["one,", "two,", "last"] {
            client.say(piece);
            service.hear(piece);
        }
        service.say("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n");
        client.hear("\r\n\r\n");
        for piece in ["o", "k"] {
            service.say(piece);
            client.hear(piece);
        }

        // Chunks both ways at once, and trailers.
        client.say(&head("PUT /chunks", "Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n"));
        service.hear("\r\n\r\n");
        service.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.hear("\r\n\r\n");
        for (from, to) in [("5\r\nclien\r\n", "clien"), ("1\r\nt\r\n", "t")] {
            client.say(from);
            service.hear(to);
        }
        for (from, to) in [("4\r\nserv\r\n", "serv"), ("3\r\nice\r\n", "ice")] {
            service.say(from);
            client.hear(to);
        }
        client.say("0\r\nX-Sum: 1\r\n\r\n");
        service.hear("0\r\nX-Sum: 1\r\n\r\n");
        service.say("0\r\nX-Sum: 2\r\n\r\n");
        client.hear("0\r\nX-Sum: 2\r\n\r\n");

        client.say(&head("HEAD /head", ""));
        service.hear("\r\n\r\n");
        service.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        client.hear("\r\n\r\n");
        drop(client);
        self.forgotten();
        service
    }

    /// An upgraded stream that each side ends for itself.
    fn upgraded(&mut self, mut service: Peer) {
        let mut client = Peer::dial(self.to);
        client.say(&head("GET /up", "Connection: upgrade\r\nUpgrade: echo\r\n"));
        service.hear("\r\n\r\n");
        service.say("HTTP/1.1 101 Fine\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst");
        client.hear("first");
        for word in ["ping", "pong"] {
            client.say(word);
            service.hear(word);
            service.say(word);
            client.hear(word);
        }
        client.finish();
        assert_eq!(service.hear_fin(), "");
        service.say("bye");
        client.hear("bye");
        drop(service);
        assert_eq!(client.hear_fin(), "");
        self.forgotten();
    }

    /// A client that leaves before its answer.
    fn aborted(&mut self) {
        let mut client = Peer::dial(self.to);
        client.say(&head("GET /hang", ""));
        let mut service = Peer::accept(&self.service);
        service.hear("\r\n\r\n");
        client.reset();
        service.hear_cut();
        self.forgotten();
    }

    fn malformed(&mut self) {
        let mut client = Peer::dial(self.to);
        client.say("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
        assert!(client.hear_fin().starts_with("HTTP/1.1 400 "));
        drop(client);
        self.forgotten();
    }

    /// A service that breaks off, by a reset and by a FIN.
    fn cut(&mut self) {
        for reset in [true, false] {
            let mut client = Peer::dial(self.to);
            client.say(&head("GET /cut", ""));
            let mut service = Peer::accept(&self.service);
            service.hear("\r\n\r\n");
            service.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf!");
            client.hear("half!");
            if reset {
                service.reset();
            } else {
                drop(service);
            }
            assert_eq!(client.hear_fin(), "");
            drop(client);
            self.forgotten();
        }
    }

    fn nobody(&mut self, endpoint: &str) {
        let mut client = Peer::dial(self.to);
        client.say(&head("GET /nobody", "").replace("web", endpoint));
        client.hear("\"code\":\"no_upstream\"");
        drop(client);
        self.forgotten();
    }

    /// The agent drains, and then the node.
    fn drained(&mut self) {
        let tunnels = self.workers.first_mut().unwrap();
        tunnels.next_scene();
        self.mail.send(Address::Worker(WorkerId(0)), agent::Letter::Drain);
        tunnels.acted("a close", |action| matches!(action, Action::Close(_)));
        self.clients().heard("Routes(Routes");
        self.clients().next_scene();
        self.nobody("web");
        self.post.send(Address::Node, server::Letter::Drain);
    }
}

fn head(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: here.example\r\nX-Pico-Endpoint: web\r\n{fields}\r\n")
}

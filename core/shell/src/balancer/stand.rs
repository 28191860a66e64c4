//! A balancer on a thread of its own, before real nodes.

use super::{Backend, Balancer};
use crate::crew::Crew;
use crate::driver::Wiring;
use crate::platform::Platform;
use crate::wire::Wires;
use crate::{Clock, Post};
use pico_core::host::{Address, Port};
use pico_core::id::WorkerId;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// A balancer that runs.
pub(crate) struct Stand {
    /// Where clients connect.
    pub(crate) proxy: SocketAddr,
    /// Where agents connect.
    pub(crate) upstream: SocketAddr,
    post: Post<()>,
    crew: Crew<()>,
}

impl Stand {
    /// Begins to carry what comes to these two to the nodes.
    pub(crate) fn start<P: Platform>(
        proxy: TcpListener,
        upstream: TcpListener,
        backends: Vec<Backend>,
    ) -> io::Result<Self> {
        let (clock, post, mut crew) = (Clock::start(), Post::new(1), Crew::new());
        let addresses = (proxy.local_addr()?, upstream.local_addr()?);
        let wiring = Wiring {
            clock,
            post: post.clone(),
            me: Address::Worker(WorkerId(0)),
            ports: vec![(Port::Proxy, proxy), (Port::Upstream, upstream)],
            datagrams: None,
            wires: Wires::plain(),
            notes: Arc::new(|_| ()),
        };
        // Nodes say that they are going long before they go.
        let make = move || Balancer::new(clock.now(), backends, Duration::ZERO);
        crew.hire::<P, _>("pico-balancer".into(), wiring, make, |_| ())?;
        Ok(Self { proxy: addresses.0, upstream: addresses.1, post, crew })
    }

    /// Cuts what it carries, and ends it.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.post.send(Address::Worker(WorkerId(0)), ());
        self.crew.join().map(|_| ())
    }
}

//! Names that are being looked up.

use crate::link::fault;
use crate::platform::Platform;
use crate::ready::{Ready, Spur, Token};
use crate::srv;
use pico_core::host::Fault;
use pico_core::id::AskId;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Names that are being looked up.
pub(crate) struct Names<P> {
    asks: BTreeMap<AskId, Ask>,
    platform: PhantomData<P>,
}

/// The addresses, never none; or why there are none.
type Found = Result<Vec<SocketAddr>, Fault>;

struct Ask {
    answer: Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>>,
    waker: Waker,
}

impl<P: Platform> Names<P> {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { asks: BTreeMap::new(), platform: PhantomData }
    }

    /// Begins to look a host up, or a service. What is an address is known at once; otherwise
    /// look at the question now, and when it wakes you.
    pub(crate) fn ask(
        &mut self,
        ask: AskId,
        host: String,
        port: u16,
        ready: &Arc<Ready>,
    ) -> Option<Found> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&host);
        if let Ok(address) = bare.parse() {
            return Some(Ok(vec![SocketAddr::new(address, port)]));
        }
        let waker = Spur::waker(Token::Ask(ask), ready);
        let answer: Pin<Box<dyn Future<Output = _>>> = if srv::is_service(&host) {
            Box::pin(srv::look_up(host))
        } else {
            Box::pin(P::resolve(host, port))
        };
        self.asks.insert(ask, Ask { answer, waker });
        None
    }

    /// What came of a question, if anything has.
    pub(crate) fn look(&mut self, ask: AskId) -> Option<Found> {
        let open = self.asks.get_mut(&ask)?;
        let answer = open.answer.as_mut().poll(&mut Context::from_waker(&open.waker));
        let Poll::Ready(answer) = answer else { return None };
        self.asks.remove(&ask);
        Some(match answer {
            Ok(addresses) if addresses.is_empty() => Err(Fault::NoSuchHost),
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(match fault(&error) {
                // Resolvers say it in words only.
                Fault::Other => Fault::NoSuchHost,
                known @ (Fault::Refused
                | Fault::Reset
                | Fault::TimedOut
                | Fault::Unreachable
                | Fault::NoSuchHost
                | Fault::Exhausted) => known,
            }),
        })
    }
}

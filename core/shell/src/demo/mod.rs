//! The demonstration: three nodes, a load balancer, agents, a service and a customer in one
//! process, over real sockets. Every line that it prints was found out.

mod checks;
mod customer;
mod service;
mod stage;

use crate::command::Failure;
use crate::config::Logs;
use crate::platform::Platform;
use crate::{Clock, crew, log};
use pico_core::Instant;
use stage::Stage;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

/// Runs the demonstration. On a terminal it stays up until a signal, unless `once` is set.
pub(crate) fn run<P: Platform>(once: bool, logs: Logs) -> Result<(), Failure> {
    log::start(logs);
    let mut stage = Stage::build::<P>()?;
    stage.announce();
    let mut customer = stage.customer::<P>()?;
    let mut wrong = 0;
    for check in &checks::CHECKS {
        let clock = Clock::start();
        let seen = (check.run)(&mut customer, &mut stage);
        let took = millis(clock.now() - Instant::ZERO);
        match seen {
            Ok(seen) => log::print(&format!("  ok      {:<52}  {seen}  ({took} ms)", check.name)),
            Err(why) => {
                wrong += 1;
                log::print(&format!("  FAILED  {:<52}  {why}  ({took} ms)", check.name));
            }
        }
        log::flush();
    }
    drop(customer);
    let count = checks::CHECKS.len();
    log::print(&format!("\n{} of {count} checks held.", count - wrong));
    if wrong == 0 && !once && io::stdout().is_terminal() {
        log::print(&format!(
            "\nTry it:  curl -H 'x-pico-endpoint: demo' http://{}/\n\
             Ctrl-C ends it. A cluster to play with, and to hurt, is: pico cluster",
            stage.front()
        ));
        log::flush();
        P::block_on(crew::signal::<P>())??;
    }
    stage.strike()?;
    if wrong == 0 { Ok(()) } else { Err(io::Error::other("a check did not hold").into()) }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

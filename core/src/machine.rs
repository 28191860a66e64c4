//! The shape of every state machine, and the one loop that drives them.

use crate::time::Instant;

/// A pure decision maker: it is told what happened and when, and says what to do.
///
/// Three rules carry it. Whatever changes a machine enters by [`handle`](Self::handle) or
/// [`tick`](Self::tick); whatever leaves it leaves by [`poll`](Self::poll) or an
/// [`Outbox`](crate::Outbox); everything else takes `&self`. A trace of a machine is therefore a
/// list of `(Instant, Input)`, which can be replayed and shrunk.
pub trait Machine {
    /// What it can be told.
    type Input;
    /// What it can ask for.
    type Action;

    /// Takes one input. Never fails: a bad peer ends in an action with a
    /// [`Reason`](crate::Reason).
    fn handle(&mut self, now: Instant, input: Self::Input);

    /// Fires what is due. Early and repeated ticks change nothing.
    fn tick(&mut self, now: Instant);

    /// The next thing to do. Take until `None` before waiting for anything.
    fn poll(&mut self) -> Option<Self::Action>;

    /// When it wants its next [`tick`](Self::tick), if ever.
    fn deadline(&self) -> Option<Instant>;
}

/// What one turn of a driver supplies: inputs one by one, and hands to carry out actions.
///
/// Both see the machine, because how much to read ([`Host::room`](crate::host::Host::room)) and
/// what to write ([`Host::outbox`](crate::host::Host::outbox)) are facts that it knows.
pub trait Turn<M: Machine> {
    /// The next input of this turn, or `None` when this turn has no more for now.
    fn next(&mut self, machine: &M) -> Option<M::Input>;

    /// Carries out one action. What comes of it is a later input.
    fn act(&mut self, machine: &M, action: M::Action);
}

/// Drives one turn: ticks, feeds inputs and drains actions until the turn has no more, and says
/// when the machine wants to be woken.
///
/// The runtimes, the simulator and the fuzz targets all call this function, so nothing but
/// `turn` differs between them. Actions are drained only after all inputs that were ready have
/// been handled, so one write carries what the whole turn produced.
pub fn settle<M: Machine>(
    machine: &mut M,
    now: Instant,
    turn: &mut impl Turn<M>,
) -> Option<Instant> {
    machine.tick(now);
    loop {
        let mut moved = false;
        while let Some(input) = turn.next(machine) {
            machine.handle(now, input);
            moved = true;
        }
        while let Some(action) = machine.poll() {
            turn.act(machine, action);
            // What an action makes ready, such as an outbox to write, belongs to this turn.
            moved = true;
        }
        if !moved {
            return machine.deadline();
        }
    }
}

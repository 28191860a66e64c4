//! Identities: counted up by whoever creates them, never reused.

/// A connection of one host: a worker's or an agent's.
///
/// Holds a serial number, which is never reused, and the slot in which both the driver and the
/// machine keep what belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId {
    serial: u64,
    slot: u32,
    side: Side,
}

impl ConnId {
    /// The how-manieth of its side's connections it is, from 1.
    pub const fn number(self) -> u64 {
        self.serial
    }
}

/// Who created a connection, and so who counts it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The driver, which accepted it.
    Accepted,
    /// The machine, which asked for it to be dialled.
    Dialed,
}

/// Hands out [`ConnId`]s for one side of one host.
#[derive(Clone, Debug)]
pub struct ConnIds {
    side: Side,
    serial: u64,
    slots: u32,
    free: alloc::vec::Vec<u32>,
}

impl ConnIds {
    /// The first connection is still to come.
    pub const fn new(side: Side) -> Self {
        Self { side, serial: 0, slots: 0, free: alloc::vec::Vec::new() }
    }

    /// An identity that was never given before.
    pub fn issue(&mut self) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots = self.slots.checked_add(1).expect("four billion connections at once");
            self.slots - 1
        });
        self.serial += 1;
        ConnId { serial: self.serial, slot, side: self.side }
    }

    /// Takes back the slot of a connection that is gone. Call it once for each, and not before
    /// the other side has let go of it too: a machine told of a loss has when it was polled.
    pub fn release(&mut self, id: ConnId) {
        debug_assert_eq!(id.side, self.side, "released to whoever created it");
        self.free.push(id.slot);
    }
}

/// What belongs to each connection: a lookup costs an index and a comparison.
///
/// Iterates in slot order, accepted ones first, which is the same in every run.
#[derive(Clone, Debug)]
pub struct ConnMap<T> {
    accepted: alloc::vec::Vec<Option<(ConnId, T)>>,
    dialed: alloc::vec::Vec<Option<(ConnId, T)>>,
    len: usize,
}

impl<T> ConnMap<T> {
    /// No connections.
    pub const fn new() -> Self {
        Self { accepted: alloc::vec::Vec::new(), dialed: alloc::vec::Vec::new(), len: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds what belongs to `id`. Its slot must be free.
    pub fn insert(&mut self, id: ConnId, value: T) {
        let list = self.list_mut(id.side);
        let slot = index(id.slot);
        if list.len() <= slot {
            list.resize_with(slot + 1, || None);
        }
        let place = list.get_mut(slot).expect("the list was just made long enough");
        assert!(place.is_none(), "{id:?} was given a slot that is in use");
        *place = Some((id, value));
        self.len += 1;
    }

    /// Takes out what belongs to `id`.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        let place = self.list_mut(id.side).get_mut(index(id.slot))?;
        let taken = place.take_if(|(held, _)| *held == id)?;
        self.len -= 1;
        Some(taken.1)
    }

    /// What belongs to `id`, if it is still there.
    pub fn get(&self, id: ConnId) -> Option<&T> {
        let list = match id.side {
            Side::Accepted => &self.accepted,
            Side::Dialed => &self.dialed,
        };
        match list.get(index(id.slot)) {
            Some(Some((held, value))) if *held == id => Some(value),
            Some(_) | None => None,
        }
    }

    /// What belongs to `id`, to change it.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        match self.list_mut(id.side).get_mut(index(id.slot)) {
            Some(Some((held, value))) if *held == id => Some(value),
            Some(_) | None => None,
        }
    }

    /// Every connection.
    pub fn ids(&self) -> impl Iterator<Item = ConnId> {
        self.iter().map(|(id, _)| id)
    }

    /// Every connection with what belongs to it.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.accepted.iter().chain(&self.dialed).flatten().map(|(id, value)| (*id, value))
    }

    fn list_mut(&mut self, side: Side) -> &mut alloc::vec::Vec<Option<(ConnId, T)>> {
        match side {
            Side::Accepted => &mut self.accepted,
            Side::Dialed => &mut self.dialed,
        }
    }
}

impl<T> Default for ConnMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// One call on one tunnel, as both ends number it on the wire: odd ones were opened by the side
/// that dialled, even ones by the side that accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u64);

/// A question that a machine asked of its driver and still wants an answer to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AskId(pub u64);

/// One run of one node's process: a random number that its shell drew when it booted.
///
/// A node that restarts is another boot, whatever it is called and wherever it listens. So
/// nothing that was said of the one is ever taken for the other, and eight bytes name it on the
/// wire. Never 0, which stands for nobody in particular.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Boot(pub u64);

/// One of a process's workers, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WorkerId(pub u16);

fn index(slot: u32) -> usize {
    usize::try_from(slot).expect("a pointer is at least 32 bits wide")
}

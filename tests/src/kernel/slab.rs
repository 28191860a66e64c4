//! Things that come and go, each found by where it lies.

/// Where a thing lies, and the how-manieth it is to lie there: what is gone is never mistaken
/// for what lies there now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Key {
    slot: u32,
    turn: u32,
}

/// A list with holes that are filled again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, value: T) -> Key {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).expect("fewer than four billion at once")
        });
        let place = &mut self.slots[index(slot)];
        place.0 = place.0.wrapping_add(1);
        place.1 = Some(value);
        Key { slot, turn: place.0 }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let (turn, place) = self.slots.get_mut(index(key.slot))?;
        let value = if *turn == key.turn { place.take() } else { None };
        if value.is_some() {
            self.free.push(key.slot);
        }
        value
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        let (turn, place) = self.slots.get(index(key.slot))?;
        place.as_ref().filter(|_| *turn == key.turn)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (turn, place) = self.slots.get_mut(index(key.slot))?;
        place.as_mut().filter(|_| *turn == key.turn)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// All of them, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0u32..).zip(&self.slots).filter_map(|(slot, (turn, place))| {
            place.as_ref().map(|value| (Key { slot, turn: *turn }, value))
        })
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).expect("a pointer is at least 32 bits wide")
}

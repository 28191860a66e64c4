//! A map from boots for thousands of them: who sent a packet, and whom one is for, is looked up
//! several times for each.

use crate::id::Boot;
use alloc::vec::Vec;

/// Values by boot, in the order of the boots.
///
/// Boots are random numbers, so where one stands in a sorted list can be guessed to within a few
/// places. A look-up touches two or three cache lines, where a tree touches as many on each of
/// its levels. Boots that are not random cost no more than they would in any sorted list. The
/// values lie side by side, and stay where they are when others come and go.
#[derive(Debug)]
pub(super) struct Table<V> {
    /// Where each value lies.
    places: Vec<(Boot, usize)>,
    values: Vec<Option<V>>,
    /// Where none lies.
    free: Vec<usize>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { places: Vec::new(), values: Vec::new(), free: Vec::new() }
    }
}

impl<V> Table<V> {
    /// Puts in the value of a boot, in place of any earlier one, which it says.
    pub(super) fn insert(&mut self, boot: Boot, value: V) -> Option<V> {
        match self.find(boot) {
            Ok(at) => self.value_mut(at)?.replace(value),
            Err(at) => {
                let place = self.free.pop().unwrap_or(self.values.len());
                match self.values.get_mut(place) {
                    Some(free) => *free = Some(value),
                    None => self.values.push(Some(value)),
                }
                self.places.insert(at, (boot, place));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, boot: Boot) -> Option<V> {
        let at = self.find(boot).ok()?;
        let value = self.value_mut(at)?.take();
        self.free.push(self.places.remove(at).1);
        value
    }

    pub(super) fn get_mut(&mut self, boot: Boot) -> Option<&mut V> {
        let at = self.find(boot).ok()?;
        self.value_mut(at)?.as_mut()
    }

    pub(super) fn get(&self, boot: Boot) -> Option<&V> {
        let (_, place) = self.places.get(self.find(boot).ok()?)?;
        self.values.get(*place)?.as_ref()
    }

    pub(super) fn contains(&self, boot: Boot) -> bool {
        self.find(boot).is_ok()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// All values, in the order of their boots.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.places.iter().filter_map(|(_, place)| self.values.get(*place)?.as_ref())
    }

    fn value_mut(&mut self, at: usize) -> Option<&mut Option<V>> {
        let (_, place) = self.places.get(at)?;
        self.values.get_mut(*place)
    }

    /// Where a boot is, or where it would be.
    fn find(&self, boot: Boot) -> Result<usize, usize> {
        let all = self.places.as_slice();
        let is_above = |at: usize| all.get(at).is_none_or(|(other, _)| *other > boot);
        let guess = self.guess(boot);
        let (mut from, mut step) = (guess, 1);
        while from > 0 && is_above(from) {
            from = from.saturating_sub(step);
            step *= 2;
        }
        let (mut to, mut step) = (guess + 1, 1);
        while !is_above(to) {
            to += step;
            step *= 2;
        }
        let part = all.get(from..to.min(all.len())).unwrap_or_default();
        let at = part.binary_search_by_key(&boot, |(other, _)| *other);
        at.map(|at| from + at).map_err(|at| from + at)
    }

    /// Where a boot should be, if those around it are spread evenly.
    fn guess(&self, boot: Boot) -> usize {
        let len = self.places.len();
        let first = part_of(len, boot.0);
        let guess = match self.places.get(first) {
            Some((other, _)) if *other <= boot => first + part_of(len, boot.0 - other.0),
            Some((other, _)) => first.saturating_sub(part_of(len, other.0 - boot.0)),
            None => first,
        };
        guess.min(len)
    }
}

/// How many of so many evenly spread numbers of 64 bits are below this one.
fn part_of(len: usize, number: u64) -> usize {
    let wide = u128::from(number) * u128::from(u64::try_from(len).unwrap_or(u64::MAX));
    usize::try_from(wide >> 64).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use alloc::collections::BTreeMap;

    /// Does the same to a table and to a tree.
    fn compare(boots: impl Fn(u64) -> u64) {
        let mut dice = Seed::from_u64(1).roll();
        let mut table = Table::default();
        let mut tree = BTreeMap::new();
        for step in 0..20_000_u64 {
            let boot = Boot(boots(dice.below(600)));
            match dice.below(5) {
                0 | 1 => assert_eq!(table.insert(boot, step), tree.insert(boot, step)),
                2 => assert_eq!(table.remove(boot), tree.remove(&boot)),
                3 => assert_eq!(table.get_mut(boot), tree.get_mut(&boot)),
                _ => assert_eq!(table.get(boot), tree.get(&boot)),
            }
            assert_eq!(table.contains(boot), tree.contains_key(&boot));
            assert_eq!(table.len(), tree.len());
        }
        assert!(table.values().eq(tree.values()));
        assert_eq!(table.values.len(), table.len() + table.free.len(), "no place is lost");
        assert!(table.len() > 100);
    }

    #[test]
    fn a_table_does_as_a_tree_does_with_boots_that_are_random() {
        compare(|number| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }

    #[test]
    fn a_table_does_as_a_tree_does_with_boots_that_somebody_chose() {
        compare(|number| number);
        compare(|number| u64::MAX - number);
        compare(|number| if number % 2 == 0 { number } else { u64::MAX - number });
        compare(|number| 1_u64.rotate_right(u32::try_from(number % 64).unwrap()) ^ number);
    }
}

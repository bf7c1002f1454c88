//! Named items in an order: the part that hashes, sets and sorted sets share.

use foldhash::fast::RandomState;
use std::collections::HashMap;

/// From so many look-ups in so many items on, an index is worth building.
const LOOKUPS_MIN: usize = 4;
const ITEMS_MIN: usize = 64;

/// Items by name, each name once, in the order they came in. What is removed leaves a hole until the record is
/// written, so that places stay.
#[derive(Debug, Default)]
pub struct Items<'a, V> {
    places: Vec<Option<(&'a [u8], V)>>,
    live: usize,
    index: Option<HashMap<&'a [u8], usize, RandomState>>,
}

impl<'a, V> Items<'a, V> {
    /// Items without a look whether a name comes twice: the first one then stands for it.
    pub fn new(list: Vec<(&'a [u8], V)>) -> Items<'a, V> {
        let places: Vec<_> = list.into_iter().map(Some).collect();
        Items { live: places.len(), places, index: None }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Says that so many names will be looked for, which decides how.
    pub fn expect(&mut self, lookups: usize) {
        if self.index.is_none() && lookups >= LOOKUPS_MIN && self.places.len() + lookups >= ITEMS_MIN {
            let named = |(place, item): (usize, &Option<(&'a [u8], V)>)| Some((item.as_ref()?.0, place));
            // In reverse, so that the first of equal names stands.
            self.index = Some(self.places.iter().enumerate().rev().filter_map(named).collect());
        }
    }

    fn place(&self, name: &[u8]) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(name).copied(),
            None => {
                self.places.iter().position(|item| item.as_ref().is_some_and(|(known, _)| *known == name))
            }
        }
    }

    /// What stands under a name.
    pub fn get(&self, name: &[u8]) -> Option<&V> {
        self.places[self.place(name)?].as_ref().map(|(_, value)| value)
    }

    /// Whether there is such a name.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.place(name).is_some()
    }

    /// Puts a value under a name, in its place where there is one, else at the end. The value before.
    pub fn set(&mut self, name: &'a [u8], value: V) -> Option<V> {
        if let Some(place) = self.place(name) {
            return self.places[place].replace((name, value)).map(|(_, before)| before);
        }
        if let Some(index) = &mut self.index {
            index.insert(name, self.places.len());
        }
        self.places.push(Some((name, value)));
        self.live += 1;
        None
    }

    /// Removes a name; what stood under it.
    pub fn remove(&mut self, name: &[u8]) -> Option<V> {
        let place = self.place(name)?;
        if let Some(index) = &mut self.index {
            index.remove(name);
        }
        self.live -= 1;
        self.places[place].take().map(|(_, value)| value)
    }

    /// All in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &V)> {
        self.places.iter().flatten().map(|(name, value)| (*name, value))
    }

    /// The items without their index.
    pub fn into_list(self) -> Vec<(&'a [u8], V)> {
        self.places.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command with many names takes the index, one with few walks: both must see the same.
    #[test]
    fn with_an_index_and_without_it_is_the_same() {
        let names: Vec<Vec<u8>> = (0..200).map(|n: i32| n.to_string().into_bytes()).collect();
        for lookups in [1, 100] {
            let mut items = Items::new(names[..100].iter().map(|n| (n.as_slice(), 0)).collect());
            items.expect(lookups);
            for (n, name) in names.iter().enumerate().skip(50) {
                assert_eq!(items.set(name, n), (n < 100).then_some(0));
            }
            for name in names.iter().step_by(2) {
                assert!(
                    items.remove(name).is_some() && items.remove(name).is_none() && !items.contains(name)
                );
            }
            assert_eq!(items.len(), 100);
            assert_eq!(items.get(b"51"), Some(&51));
            assert_eq!(items.set(&names[0], 7), None);
            assert_eq!(items.iter().last(), Some((&b"0"[..], &7)));
            assert_eq!(items.into_list().len(), 101);
        }
    }
}

//! One session, a relay, an expansion and an aging node, and every message that is on its way between them.
//!
//! The directory is the product's own; the nodes do what `commands/peer`, `core/resolve` and `core/keyspace` do,
//! a step for each message. Messages overtake each other in every way; only the orders to one relief keep
//! their order, and the next one is sent when the last was acknowledged.

mod judge;
mod parts;

pub(crate) use parts::{Budget, Without};

use gs_client::cache::KeyId;
use gs_server::core::directory::{Directory, Relocated};
use parts::{Entry, Here, Message, Order, Relief};
use std::collections::BTreeSet;

const EXPANSION: usize = 0;
const AGING: usize = 1;
const ID: KeyId = KeyId { hi: 7, lo: 11 };

/// One state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The version that lives, as the clients were told.
    truth: Option<u64>,
    here: Option<Here>,
    listed: Vec<Entry>,
    reliefs: [Relief; 2],
    /// What each relief is owed, and the number that the relay lists of its copy.
    orders: [Vec<(Order, u64)>; 2],
    flying: BTreeSet<Message>,
    /// What each relief took, on its way to the relay in the order in which it was stored.
    reports: [Vec<Message>; 2],
    condemned: BTreeSet<(usize, u64)>,
    /// The relay refuses copies below.
    floor: u64,
    versions: u64,
    turns: u64,
    fence: u64,
    left: Budget,
    judges_loss: bool,
}

impl World {
    /// A session that was just written.
    pub(crate) fn new(left: Budget) -> World {
        World {
            truth: Some(1),
            here: Some(Here { version: 1, turn: 0, evicting: false }),
            listed: Vec::new(),
            reliefs: Default::default(),
            orders: Default::default(),
            flying: BTreeSet::new(),
            reports: Default::default(),
            condemned: BTreeSet::new(),
            floor: 0,
            versions: 1,
            turns: 0,
            fence: 0,
            left,
            judges_loss: left.drops == 0,
        }
    }

    /// Everything that can happen next, with its name.
    pub(crate) fn next(&self, without: &Without) -> Vec<(String, World)> {
        let mut all = Vec::new();
        let mut add = |name: String, step: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            step(&mut world);
            all.push((name, world));
        };
        for message in &self.flying {
            add(format!("{message:?}"), &|w| {
                w.flying.remove(message);
                w.arrive(*message, without);
            });
        }
        for n in [EXPANSION, AGING] {
            for (i, report) in self.reports[n].iter().enumerate() {
                if i > 0 && !without.order_of_reports {
                    break;
                }
                add(format!("{report:?}"), &|w| {
                    w.reports[n].remove(i);
                    w.arrive(*report, without);
                });
            }
            let waits = self.flying.iter().any(|m| matches!(m, Message::Obeyed { by, .. } if *by == n));
            if !waits && !self.orders[n].is_empty() {
                add(format!("order {:?} to {n}", self.orders[n][0]), &|w| w.obey(n));
            }
            if self.left.demotions > 0 && self.here.is_some_and(|here| !here.evicting) {
                add(format!("demote to {n}"), &|w| w.demote(n));
            }
            if self.left.drops > 0 && self.reliefs[n].copy.is_some() {
                add(format!("{n} loses its copy"), &|w| w.lose(n));
            }
        }
        if self.left.sets > 0 {
            add("set".into(), &World::set);
        }
        if self.left.deletes > 0 && self.truth.is_some() {
            add("delete".into(), &World::delete);
        }
        if self.left.passes > 0 && self.reliefs[EXPANSION].copy.is_some() && !self.is_passing() {
            add("pass on".into(), &World::pass);
        }
        let looking =
            self.flying.iter().any(|m| matches!(m, Message::Fetch { .. } | Message::Fetched { .. }));
        if self.left.lookups > 0 && self.here.is_none() && !looking {
            for entry in self.live() {
                add(format!("look up at {}", entry.node), &|w| w.look_up(entry));
            }
        }
        all
    }

    fn live(&self) -> impl Iterator<Item = Entry> {
        self.listed.iter().copied().filter(|e| !e.shadow)
    }

    fn is_passing(&self) -> bool {
        self.flying.iter().chain(&self.reports[AGING]).any(|m| {
            use Message::{Pass, Passed, Relocate, Unpass};
            matches!(m, Pass { .. } | Relocate { .. } | Unpass { .. } | Passed { .. })
        })
    }

    /// Runs the product's directory on what is listed.
    fn list<T>(&mut self, f: impl FnOnce(&Directory) -> T) -> T {
        let directory = Directory::default();
        for e in self.listed.iter().filter(|e| e.shadow) {
            directory.insert(&ID, 0, e.node as u16, e.version, e.copy);
        }
        directory.shadow_all(&ID, 0);
        // The newest first: an older one beside it stays as it is.
        let mut live: Vec<Entry> = self.live().collect();
        live.sort_by_key(|e| std::cmp::Reverse(e.version));
        for e in live {
            directory.insert(&ID, 0, e.node as u16, e.version, e.copy);
        }
        let result = f(&directory);
        let holders = directory.holders(&ID);
        self.listed = holders
            .iter()
            .map(|h| Entry { node: h.node.into(), version: h.version, copy: h.copy, shadow: h.shadow })
            .collect();
        self.listed.sort();
        result
    }

    fn demote(&mut self, to: usize) {
        self.left.demotions -= 1;
        if let Some(here) = &mut self.here {
            here.evicting = true;
            self.flying.insert(Message::Put { to, version: here.version, turn: here.turn });
        }
    }

    fn lose(&mut self, n: usize) {
        self.left.drops -= 1;
        if let Some((_, copy)) = self.reliefs[n].copy.take() {
            self.flying.insert(Message::Dropped { from: n, copy });
        }
    }

    fn pass(&mut self) {
        self.left.passes -= 1;
        if let Some((version, old)) = self.reliefs[EXPANSION].copy {
            self.flying.insert(Message::Pass { version, old });
        }
    }

    fn look_up(&mut self, entry: Entry) {
        self.left.lookups -= 1;
        self.flying.insert(Message::Fetch { from: entry.node, listed: entry.copy, fence: self.fence });
    }

    fn keep(&mut self, version: u64) {
        self.turns += 1;
        self.fence += 1;
        self.here = Some(Here { version, turn: self.turns, evicting: false });
    }

    /// `Node::write`.
    fn set(&mut self) {
        self.left.sets -= 1;
        self.versions += 1;
        let version = self.versions;
        let evicting = self.here.is_some_and(|here| here.evicting);
        self.keep(version);
        self.truth = Some(version);
        self.supersede(version, evicting);
    }

    /// `Node::destroy`.
    fn delete(&mut self) {
        self.left.deletes -= 1;
        self.versions += 1;
        let evicting = self.here.is_some_and(|here| here.evicting);
        self.here = None;
        self.fence += 1;
        self.truth = None;
        self.supersede(self.versions + 1, evicting);
    }

    fn supersede(&mut self, below: u64, in_flight: bool) {
        let (holders, _) = self.list(|directory| directory.shadow_all(&ID, 0));
        if !holders.is_empty() || in_flight {
            self.floor = self.floor.max(below);
        }
        for n in [EXPANSION, AGING] {
            match holders.iter().find(|h| usize::from(h.node) == n) {
                Some(holder) => self.orders[n].push((Order::Below(below), holder.copy)),
                None if in_flight => self.orders[n].push((Order::Below(below), 0)),
                None => {}
            }
        }
    }

    fn obey(&mut self, n: usize) {
        let (order, listed) = self.orders[n].remove(0);
        let relief = &mut self.reliefs[n];
        match order {
            Order::Below(floor) => {
                relief.floor = relief.floor.max(floor);
                relief.copy = relief.copy.filter(|(version, _)| *version >= floor);
            }
            Order::Drop(copy) => relief.drop_copy(copy),
        }
        self.flying.insert(Message::Obeyed { by: n, listed });
    }

    fn arrive(&mut self, message: Message, without: &Without) {
        match message {
            Message::Put { to, version, turn } => match self.reliefs[to].put(version) {
                Some(copy) => self.reports[to].push(Message::Moved { to, version, copy, turn }),
                None => {
                    self.flying.insert(Message::Abort { turn });
                }
            },
            Message::Moved { to, version, copy, turn } => self.moved(to, version, copy, turn),
            Message::Withdraw { to, copy, turn } => {
                self.reliefs[to].drop_copy(copy);
                self.flying.insert(Message::Abort { turn });
            }
            Message::Abort { turn } => {
                if let Some(here) = self.here.as_mut().filter(|h| h.turn == turn && h.evicting) {
                    self.turns += 1;
                    (here.turn, here.evicting) = (self.turns, false);
                }
            }
            Message::Pass { version, old } => match self.reliefs[AGING].put(version) {
                Some(new) => self.reports[AGING].push(Message::Relocate { version, old, new }),
                None => {
                    self.flying.insert(Message::Passed { old, answer: -1 });
                }
            },
            Message::Relocate { version, old, new } => self.relocate(version, old, new, without),
            Message::Unpass { old, new, answer } => {
                self.reliefs[AGING].drop_copy(new);
                self.flying.insert(Message::Passed { old, answer });
            }
            Message::Passed { old, answer } => {
                if matches!(answer, 0 | 1) {
                    self.reliefs[EXPANSION].drop_copy(old);
                }
            }
            Message::Fetch { from, listed, fence } => {
                let found = self.reliefs[from].copy;
                self.flying.insert(Message::Fetched { from, listed, fence, found });
            }
            Message::Fetched { from, listed, fence, found } => {
                self.fetched(from, listed, fence, found, without);
            }
            Message::Dropped { from, copy } => {
                let was = self.list(|directory| directory.remove(&ID, 0, from as u16, copy));
                if !was && !without.memory_of_the_dropped {
                    self.condemned.insert((from, copy));
                }
            }
            Message::Obeyed { by, listed } => {
                self.list(|directory| directory.remove_shadow(&ID, 0, by as u16, listed));
            }
        }
    }

    /// A copy that went before it was reported took the place of the one that is listed of its node.
    fn gone_unheard(&mut self, node: usize, version: u64, copy: u64) -> bool {
        let condemned = self.condemned.contains(&(node, copy));
        if condemned {
            self.list(|directory| directory.forget_copy(&ID, 0, node as u16, version));
        }
        condemned
    }

    /// `commands/peer/relay.rs`, `settle`.
    fn moved(&mut self, to: usize, version: u64, copy: u64, turn: u64) {
        let node = to as u16;
        if self.gone_unheard(to, version, copy) {
            self.flying.insert(Message::Withdraw { to, copy, turn });
            return;
        }
        if self.here.is_none_or(|h| h.turn != turn || h.version != version) {
            let followed = self.list(|directory| directory.renumber(&ID, 0, node, version, copy));
            self.flying.insert(match followed {
                true => Message::Abort { turn },
                false => Message::Withdraw { to, copy, turn },
            });
            return;
        }
        for old in self.list(|directory| directory.insert(&ID, 0, node, version, copy)) {
            self.orders[usize::from(old.node)].push((Order::Below(version), old.copy));
        }
        self.here = None;
        self.fence += 1;
    }

    fn relocate(&mut self, version: u64, old: u64, new: u64, without: &Without) {
        let (from, to) = ((EXPANSION as u16, old), (AGING as u16, version, new));
        let relocated = match self.gone_unheard(AGING, version, new) {
            true => Relocated::Unheard,
            false => self.list(|directory| directory.relocate(&ID, 0, from, to)),
        };
        let answer = match relocated {
            Relocated::Unheard if without.doubt_of_the_unheard => 0,
            relocated => relocated.answer(),
        };
        self.flying.insert(match answer {
            1 | 2 => Message::Passed { old, answer },
            _ => Message::Unpass { old, new, answer },
        });
    }

    /// `core/resolve`, what `ask` and `keep` do with an answer.
    fn fetched(
        &mut self,
        from: usize,
        listed: u64,
        fence: u64,
        found: Option<(u64, u64)>,
        without: &Without,
    ) {
        let Some((version, _)) = found else {
            if self.fence == fence {
                self.list(|directory| directory.remove(&ID, 0, from as u16, listed));
            }
            return;
        };
        let listed = self.live().any(|e| e.node == from && e.version == version);
        if !without.second_look_at_the_found && (!listed || version < self.floor) {
            return;
        }
        if self.here.is_some_and(|here| here.version > version) {
            return;
        }
        self.keep(version);
        for old in self.list(|directory| directory.shadow_all(&ID, 0)).0 {
            let order = match old.version < version {
                true => Order::Below(version),
                false => Order::Drop(old.copy),
            };
            self.orders[usize::from(old.node)].push((order, old.copy));
        }
    }
}

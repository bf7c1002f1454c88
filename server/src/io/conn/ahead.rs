//! Looking ahead in a pipeline: the memory that the next commands will read is asked for before they run.
//!
//! A look-up in a large section is two dependent misses of the caches; asked for together, those of many keys
//! overlap. Whether a command's first argument really is a key does not matter: asking for the wrong line costs
//! a little and changes nothing.

use crate::core::node::Node;
use gs_client::cache::KeyId;
use gs_resp::{Limits, Parsed, Parser};

/// Commands looked ahead: enough to hide a miss, few enough to stay in the nearest cache.
const WINDOW: usize = 16;

/// The scout of one connection.
#[derive(Default)]
pub(super) struct Scout {
    parser: Parser,
    ids: Vec<KeyId>,
    /// Commands of the window that have not run yet.
    left: usize,
}

impl Scout {
    /// Called before each command, `input` being it and all that follows.
    pub(super) fn step(&mut self, node: &Node, db: u8, input: &[u8], limits: &Limits) {
        if self.left == 0 {
            self.look(node, db, input, limits);
        }
        self.left = self.left.saturating_sub(1);
    }

    fn look(&mut self, node: &Node, db: u8, input: &[u8], limits: &Limits) {
        let section = node.cache.section();
        self.ids.clear();
        let (mut at, mut seen) = (0, 0);
        while at < input.len() && seen < WINDOW {
            match self.parser.advance(&input[at..], limits) {
                Ok(Parsed::Command { consumed }) => {
                    // One command alone has nothing to overlap with.
                    let alone = seen == 0 && at + consumed == input.len();
                    if let Some(key) = self.parser.args(&input[at..]).get(1).filter(|_| !alone) {
                        let id = section.key_id(db, key);
                        section.prefetch(&id);
                        self.ids.push(id);
                    }
                    at += consumed;
                    seen += 1;
                }
                Ok(Parsed::Empty { consumed }) => at += consumed,
                _ => {
                    // It would go on in the middle; the next window starts afresh.
                    self.parser = Parser::new();
                    break;
                }
            }
        }
        self.ids.iter().for_each(|id| section.prefetch_record(id));
        self.left = seen;
    }
}

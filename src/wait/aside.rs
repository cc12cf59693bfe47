//! One that has its turn in a [line](super::line), and waits for other locks before it can use it.

use std::pin::Pin;

use super::helper;
use super::line::{Line, Pool};
use super::list::{Node, Place, Stand};
use super::wakes::Wakes;

/// What one that stands aside keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeps {
    /// The place that it had in this line before it took the permits.
    pub(crate) place: bool,
    /// The permits are reserved for it.
    pub(crate) reservation: bool,
}

impl Line {
    /// Gives permits back that the caller has just taken, and keeps its place in the line: the one that it had, or one
    /// at the back. It has its turn here, but waits for other locks before it can use it.
    ///
    /// If a reservation is kept, the permits are for it while it is the eldest, until it comes or its patience is
    /// over. Otherwise nobody counts on it, and when it comes it has its place again.
    pub(crate) fn stand_aside(
        &mut self,
        pool: &impl Pool,
        node: Pin<&mut Node>,
        need: usize,
        keeps: Keeps,
        wakes: &mut Wakes,
    ) {
        let seen = loop {
            let seen = pool.word();
            if pool.swap(seen, seen.give(need)) {
                break seen;
            }
        };
        let stand = match node.last_stand() {
            Some(stand) if keeps.place => stand,
            _ => self.draw_ticket(need, seen, node.is_thread()),
        };
        let stand =
            Stand { since: helper::now(), is_starving: true, is_probed: false, is_aside: true, ..stand };
        self.len += 1;
        if keeps.reservation && !self.many_are_coming() {
            self.notified += 1;
            self.claimed += need;
            self.list.enlist_silently(node, Place::Notified, stand);
        } else {
            self.list.enlist_silently(node, Place::Away, stand);
        }
        self.settle(pool, wakes);
    }

    /// Nobody counts on an enlisted waiter any more. When it comes it has its place again.
    pub(crate) fn stand_back(&mut self, pool: &impl Pool, mut node: Pin<&mut Node>, wakes: &mut Wakes) {
        let stand = self.list.stand(node.as_mut());
        match self.list.place(node.as_mut()) {
            None | Some(Place::Away) => return,
            Some(Place::Oversized) => {}
            Some(Place::Queued) => self.queued -= 1,
            Some(Place::Notified) => {
                self.notified -= 1;
                self.claimed -= stand.need;
            }
        }
        wakes.keep(self.list.stand_back(node, Stand { is_aside: true, ..stand }));
        self.settle(pool, wakes);
    }
}

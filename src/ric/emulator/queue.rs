//! Whose turn it is: events are handled in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many may wait.
const MOST_WAITING: usize = 1000;

#[derive(Debug, Default)]
struct State {
    last: u64,
    waiting: VecDeque<u64>,
    active: usize,
}

/// A queue in front of a number of places.
#[derive(Debug)]
pub struct Queue {
    places: usize,
    state: Mutex<State>,
    changed: Condvar,
}

/// A place, until this is dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a Queue);

impl Queue {
    /// An empty queue.
    pub fn new(places: usize) -> Self {
        Self {
            places,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place. None: too many wait already.
    pub fn enter(&self) -> Option<Turn<'_>> {
        let mut state = self.state();
        if state.waiting.len() >= MOST_WAITING {
            return None;
        }
        state.last += 1;
        let ticket = state.last;
        state.waiting.push_back(ticket);
        let must_wait = |state: &mut State| {
            state.active >= self.places || state.waiting.front() != Some(&ticket)
        };
        let waited = self.changed.wait_while(state, must_wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting.pop_front();
        state.active += 1;
        // The next one may have a place as well.
        self.changed.notify_all();
        Some(Turn(self))
    }

    /// Waits until nobody has a place, but no longer than `limit`.
    pub fn wait_until_empty(&self, limit: Duration) {
        let state = self.state();
        let waited = self
            .changed
            .wait_timeout_while(state, limit, |state| state.active > 0);
        drop(waited);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().active -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn turns_come_in_order_and_places_are_limited() {
        let queue = Arc::new(Queue::new(1));
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = queue.enter().unwrap();
        let waiting: Vec<_> = (0..5)
            .map(|number| {
                let (other, order) = (Arc::clone(&queue), Arc::clone(&order));
                let thread = thread::spawn(move || {
                    let _turn = other.enter().unwrap();
                    order.lock().unwrap().push(number);
                });
                while queue.state().waiting.len() <= number {
                    thread::yield_now();
                }
                thread
            })
            .collect();
        assert!(order.lock().unwrap().is_empty());
        drop(first);
        for thread in waiting {
            thread.join().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
        queue.wait_until_empty(Duration::ZERO);
    }

    #[test]
    fn several_places() {
        let queue = Queue::new(2);
        let turns = (queue.enter(), queue.enter());
        assert_eq!(queue.state().active, 2);
        drop(turns);
        assert_eq!(queue.state().active, 0);
    }
}

//! The gate that refuses stale fences: keys that use it, by every form of a key.

use std::cell::Cell;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use latchwork::{Fence, fence::FenceGate, key::IntoKey};

use crate::support::no_hang;

fn fence(number: u64) -> Fence {
    Fence::new(number).expect("it is not zero")
}

/// A key that uses its gate, if it has one, whenever it is hashed or dropped.
struct Nosy(u32, Option<Arc<FenceGate<Nosy>>>);

thread_local! {
    static LOOKS: Cell<u32> = const { Cell::new(0) };
}

impl Nosy {
    fn look(&self) {
        if let Some(gate) = &self.1 {
            LOOKS.set(LOOKS.get() + 1);
            // Each shard's lock is taken by one of these.
            (0..1000).for_each(|key| assert!(key == 7 || gate.latest(Nosy(key, None)).is_none()));
        }
    }
}

impl PartialEq for Nosy {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Nosy {}

impl Hash for Nosy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.look();
        self.0.hash(state);
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.look();
    }
}

#[test]
fn keys_may_use_the_gate_when_they_are_hashed_and_dropped() {
    let looks = no_hang(|| {
        let gate = Arc::new(FenceGate::<Nosy>::new());
        let key = || Nosy(7, Some(gate.clone()));
        assert_eq!((gate.admit(key(), fence(2)), gate.admit(key(), fence(3))), (Ok(()), Ok(())));
        assert_eq!(gate.admit(key(), fence(1)).expect_err("it is stale").latest, fence(3));
        assert_eq!(
            (gate.latest(key()), gate.forget(key()), gate.latest(key())),
            (Some(fence(3)), Some(fence(3)), None)
        );
        LOOKS.get()
    });
    assert_eq!(looks, 12, "six keys, each hashed and dropped");
}

#[test]
fn a_burst_of_keys_is_forgotten_and_each_is_found_on_the_way() {
    let gate = FenceGate::<u64, _>::with_hasher(BuildHasherDefault::<DefaultHasher>::default());
    (0..5000).for_each(|key| assert_eq!(gate.admit(key, fence(key + 1)), Ok(())));
    for key in 0..5000 {
        assert_eq!((gate.latest(key), gate.latest(4999)), (Some(fence(key + 1)), Some(fence(5000))));
        assert_eq!((gate.forget(key), gate.forget(key)), (Some(fence(key + 1)), None));
    }
    assert_eq!(format!("{gate:?}"), "FenceGate { keys: 0, .. }");
}

/// A borrowed form that uses the gate when it is made a key.
struct Making<'a>(&'a FenceGate<u64>, u64);

impl IntoKey<u64> for Making<'_> {
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        self.1.hash(state);
    }

    fn is_key(&self, key: &u64) -> bool {
        self.1 == *key
    }

    fn into_key(self) -> u64 {
        // It would hang under the shard's lock. And the key is there when the call goes on.
        self.0.admit(self.1, fence(7)).expect("it is the first");
        self.1
    }
}

#[test]
fn a_key_is_made_outside_the_lock_once_and_only_for_a_new_entry() {
    no_hang(|| {
        let gate = FenceGate::<u64>::new();
        assert_eq!(gate.admit(Making(&gate, 1), fence(6)).expect_err("seven was faster").latest, fence(7));
        assert_eq!((gate.admit(Making(&gate, 1), fence(8)), gate.latest(1)), (Ok(()), Some(fence(8))));
        assert_eq!(format!("{gate:?}"), "FenceGate { keys: 1, .. }");
    });
}

#[test]
fn of_many_who_offer_fences_at_once_the_greatest_stays() {
    let gate = FenceGate::<String>::new();
    std::thread::scope(|scope| {
        for first in 1..=4 {
            let gate = &gate;
            scope.spawn(move || {
                for number in (first..1000).step_by(4) {
                    match gate.admit("row", fence(number)) {
                        Ok(()) => assert!(gate.latest("row") >= Some(fence(number))),
                        Err(stale) => assert!(stale.latest > stale.offered),
                    }
                }
            });
        }
    });
    assert_eq!(gate.latest("row"), Some(fence(999)));
}

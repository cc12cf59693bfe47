//! Claims: one winner, and a name is as free afterwards as its claim left it.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use latchwork::Claims;
use loom::thread;

use crate::support::{Seen, Watched, check};

type Names = Claims<u8, BuildHasherDefault<DefaultHasher>>;

fn names() -> Names {
    Claims::with_hasher(BuildHasherDefault::default())
}

#[test]
fn one_of_three_who_claim_a_name_gets_it() {
    check(None, 90, || {
        let names = names();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let names = names.clone();
                thread::spawn(move || names.try_claim(7).ok())
            })
            .collect();
        let mut claims = vec![names.try_claim(7).ok()];
        claims.extend(others.into_iter().map(|other| other.join().unwrap()));
        assert_eq!(claims.iter().flatten().count(), 1);
        drop(claims);
        assert!(names.is_empty());
    });
}

#[test]
fn claims_of_a_name_follow_each_other_and_the_next_sees_what_the_last_did() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 10, move || {
        let (names, beside) = (names(), Arc::new(Watched::default()));
        let claim = |names: &Names, beside: &Watched| match names.try_claim(7) {
            Ok(_claim) => {
                beside.add(1);
                1
            }
            Err(_) => 0,
        };
        let other = {
            let (names, beside) = (names.clone(), beside.clone());
            thread::spawn(move || claim(&names, &beside))
        };
        let own = claim(&names, &beside);
        let total = own + other.join().unwrap();
        noted.note(total == 2);
        assert!(total >= 1);
        assert_eq!(beside.get(), total);
        assert!(names.try_claim(7).is_ok(), "a dropped claim frees its name");
    });
    seen.both();
}

#[test]
fn a_committed_name_is_free_only_after_its_release() {
    let seen = Seen::default();
    let noted = seen.clone();
    check(None, 6, move || {
        let names = names();
        let other = {
            let names = names.clone();
            thread::spawn(move || {
                let claim = names.try_claim(7).unwrap();
                assert!(names.is_taken(&7), "a claim that lives was released");
                claim.commit();
            })
        };
        let released = names.release(&7);
        noted.note(released);
        other.join().unwrap();
        assert_eq!(names.is_taken(&7), !released);
    });
    seen.both();
}

#[test]
fn a_name_marked_while_it_is_claimed_outlives_the_claim() {
    check(None, 5, || {
        let names = names();
        let other = {
            let names = names.clone();
            thread::spawn(move || drop(names.try_claim(7)))
        };
        names.mark_taken(7);
        other.join().unwrap();
        assert!(names.is_taken(&7));
        assert!(names.release(&7) && names.is_empty());
    });
}

#[test]
fn two_who_want_a_unique_name_get_two() {
    check(None, 18, || {
        let names = names();
        let other = {
            let names = names.clone();
            thread::spawn(move || names.claim_first(1..9, 2).unwrap().claim.commit())
        };
        let own = names.claim_first(1..9, 2).unwrap().claim.commit();
        let mut both = [own, other.join().unwrap()];
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
    });
}

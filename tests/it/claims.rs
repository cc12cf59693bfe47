//! Claims: one winner for each name, free again unless it was kept.

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier};

use latchwork::{
    Claims,
    claim::{Claim, Taken, numbered_suffixes, random_suffixes},
};

use crate::support::{Hand, panic_of};

type Slugs = Claims;

#[test]
fn of_many_who_claim_a_name_at_once_one_gets_it() {
    for _ in 0..50 {
        let (slugs, start) = (Slugs::new(), Arc::new(Barrier::new(4)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (slugs, start) = (slugs.clone(), start.clone());
                std::thread::spawn(move || {
                    start.wait();
                    slugs.try_claim("ada").ok()
                })
            })
            .collect();
        let claims: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect();
        assert_eq!(claims.iter().flatten().count(), 1);
        drop(claims);
        assert!(slugs.is_empty());
    }
}

#[test]
fn many_creators_of_one_name_get_as_many_slugs() {
    let slugs = Slugs::new();
    let names: HashSet<String> = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let slug = slugs.claim_unique("ada", numbered_suffixes(), 8).expect("eight will do");
                    slug.claim.commit().to_string()
                })
            })
            .collect();
        creators.into_iter().map(|creator| creator.join().expect("it does not panic")).collect()
    });
    assert_eq!((names.len(), slugs.len()), (8, 8));
    assert!(names.contains("ada") && names.contains("ada-8"));
}

#[test]
fn a_taken_name_comes_back_as_it_was_and_says_for_how_long() {
    let slugs = Slugs::new();
    let claim = slugs.try_claim("ada").expect("it is free");
    let name: Arc<str> = "ada".into();
    let address = name.as_ptr();
    let taken = slugs.try_claim(name).expect_err("it is claimed");
    assert_eq!((taken.name.as_ptr(), taken.is_kept), (address, false));
    assert_eq!(taken.to_string(), "the name is claimed");
    assert_eq!(*claim.commit(), *"ada");
    let taken = slugs.try_claim("ada").expect_err("it is kept");
    assert_eq!((taken.is_kept, taken.to_string().as_str()), (true, "the name is taken"));
    assert_eq!(format!("{taken:?}"), "Taken { is_kept: true, .. }", "names are not logged");
}

#[test]
fn a_claim_is_free_again_after_return_error_panic_and_cancel() {
    let slugs = Slugs::new();
    drop(slugs.try_claim("ada"));
    assert!(!slugs.is_taken("ada"));

    let fails = || -> Result<(), Taken> {
        let _claim = slugs.try_claim("ada")?;
        slugs.try_claim("ada").map(drop)
    };
    assert!(fails().is_err() && !slugs.is_taken("ada"));

    let panics = catch_unwind(AssertUnwindSafe(|| {
        let _claim = slugs.try_claim("ada");
        panic!("on purpose");
    }));
    assert!(panics.is_err() && !slugs.is_taken("ada"));

    let handler = {
        let slugs = slugs.clone();
        async move {
            let _claim = slugs.try_claim("ada");
            std::future::pending::<()>().await;
        }
    };
    let handler = Hand::queued(handler);
    assert!(slugs.is_taken("ada"));
    drop(handler);
    assert!(slugs.is_empty());
}

#[test]
fn a_kept_name_is_taken_until_it_is_released() {
    let slugs = Slugs::new();
    assert!(slugs.mark_taken("ada") && !slugs.mark_taken("ada"));
    assert!(slugs.try_claim("ada").is_err());
    assert!(slugs.release("ada") && !slugs.release("ada"));
    slugs.try_claim("ada").expect("it is free").commit();
    assert!(slugs.is_taken("ada") && slugs.release("ada") && slugs.is_empty());
}

#[test]
fn a_release_never_takes_a_claim_away_even_of_a_name_that_is_marked() {
    let slugs = Slugs::new();
    let claim = slugs.try_claim("ada").expect("it is free");
    assert!(!slugs.release("ada"));
    assert!(!slugs.mark_taken("ada") && !slugs.release("ada"));
    assert!(slugs.try_claim("ada").is_err_and(|taken| taken.is_kept));
    drop(claim);
    assert!(slugs.is_taken("ada"), "it was marked");
    assert!(slugs.release("ada") && !slugs.is_taken("ada"));
}

#[test]
fn a_unique_claim_counts_what_it_tried_and_tries_no_more_than_it_may() {
    let slugs = Slugs::new();
    let made = Cell::new(0);
    let suffixes = || {
        made.set(0);
        numbered_suffixes().inspect(|_| made.set(made.get() + 1))
    };
    for tried in 1..=3 {
        let slug = slugs.claim_unique("ada", suffixes(), 3).expect("three will do");
        assert_eq!(
            (slug.attempts, made.get()),
            (tried, tried - 1),
            "suffixes are made when their turn comes"
        );
        slug.claim.commit();
    }
    let exhausted = slugs.claim_unique("ada", suffixes(), 3).expect_err("three are taken");
    assert_eq!((exhausted.attempts, made.get()), (3, 2));
    assert_eq!(exhausted.to_string(), "no free name, 3 tried");
    assert_eq!(slugs.claim_unique("ada", ["-2", "-3"], 9).expect_err("there are no more").attempts, 3);
    assert_eq!(slugs.claim_unique("grace", suffixes(), 0).expect_err("it may not try").attempts, 0);
    assert_eq!(slugs.len(), 3);
}

#[test]
fn candidates_are_made_outside_the_lock_and_may_use_the_table() {
    let slugs = Slugs::new();
    slugs.mark_taken("ada");
    let by_count =
        std::iter::repeat_with(|| format!("ada{}", if slugs.is_taken("ada") { slugs.len() } else { 0 }));
    let slug = slugs.claim_first(by_count, 3).expect("it is free");
    assert_eq!((&**slug.claim.name(), slug.attempts), ("ada1", 1));
}

#[test]
fn claims_keep_their_table() {
    let slugs = Slugs::new();
    // It stays in the table for as long as there is one.
    let kept: Arc<str> = "hedy".into();
    slugs.mark_taken(kept.clone());
    let one = slugs.claim_unique("ada", numbered_suffixes(), 2).expect("it is free");
    let two = slugs.claim_first(["ada", "grace"], 2).expect("the second is free");
    assert_eq!((two.attempts, &**two.claim.name()), (2, "grace"));
    let other = slugs.clone();
    drop(slugs);
    assert_eq!(other.len(), 3, "a clone sees the same names");
    drop((other, one));
    assert_eq!(Arc::strong_count(&kept), 2);
    drop(two);
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn suffixes_are_what_they_say() {
    assert!(numbered_suffixes().take(3).eq(["-2", "-3", "-4"]));
    let suffixes: HashSet<String> = random_suffixes(8).take(200).collect();
    assert_eq!(suffixes.len(), 200, "a thousand million million to one that they differ");
    for suffix in suffixes {
        let letters = suffix.strip_prefix('-').expect("it begins with a dash");
        assert!(letters.len() == 8 && letters.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(!letters.contains(['i', 'l', 'o', 'u']) && letters.to_lowercase() == letters);
    }
    assert_eq!(panic_of(|| random_suffixes(0)), "a suffix needs a character");
}

#[test]
fn names_are_dropped_outside_the_lock() {
    #[derive(Clone)]
    struct Name(u8, Arc<Claims<Name>>);
    impl PartialEq for Name {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Name {}
    impl std::hash::Hash for Name {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl std::borrow::Borrow<u8> for Name {
        fn borrow(&self) -> &u8 {
            &self.0
        }
    }
    impl Drop for Name {
        fn drop(&mut self) {
            // It would hang if the lock were held.
            assert!(!self.1.is_taken(&99));
        }
    }
    let names: Arc<Claims<Name>> = Arc::default();
    let name = || Name(7, names.clone());
    let claim = names.try_claim(name()).expect("it is free");
    assert!(names.try_claim(name()).is_err() && !names.mark_taken(name()));
    drop(claim);
    assert!(names.release(&7));
    drop(names.try_claim(name()));
    drop(names.try_claim(name()).expect("it is free").commit());
    assert!(names.release(&7) && names.is_empty());
}

#[test]
fn a_burst_of_claims_is_given_back_and_every_name_is_found_on_the_way() {
    let numbers = Claims::<u64>::new();
    let claims: Vec<_> = (0..3000_u64).map(|number| numbers.try_claim(number).expect("it is free")).collect();
    for (number, claim) in (0..3000_u64).zip(claims) {
        assert!(numbers.is_taken(&number) && numbers.is_taken(&2999));
        drop(claim);
        assert!(!numbers.is_taken(&number));
    }
    assert_eq!(format!("{numbers:?}"), "Claims { names: 0, .. }");
}

#[test]
fn names_may_be_of_any_kind_that_can_be_cloned() {
    let owned = Claims::<String>::new();
    let slug = owned.claim_unique("ada", numbered_suffixes(), 2).expect("it is free");
    assert_eq!((slug.claim.name().as_str(), owned.try_claim("ada").is_err()), ("ada", true));
    assert_eq!(slug.claim.commit(), "ada");
    let shared: Claims = Claims::new();
    for name in ["grace".to_owned().into(), Arc::<str>::from("hedy")] {
        let claim = shared.try_claim(name).expect("it is free");
        assert!(shared.is_taken(&**claim.name()));
    }
    assert!(shared.is_empty());
}

#[test]
fn a_claim_frees_its_own_name_whichever_shard_it_is_in() {
    let numbers = Claims::<u32>::new();
    // Each shard counts its claims by itself, so that most numbers are there several times.
    let mut claims: Vec<_> =
        (0..500_u32).map(|number| numbers.try_claim(number).expect("it is free")).collect();
    claims.sort_by_key(|claim| claim.name().wrapping_mul(0x9e37_79b9));
    while let Some(claim) = claims.pop() {
        let name = *claim.name();
        drop(claim);
        assert!(!numbers.is_taken(&name) && claims.iter().all(|claim| numbers.is_taken(claim.name())));
    }
}

#[test]
fn claims_go_where_their_names_may() {
    fn may_be_shared<T: Send + Sync>() {}
    may_be_shared::<Slugs>();
    may_be_shared::<Claim>();
    may_be_shared::<Taken>();
}

#[test]
fn names_need_not_be_cloned_and_a_commit_whose_clone_panics_keeps_the_name() {
    #[derive(PartialEq, Eq, Hash, Debug)]
    struct Single(u8);
    let singles = Claims::<Single>::new();
    let claim = singles.try_claim(Single(7)).expect("it is free");
    assert_eq!((claim.name(), singles.try_claim(Single(7)).is_err()), (&Single(7), true));
    drop(claim);
    assert!(singles.is_empty());

    #[derive(PartialEq, Eq, Hash)]
    struct Bad(u8);
    impl Clone for Bad {
        fn clone(&self) -> Self {
            panic!("no clone")
        }
    }
    let bads = Claims::<Bad>::new();
    assert_eq!(panic_of(|| drop(bads.try_claim(Bad(7)).map(Claim::commit))), "no clone");
    assert!(bads.release(&Bad(7)) && bads.is_empty());
}

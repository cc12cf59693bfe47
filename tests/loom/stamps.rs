//! Where stamps come from: the counter alone, without the locks that order those who draw from it in a map.

use std::collections::HashSet;
use std::sync::Arc;

use latchwork::{Stamp, stamp::StampSource};
use loom::thread;

use crate::support::check;

fn draw(source: &StampSource, many: usize) -> Vec<u64> {
    (0..many).map(|_| source.next().unwrap().get()).collect()
}

#[test]
fn no_two_of_three_who_draw_from_one_source_draw_the_same() {
    check(None, 80, || {
        let source = Arc::new(StampSource::new());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let source = source.clone();
                thread::spawn(move || draw(&source, 1))
            })
            .collect();
        let mut drawn = draw(&source, 2);
        drawn.extend(others.into_iter().flat_map(|other| other.join().unwrap()));
        drawn.sort_unstable();
        assert_eq!(drawn, [1, 2, 3, 4], "a stamp was drawn twice");
    });
}

#[test]
fn a_stamp_that_is_observed_is_behind_all_that_are_drawn_later_and_none_comes_again() {
    check(None, 6, || {
        let source = Arc::new(StampSource::after(Stamp::new(4).unwrap()));
        let other = {
            let source = source.clone();
            thread::spawn(move || draw(&source, 2))
        };
        source.observe(Stamp::new(5).unwrap()).unwrap();
        let mut drawn = draw(&source, 1);
        assert!(drawn[0] > 5, "a stamp that was observed is drawn");
        let others = other.join().unwrap();
        assert!(others[0] < others[1], "stamps went back");
        drawn.extend(others);
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 3, "a stamp was drawn twice");
        assert!(source.latest().is_some_and(|latest| drawn.contains(&latest.get())));
    });
}

#[test]
fn the_last_stamp_is_drawn_once_and_the_end_stays_the_end() {
    check(None, 20, || {
        let source = Arc::new(StampSource::after(Stamp::new(Stamp::MAX.get() - 1).unwrap()));
        let other = {
            let source = source.clone();
            thread::spawn(move || [source.next().ok(), source.next().ok()])
        };
        let own = [source.next().ok(), source.next().ok()];
        let all: Vec<_> = own.into_iter().chain(other.join().unwrap()).flatten().collect();
        assert_eq!((all, source.latest()), (vec![Stamp::MAX], Some(Stamp::MAX)));
        assert!(source.next().is_err());
    });
}

use std::rc::Rc;

use latchwork::Versioned;

fn main() {
    let cell = Versioned::new(Rc::new(7));
    let snapshot = cell.snapshot();
    std::thread::spawn(move || drop(snapshot));
}

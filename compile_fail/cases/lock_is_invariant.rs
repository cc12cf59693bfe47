use latchwork::Mutex;

/// A short-lived value must not get into a lock of long-lived ones.
fn shorten<'a>(lock: &'a Mutex<&'static str>) -> &'a Mutex<&'a str> {
    lock
}

fn main() {
    let lock = Mutex::new("long");
    shorten(&lock);
}

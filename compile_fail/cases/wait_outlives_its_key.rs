use latchwork::{Stamp, VersionedMap};

fn main() {
    let map = VersionedMap::<String, u8>::new();
    let key = String::from("ada");
    let wait = map.changed(&key, Stamp::MIN);
    drop(key);
    wait.wait();
}

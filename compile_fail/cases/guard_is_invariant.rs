use latchwork::mutex::MutexGuard;

/// Nor through its guard, nor through one of a part.
fn shorten<'a>(guard: MutexGuard<'a, u32, &'static str>) -> MutexGuard<'a, u32, &'a str> {
    guard
}

fn main() {
    let _ = shorten;
}

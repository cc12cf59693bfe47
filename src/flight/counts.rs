//! [`FlightCounts`]: what was counted.

/// What a [`SingleFlight`](super::SingleFlight) has counted since it was created, at one moment.
///
/// Shards are read one after the other, so under load the parts of a sum belong to slightly different moments.
///
/// # Examples
///
/// ```
/// let menus = latchwork::SingleFlight::<u32, String>::new();
/// menus.run_blocking(7, || "soup".to_owned());
/// let counts = menus.counts();
/// assert_eq!((counts.flights, counts.joined, counts.aborted, counts.under_way), (1, 0, 0, 0));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct FlightCounts {
    /// Keys that have a flight now: a call leads, or waits for the lead of one that was aborted.
    pub under_way: usize,
    /// How often a call has led, that is, how often the work was run. The lead of a successor counts as a flight of its
    /// own.
    pub flights: u64,
    /// Calls that joined a flight, whatever its outcome. A call is counted once, also if it leads later.
    pub joined: u64,
    /// Flights that ended without a value.
    pub aborted: u64,
}
